//! Tables of scenarios, run through this client and through the unmodified `docker`, against the same engine:
//! stdout, stderr and status must be the same.
//!
//! A scenario is a list of lines, run in order, first by the one client, then by the other:
//!
//! * `NAME` is a container's name, different for the two clients; `DIR` is a directory of the client's own; `FIX` has
//!   the fixtures of [`Fixtures`]; the image `bb` is busybox.
//! * `IN:text line` gives the line that text as stdin.
//! * `SH:line` is a line of bash, where `docker` is the client: for pipes, files and two clients at once.
//! * `NEW:line` names what a Docker client before 28 does not know; it is left out with such a one.
//!
//! What differs by nature (names, ids, times, ages) is made the same before it is compared. Docker's own client decides:
//! 29 must agree in every byte; what 29 reworded is translated for a 28; before that (Debian 12 has 20.10) refusals are
//! worded in another way altogether, so there only stdout, status, and whether something was said are compared.

mod containers;
mod fixtures;
mod images;
mod run;
mod system;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::{Engine, Output};

use fixtures::Fixtures;

/// Texts that Docker 29 changed, and Wharf with it: an older client's, and what it is now.
const REWORDED: &[(&str, &str)] = &[
    ("Invalid --security-opt:", "invalid --security-opt:"),
    (
        "the input device is not a TTY",
        "cannot attach stdin to a TTY-enabled container because stdin is not a terminal",
    ),
    ("Error: No such object:", "error: no such object:"),
    ("You cannot attach to a stopped container", "cannot attach to a stopped container"),
    ("You cannot attach to a paused container", "cannot attach to a paused container"),
    ("Error: failed to start containers:", "failed to start containers:"),
    (
        "Error response from daemon: No such container: nosuch\nError: failed to rename container named nosuch",
        "failed to rename container: Error response from daemon: No such container: nosuch",
    ),
];

/// The two clients, and the engine they talk to.
struct Clients {
    host: String,
    docker: PathBuf,
    /// Docker's major version.
    major: u32,
    /// Answers differ by API version: both ask in the one that Docker's client knows.
    api: String,
    directory: PathBuf,
}

/// Runs every scenario with both, and fails with all differences.
fn compare(scenarios: &[&[&str]]) {
    let directory = testkit::directory();
    // Any engine can be compared with; by default it is a private one.
    let (engine, host) = match std::env::var("WHARF_TEST_ENGINE") {
        Ok(host) => (None, host),
        Err(_) => {
            let engine = Engine::start(Path::new(env!("CARGO_BIN_EXE_wharf")), directory.path());
            let host = engine.host();
            (Some(engine), host)
        }
    };
    let fixtures = Fixtures::make(directory.path());
    let tar = fixtures.tar();
    let imported =
        crate::outcome(&host, &["import", "-c", "CMD [\"sh\"]", tar.to_str().unwrap(), "bb:latest"]);
    assert_eq!(imported.status, 0, "{imported:?}");
    let docker = match (std::env::var_os("WHARF_TEST_DOCKER"), &engine) {
        (Some(path), _) => Some(PathBuf::from(path)),
        (None, Some(engine)) => engine.docker().map(|docker| docker.get_program().into()),
        (None, None) => Some("docker".into()),
    };
    let docker = docker.expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    let clients = Clients::new(host, docker, directory.path());
    let different: Vec<String> =
        scenarios.iter().flat_map(|scenario| clients.differences(scenario)).collect();
    assert!(different.is_empty(), "{} lines differ:\n{}", different.len(), different.join("\n"));
}

impl Clients {
    fn new(host: String, docker: PathBuf, directory: &Path) -> Self {
        let mut asked = Command::new(&docker);
        asked.args(["version", "-f", "{{.Client.Version}} {{.Client.APIVersion}}"]);
        let said = Output::of(asked.env("DOCKER_HOST", &host).env("DOCKER_CONFIG", "/nonexistent")).stdout;
        let (version, api) =
            said.trim().split_once(' ').unwrap_or_else(|| panic!("{docker:?} said {said:?}"));
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        for name in ["ours", "theirs"] {
            std::fs::create_dir(directory.join(name)).unwrap();
        }
        Self {
            host,
            docker,
            major: major.unwrap_or_else(|| panic!("a version of docker: {version:?}")),
            api: api.to_owned(),
            directory: directory.to_owned(),
        }
    }

    fn differences(&self, scenario: &[&str]) -> Vec<String> {
        let mut different = Vec::new();
        for line in scenario {
            let line = match line.strip_prefix("NEW:") {
                Some(_) if self.major < 28 => continue,
                Some(line) => line,
                None => line,
            };
            let ours = self.said(Path::new(env!("CARGO_BIN_EXE_wharf")), line, "ours");
            let theirs = self.said(&self.docker, line, "theirs");
            let (mut left, mut right) = (ours.clone(), theirs.clone());
            if self.major < 29 {
                for (old, new) in REWORDED {
                    right.stderr = right.stderr.replace(old, new);
                }
            }
            if self.major < 28 {
                for side in [&mut left, &mut right] {
                    side.stderr = if side.stderr.is_empty() { "" } else { "said something" }.to_owned();
                }
            }
            if left != right {
                eprintln!("DIFF {line}\n  wharf:  {ours:?}\n  docker: {theirs:?}");
                different.push(format!("{line}\n  wharf:  {ours:?}\n  docker: {theirs:?}"));
            }
        }
        different
    }

    /// Runs a line through bash, for its quotes, with the program called as `docker`.
    fn said(&self, program: &Path, line: &str, name: &str) -> Output {
        let (stdin, line) = match line.strip_prefix("IN:").and_then(|rest| rest.split_once(' ')) {
            Some((stdin, line)) => (stdin, line),
            None => ("", line),
        };
        let own = self.directory.join(name);
        let script = match line.strip_prefix("SH:") {
            Some(script) => script.to_owned(),
            None => format!("docker {line}"),
        };
        let script = script
            .replace("NAME", name)
            .replace("DIR", &own.to_string_lossy())
            .replace("FIX", &self.directory.join("fixtures").to_string_lossy());
        // A subshell, so that exec, which gives the program its name, ends only that.
        let program = program.display();
        // A line that does not end is a difference too; it ends with all that it started.
        let mut child = Command::new("timeout")
            .args([
                "--kill-after=5",
                "60",
                "bash",
                "-c",
                &format!("docker() {{ (exec -a docker '{program}' \"$@\"); }}; {script}"),
            ])
            .current_dir(&own)
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_API_VERSION", &self.api)
            .env("DOCKER_CONFIG", own.join("config"))
            .env("WHARF_AUTOSTART", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A client that does not read its stdin has closed it by now.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&*own.to_string_lossy(), "DIR");
            same(&text.replace(name, "NAME"))
        };
        Output {
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            status: output.status.code().unwrap_or(-1),
        }
    }
}

/// Ids, times and ages as one.
fn same(text: &str) -> String {
    let mut plain = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '+') || (c == '-' && !word.is_empty()) {
            word.push(c);
            continue;
        }
        plain.push_str(&same_word(&word));
        word.clear();
        plain.push(c);
    }
    plain.pop();
    ages(&plain.replace("Less than a second", "AGE").replace("About a minute", "AGE"))
}

/// `3 seconds`, `1 minute` as `AGE`.
fn ages(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(' ') {
        let unit =
            ["seconds", "second", "minutes", "minute"].into_iter().find_map(|unit| word.strip_prefix(unit));
        let number = words.last().map(|last| last.trim_end_matches(|c: char| c.is_ascii_digit()));
        match (unit, number) {
            (Some(rest), Some(before)) if words.last().is_some_and(|last| last.len() > before.len()) => {
                words.pop();
                words.push(before);
                words.push("AGE");
                words.push(rest);
            }
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// A point in time is `TIME`; twelve hexadecimal digits and more are `ID`.
fn same_word(word: &str) -> String {
    let bytes = word.as_bytes();
    if bytes.len() >= 19 && bytes[4] == b'-' && bytes[10] == b'T' {
        return "TIME".into();
    }
    let mut plain = String::new();
    let mut digits = String::new();
    for c in word.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        plain.push_str(if digits.len() >= 12 { "ID" } else { &digits });
        digits.clear();
        plain.push(c);
    }
    plain.pop();
    plain
}
