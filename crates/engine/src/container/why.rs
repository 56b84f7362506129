//! Why a container ended, or did not begin: one sentence, and what it is concluded from. Pure: the caller gathers the
//! facts (the record, the files that a start would execute, the last line of output), and nothing here looks anywhere.

use serde::{Deserialize, Serialize};

use super::program::Program;
use super::{Container, Status, signal};
use crate::ports::RuntimeErrorKind;

/// How the last process ended, or the last start failed, beyond what `inspect` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct End {
    /// What ended PID 1; `None`: it exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<EndedBy>,
    /// The last start did not bring a process up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_start: Option<RuntimeErrorKind>,
}

/// Whose will the end was, as far as it went through the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBy {
    pub who: Who,
    /// The last one sent; 0: none.
    #[serde(default)]
    pub signal: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    Stop,
    Restart,
    Kill,
    Remove,
    /// It was written down, and ended with that.
    Checkpoint,
    Health,
    Shutdown,
    /// The process that watches it was killed, and it with that.
    MonitorLost,
    /// It was gone when the engine came back, and nothing tells of its end.
    Machine,
}

impl Who {
    /// A person asked for it: a restart policy has no say in what follows.
    pub(crate) fn is_person(self) -> bool {
        matches!(self, Self::Stop | Self::Restart | Self::Kill | Self::Remove | Self::Checkpoint)
    }
}

/// One file of those that the kernel goes through to execute the first: it, its interpreter, the interpreter's loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// As whoever names it spells it.
    pub(crate) path: String,
    /// `None`: it is not there.
    pub(crate) found: Option<Found>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) is_file: bool,
    /// Permission bits.
    pub(crate) mode: u32,
    /// It lies on a mount with `noexec`.
    pub(crate) noexec: bool,
    pub(crate) program: Program,
}

/// What is known beside the container itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) chain: Vec<Link>,
    /// The directories in which a name without a slash was looked for.
    pub(crate) searched: String,
    /// As images name it: `amd64` ...
    pub(crate) machine: &'static str,
    pub(crate) last_line: String,
}

/// One sentence, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// For programs: `oom`, `signal`, `missing-loader` ...
    pub cause: &'static str,
    pub sentence: String,
    pub evidence: Vec<String>,
}

const SIGSYS: i32 = 31;

/// What the kernel calls architectures that `uname` and images name differently.
pub(crate) fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

pub(crate) fn why(container: &Container, facts: &Facts) -> Why {
    let state = &container.state;
    match state.status {
        Status::Running | Status::Paused => return running(container),
        Status::Removing => return plain("removing", "it is being removed"),
        Status::Created | Status::Restarting | Status::Exited | Status::Dead => {}
    }
    if let Some(kind) = &state.end.failed_start {
        return not_begun(container, facts, kind);
    }
    if state.started_at.is_none() {
        return plain("created", "it was never started");
    }
    let mut found = ended(container);
    found.evidence.push(code(state.exit_code, state.end.signal));
    let may_tell = matches!(found.cause, "exited" | "signal" | "seccomp") && state.exit_code != 0;
    if may_tell && !facts.last_line.is_empty() {
        found.evidence.push(format!("its last line: {}", facts.last_line));
    }
    if state.oom_killed && found.cause != "oom" {
        found.evidence.push("before, the kernel had killed a process in it for want of memory".into());
    }
    if !state.error.is_empty() {
        found.evidence.push(state.error.clone());
    }
    if state.status == Status::Restarting {
        found.evidence.push("its restart policy is about to start it again".into());
    }
    found
}

fn plain(cause: &'static str, sentence: impl Into<String>) -> Why {
    Why { cause, sentence: sentence.into(), evidence: Vec::new() }
}

fn with(cause: &'static str, sentence: impl Into<String>, evidence: impl Into<String>) -> Why {
    Why { evidence: vec![evidence.into()], ..plain(cause, sentence) }
}

fn running(container: &Container) -> Why {
    let paused = container.state.status == Status::Paused;
    let sentence = if paused { "it is paused, and has not ended" } else { "it runs" };
    let pid = format!("process {}", container.state.pid);
    let mut found = with(if paused { "paused" } else { "running" }, sentence, pid);
    if container.state.oom_killed {
        found.evidence.push("the kernel has killed a process in it for want of memory".into());
    }
    found
}

fn code(code: i32, signal: Option<i32>) -> String {
    match signal {
        Some(number) => format!("exit code {code}, which is 128 and {}", signal::name(number)),
        None => format!("exit code {code}"),
    }
}

fn ended(container: &Container) -> Why {
    let state = &container.state;
    if let Some(by) = state.end.by
        && let Some(found) = by_somebody(by, container)
    {
        return found;
    }
    if state.oom_killed {
        return out_of_memory(container);
    }
    match state.end.signal {
        Some(SIGSYS) => {
            let profile =
                container.spec.host.security_opt.iter().find(|option| option.starts_with("seccomp"));
            let profile = match profile {
                Some(_) => "it has a seccomp profile of its own (--security-opt seccomp=...)",
                None => "SIGSYS is what a seccomp filter kills with",
            };
            with("seccomp", "a seccomp filter killed it for a system call", profile)
        }
        Some(number) => {
            let (sentence, from) = match number {
                4 | 5 | 7 | 8 | 11 => (
                    format!("it crashed: {} ended it ({})", signal::name(number), crash(number)),
                    "the kernel sends this for what the program itself did",
                ),
                6 => (
                    "it gave itself up: SIGABRT ended it".to_owned(),
                    "abort(3), mostly after a failed check",
                ),
                signal::KILL => (
                    "SIGKILL ended it, sent from inside or by somebody on the host".to_owned(),
                    "not through the engine, and its memory had not run out",
                ),
                _ => (
                    format!("{} ended it, sent from inside or by somebody on the host", signal::name(number)),
                    "not through the engine",
                ),
            };
            with("signal", sentence, from)
        }
        None => plain("exited", exited(container)),
    }
}

fn crash(number: i32) -> &'static str {
    match number {
        4 => "an instruction that this processor does not have",
        5 => "a trap, or a breakpoint",
        7 => "memory that is not there, as of a file that became shorter",
        8 => "arithmetic, as a division by zero",
        _ => "memory that is not its own",
    }
}

fn by_somebody(by: EndedBy, container: &Container) -> Option<Why> {
    let sent = match by.signal {
        0 => String::new(),
        number => format!("the engine sent {}", signal::name(number)),
    };
    let forced = by.signal == signal::KILL && container.state.end.signal == Some(signal::KILL);
    let late = if forced { ", and it did not end in the time it was given" } else { "" };
    Some(match by.who {
        Who::Stop => with("stopped", format!("somebody stopped it with `stop`{late}"), sent),
        Who::Restart => with("stopped", format!("somebody stopped it with `restart`{late}"), sent),
        Who::Checkpoint => {
            plain("checkpoint", "somebody made a checkpoint of it without --leave-running, which ends it")
        }
        Who::Remove => with("stopped", "somebody wanted it removed by force", sent),
        Who::Kill => {
            // A signal that it lived on with has nothing to do with its end.
            let (code, signal) = (container.state.exit_code, container.state.end.signal);
            let is_it =
                signal == Some(by.signal) || code == 128 + by.signal || is_final(container, by.signal);
            if !is_it {
                return None;
            }
            with("killed", format!("somebody sent it {} with `kill`", signal::name(by.signal)), sent)
        }
        Who::Health => {
            let checks = container.state.health.as_ref().and_then(|health| health.log.last().cloned());
            let last = checks.map_or(sent, |check| format!("the last check: {}", line(&check.output)));
            with("unhealthy", "it was unhealthy, and its options say that this ends it", last)
        }
        Who::Shutdown => with("shutdown", "the engine was stopped, and ended its containers", sent),
        Who::MonitorLost => plain("monitor-lost", "the process that watches it was killed, and it with that"),
        Who::Machine => with(
            "lost",
            "it ended while no engine ran, and nobody wrote down how: a restart of the machine, as a rule",
            "neither its process nor a note of its end was there when the engine started",
        ),
    })
}

/// SIGKILL and what asks politely: whatever it exits with then, that is why.
fn is_final(container: &Container, number: i32) -> bool {
    let own = container.spec.stop_signal.as_deref().and_then(|own| signal::parse(own).ok());
    number == signal::KILL || number == own.unwrap_or(signal::TERM)
}

fn out_of_memory(container: &Container) -> Why {
    let state = &container.state;
    let limit = match container.spec.host.resources.memory_bytes {
        bytes if bytes > 0 => format!("it reached its memory limit of {}", bytes_text(bytes)),
        _ => "the memory that it may use ran out (it has no limit of its own)".to_owned(),
    };
    let evidence = "the kernel counts a kill for want of memory in its cgroup";
    match state.end.signal {
        Some(signal::KILL) => with("oom", format!("the kernel killed it: {limit}"), evidence),
        _ => with(
            "oom",
            format!("the kernel killed a process in it ({limit}), and it ended after that"),
            evidence,
        ),
    }
}

fn bytes_text(bytes: i64) -> String {
    match bytes {
        bytes if bytes % (1 << 30) == 0 => format!("{} GiB", bytes >> 30),
        bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

/// What the number says by convention: shells', sysexits.h's, and timeout(1)'s.
fn exited(container: &Container) -> String {
    match container.state.exit_code {
        0 => "it finished, and reported success".into(),
        1 => "it reported a failure".into(),
        2 => "it reported a failure, by convention wrong usage".into(),
        124 => "it reported a failure, by convention that its time was over (timeout)".into(),
        125 => "it reported a failure, by convention of a program that was to start another".into(),
        126 => "a shell in it found a program that it could not execute".into(),
        127 => "a shell in it did not find a program".into(),
        code @ 129..=192 => {
            let name = signal::name(code - 128);
            format!("it reported that {name} ended what it had started (exit code 128 and the signal)")
        }
        255 => "it reported a failure with 255, by convention -1".into(),
        code => format!("it reported a failure of its own, {code}"),
    }
}

/// A start that failed, looked at again: ENOENT of a file that is there has another name to it.
fn not_begun(container: &Container, facts: &Facts, kind: &RuntimeErrorKind) -> Why {
    let path = &container.path;
    let said = container.state.error.rsplit("unable to start container process: ").next().unwrap_or_default();
    let said = said.trim_start_matches("error during container init: ");
    let mut found = match kind {
        RuntimeErrorKind::ExecutableNotFound
        | RuntimeErrorKind::PermissionDenied
        | RuntimeErrorKind::IsADirectory
        | RuntimeErrorKind::ExecFormat => {
            along(facts).unwrap_or_else(|| by_kind(path, kind, &container.spec.user))
        }
        RuntimeErrorKind::NoSuchUser => plain("no-user", format!("it has no user {:?}", container.spec.user)),
        RuntimeErrorKind::WorkingDirectory => plain(
            "working-directory",
            format!("its working directory {:?} cannot be entered", container.spec.working_dir),
        ),
        RuntimeErrorKind::Mount => plain("mount", "something that it wants mounted could not be"),
        RuntimeErrorKind::Log => plain("log", "its log cannot be written or sent"),
        RuntimeErrorKind::NotRunning | RuntimeErrorKind::Invalid | RuntimeErrorKind::Other => {
            plain("start-failed", "it could not be started")
        }
    };
    // That it is not there has been said, with its name.
    if found.cause != "not-found" {
        found.evidence.push(said.to_owned());
    }
    if container.state.started_at.is_some() {
        found.evidence.push("an earlier start succeeded".into());
    }
    found
}

/// The first file on the way that the kernel cannot go past.
fn along(facts: &Facts) -> Option<Why> {
    let mut before: Option<&Link> = None;
    for link in &facts.chain {
        let path = &link.path;
        let Some(found) = &link.found else {
            return Some(missing(before, path, facts));
        };
        if !found.is_file {
            return Some(with(
                "permission",
                format!("{path} is a directory, not a program"),
                format!("stat {path}"),
            ));
        }
        // The kernel opens a loader as it does a program: it has to be executable, too.
        if found.mode & 0o111 == 0 {
            let mode = format!("its mode is {:04o}: nobody may execute it", found.mode & 0o7777);
            return Some(with("permission", format!("{path} is not executable"), mode));
        }
        if found.noexec {
            let sentence = format!("{path} lies on a mount from which nothing may be executed");
            return Some(with("permission", sentence, "the mount has noexec"));
        }
        match &found.program {
            Program::Elf { machine, .. } if machine != facts.machine => {
                let sentence =
                    format!("{path} is a program for {machine}, and this machine is {}", facts.machine);
                return Some(with(
                    "wrong-architecture",
                    sentence,
                    format!("e_machine of {path} says {machine}"),
                ));
            }
            Program::Empty => {
                return Some(with("no-program", format!("{path} is empty"), "a file of 0 bytes"));
            }
            Program::Unknown => {
                let sentence = format!("{path} is neither a program nor a script that names its interpreter");
                let evidence = format!("{path} begins with neither \"\\x7fELF\" nor \"#!/\"");
                return Some(with("no-program", sentence, evidence));
            }
            Program::Elf { .. } | Program::Script { .. } => {}
        }
        before = Some(link);
    }
    None
}

fn missing(before: Option<&Link>, path: &str, facts: &Facts) -> Why {
    let named = before.and_then(|link| Some((&link.path, &link.found.as_ref()?.program)));
    match named {
        Some((named, Program::Script { .. })) => {
            let hint = match path.strip_suffix("\\r") {
                Some(_) => ": its lines end as on Windows, and the \\r counts as part of the name",
                None => "",
            };
            let sentence = format!("{named} is there, but its interpreter {path} is not{hint}");
            with("missing-interpreter", sentence, format!("the first line of {named} is #!{path}"))
        }
        Some((named, _)) => with(
            "missing-loader",
            format!(
                "{named} is there, but its loader {path} is not: it is linked for another system than this image's"
            ),
            format!("PT_INTERP of {named} is {path}"),
        ),
        None if path.contains('/') => plain("not-found", format!("there is no {path} in it")),
        None => with(
            "not-found",
            format!("there is no program {path} in it"),
            format!("looked in {}", facts.searched),
        ),
    }
}

fn by_kind(path: &str, kind: &RuntimeErrorKind, user: &str) -> Why {
    match kind {
        RuntimeErrorKind::ExecutableNotFound => {
            plain("not-found", format!("{path} was not there at the start"))
        }
        RuntimeErrorKind::ExecFormat => plain("no-program", format!("the kernel does not execute {path}")),
        _ => {
            let user = if user.is_empty() { "root" } else { user };
            plain(
                "permission",
                format!("its user, {user}, may not execute {path}, or not enter its directory"),
            )
        }
    }
}

/// The first line of a text, without what moves a terminal's cursor.
pub(crate) fn line(text: &str) -> String {
    const LENGTH_MAX: usize = 200;
    let first = text.trim().lines().next().unwrap_or_default();
    let clean: String = first.chars().filter(|letter| !letter.is_control()).collect();
    match clean.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::StateView;

    fn container(change: impl FnOnce(&mut StateView)) -> Container {
        let mut state = StateView {
            status: Status::Exited,
            started_at: Some(jiff::Timestamp::UNIX_EPOCH),
            ..StateView::default()
        };
        change(&mut state);
        Container { path: "/app".into(), state, ..Container::default() }
    }

    fn cause(change: impl FnOnce(&mut StateView)) -> &'static str {
        why(&container(change), &Facts::default()).cause
    }

    fn by(who: Who, signal: i32) -> Option<EndedBy> {
        Some(EndedBy { who, signal })
    }

    #[test]
    fn ends() {
        assert_eq!(cause(|state| state.status = Status::Running), "running");
        assert_eq!(cause(|state| (state.status, state.started_at) = (Status::Created, None)), "created");
        assert_eq!(cause(|_| ()), "exited");
        assert_eq!(cause(|state| (state.exit_code, state.end.signal) = (139, Some(11))), "signal");
        assert_eq!(cause(|state| state.end.signal = Some(SIGSYS)), "seccomp");
        assert_eq!(cause(|state| (state.oom_killed, state.end.signal) = (true, Some(9))), "oom");
        // Who stops it has the last word, whatever happened to a child of it before.
        assert_eq!(cause(|state| (state.oom_killed, state.end.by) = (true, by(Who::Stop, 15))), "stopped");
        assert_eq!(cause(|state| state.end.by = by(Who::Health, 15)), "unhealthy");
        assert_eq!(cause(|state| (state.exit_code, state.end.by) = (3, by(Who::Kill, 15))), "killed");
        // It lived on with that one.
        assert_eq!(cause(|state| (state.exit_code, state.end.by) = (3, by(Who::Kill, 10))), "exited");
        assert_eq!(cause(|state| state.end.by = by(Who::MonitorLost, 0)), "monitor-lost");
    }

    #[test]
    fn failed_starts() {
        let found = |mode, program| Some(Found { is_file: true, mode, noexec: false, program });
        let link = |path: &str, found| Link { path: path.into(), found };
        let elf = |machine: &str| Program::Elf { machine: machine.into(), loader: Some("/lib/ld.so".into()) };
        let script = || Program::Script { interpreter: "/bin/python".into() };
        let of = |kind, chain| {
            let container = container(|state| state.end.failed_start = Some(kind));
            let facts = Facts { chain, machine: "amd64", ..Facts::default() };
            why(&container, &facts)
        };
        use RuntimeErrorKind::*;
        for name in ["app", "/bin/app"] {
            let Why { cause, sentence, evidence } = of(ExecutableNotFound, vec![link(name, None)]);
            let text = format!("{sentence} {}", evidence.join(" "));
            assert_eq!((cause, text.matches("app").count()), ("not-found", 1), "named once: {text}");
        }
        let chain = vec![link("/app", found(0o755, elf("amd64"))), link("/lib/ld.so", None)];
        assert_eq!(of(ExecutableNotFound, chain).cause, "missing-loader");
        let chain = vec![link("/app", found(0o755, script())), link("/bin/python", None)];
        let got = of(ExecutableNotFound, chain);
        assert_eq!(
            (got.cause, got.evidence[0].as_str()),
            ("missing-interpreter", "the first line of /app is #!/bin/python")
        );
        let chain = vec![link("/app", found(0o755, script())), link("/bin/python\\r", None)];
        assert!(of(ExecutableNotFound, chain).sentence.contains("Windows"));
        assert_eq!(
            of(ExecFormat, vec![link("/app", found(0o755, elf("arm64")))]).cause,
            "wrong-architecture"
        );
        assert_eq!(of(ExecFormat, vec![link("/app", found(0o755, Program::Unknown))]).cause, "no-program");
        assert_eq!(of(PermissionDenied, vec![link("/app", found(0o644, elf("amd64")))]).cause, "permission");
        assert_eq!(of(PermissionDenied, Vec::new()).cause, "permission");
        assert_eq!(of(Mount, Vec::new()).cause, "mount");
    }

    #[test]
    fn a_line_is_for_people() {
        assert_eq!(line("\x1b[31mred\r\nmore"), "[31mred");
        assert_eq!(line(&"ä".repeat(300)).chars().count(), 201);
    }
}
