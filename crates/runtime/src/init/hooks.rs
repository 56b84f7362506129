//! Hooks: programs that get the state document on stdin.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci::runtime::{Hook, Spec, State, Status, VERSION};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Error, Result};

/// The state document of a container at some point of its life.
pub(crate) fn document(id: &str, spec: &Spec, bundle: &std::path::Path, status: Status, pid: i32) -> State {
    State {
        oci_version: if spec.oci_version.is_empty() { VERSION.into() } else { spec.oci_version.clone() },
        id: id.into(),
        status,
        pid,
        bundle: bundle.display().to_string(),
        annotations: spec.annotations.clone(),
    }
}

/// Runs the hooks in their order, the first failure ends it.
pub(crate) fn run(kind: &str, hooks: &[Hook], state: &State) -> Result<()> {
    run_with(kind, hooks, state, &[])
}

/// As [`run`]; hooks without an environment get this one.
pub(super) fn run_with(kind: &str, hooks: &[Hook], state: &State, environment: &[String]) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_vec(state).map_err(|e| Error::Invalid(e.to_string()))?;
    for (index, hook) in hooks.iter().enumerate() {
        one(hook, &text, environment).map_err(|problem| Error::Hook { kind: kind.into(), index, problem })?;
    }
    Ok(())
}

/// Its streams are files: one that reads nothing, says much or leaves something running behind it cannot hold the
/// container up.
fn one(hook: &Hook, state: &[u8], environment: &[String]) -> std::result::Result<(), String> {
    let text = |error: io::Error| format!("{}: {}", hook.path, crate::error::text(&error));
    let (mut input, output, errors) = (file().map_err(text)?, file().map_err(text)?, file().map_err(text)?);
    input.write_all(state).and_then(|()| input.rewind()).map_err(text)?;
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    let environment = if hook.env.is_empty() { environment } else { &hook.env };
    command.env_clear().envs(environment.iter().filter_map(|pair| pair.split_once('=')));
    let share = |file: &File| file.try_clone().map(Stdio::from).map_err(text);
    command.stdin(Stdio::from(input)).stdout(share(&output)?).stderr(share(&errors)?).process_group(0);
    let started = Instant::now();
    let mut child = command.spawn().map_err(text)?;
    let timeout = hook.timeout.and_then(|t| u64::try_from(t).ok()).map(Duration::from_secs);
    if let Some(timeout) = timeout
        && !ends_within(&child, started, timeout).map_err(text)?
    {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // Already gone is as good.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = child.wait();
        return Err(format!("hook ran past specified timeout of {:.1}s", timeout.as_secs_f64()));
    }
    let status = child.wait().map_err(text)?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"));
    Err(format!("{code}, stdout: {}, stderr: {}", said(output), said(errors)))
}

fn file() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC)?))
}

/// The beginning of what it said, for the message.
fn said(mut file: File) -> String {
    let mut bytes = Vec::new();
    // Only for the message.
    let _ = file.rewind().and_then(|()| file.take(4096).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

/// Waits on a pidfd, so that no signal and no polling is needed.
fn ends_within(child: &std::process::Child, started: Instant, limit: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{PidfdFlags, pidfd_open};
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = limit.saturating_sub(started.elapsed());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs all of them even if some fail: the container is gone, and what they clean up is not theirs to keep. What
/// failed comes back as warnings.
pub(crate) fn run_all(kind: &str, hooks: &[Hook], state: &State) -> Vec<Error> {
    let text = serde_json::to_vec(state).unwrap_or_default();
    let failed = |(index, hook)| {
        one(hook, &text, &[]).err().map(|problem| Error::Hook { kind: kind.into(), index, problem })
    };
    hooks.iter().enumerate().filter_map(failed).collect()
}
