//! Tables of scenarios, run through this client and through the unmodified `docker`, against the same engine:
//! stdout, stderr and status must be the same.
//!
//! A scenario is a list of lines, run in order, by each client with an engine of its own:
//!
//! * `NAME` is a container's name that no other scenario uses; `DIR` is a directory of the client's own; `FIX` has
//!   the fixtures of [`Fixtures`]; the image `bb` is busybox.
//! * `IN:text line` gives the line that text as stdin.
//! * `SH:line` is a line of bash, where `docker` is the client: for pipes, files and two clients at once.
//! * `28:line` and `29:line` need that version of Docker's client, which is the first to know what they name; they are
//!   left out with an older one.
//!
//! What differs by nature (ids, times, ages) is made the same before it is compared. Docker's own client decides:
//! 29 must agree in every byte; what 29 reworded is translated for a 28; before that (Debian 12 has 20.10) refusals are
//! worded in another way altogether, so there only stdout, status, and whether something was said are compared.

mod arguments;
mod containers;
mod files;
mod fixtures;
mod formats;
mod health;
mod images;
mod lives;
mod logs;
mod networks;
mod ports;
mod run;
mod system;
mod volumes;

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
    ("Error parsing reference:", "error parsing reference:"),
    ("SRun 'docker", "Run 'docker"),
    ("error parsing specified platform: ", ""),
    ("Error: failed to start containers:", "failed to start containers:"),
    (
        "Error response from daemon: No such container: nosuch\nError: failed to rename container named nosuch",
        "failed to rename container: Error response from daemon: No such container: nosuch",
    ),
];

/// A client, and the engine that only it talks to.
struct Side {
    program: PathBuf,
    /// Of the client's own: its working directory, configuration and files; one length, as texts are wrapped.
    directory: PathBuf,
    fixtures: PathBuf,
    /// Answers differ by API version: both ask in the one that Docker's client knows.
    api: String,
    engine: Engine,
}

/// Runs every scenario with both, and fails with all differences.
fn compare(scenarios: &[&[&str]]) {
    let directory = testkit::directory();
    let fixtures = Fixtures::make(directory.path());
    let wharf = PathBuf::from(env!("CARGO_BIN_EXE_wharf"));
    let mut ours = Side::start(wharf, &fixtures, &directory.path().join("wharf."));
    let docker = ours.engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    let mut theirs = Side::start(docker.get_program().into(), &fixtures, &directory.path().join("docker"));
    let (major, api) = theirs.version();
    (ours.api, theirs.api) = (api.clone(), api);
    let different: Vec<String> = scenarios
        .iter()
        .enumerate()
        .flat_map(|(number, scenario)| differences(scenario, &format!("box-{number}"), major, &ours, &theirs))
        .collect();
    assert!(different.is_empty(), "{} lines differ:\n{}", different.len(), different.join("\n"));
}

/// One scenario with both clients, line by line.
fn differences(scenario: &[&str], name: &str, major: u32, ours: &Side, theirs: &Side) -> Vec<String> {
    let mut different = Vec::new();
    for line in scenario {
        let needed = line.split_once(':').and_then(|(first, line)| Some((first.parse::<u32>().ok()?, line)));
        let line = match needed {
            Some((version, _)) if version > major => continue,
            Some((_, line)) => line,
            None => line,
        };
        let (ours, mut theirs) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| ours.said(line, name));
            let theirs = theirs.said(line, name);
            (ours.join().expect("run a line"), theirs)
        });
        if major < 29 {
            for (old, new) in REWORDED {
                theirs.stderr = theirs.stderr.replace(old, new);
            }
        }
        let same = if major < 28 {
            (&ours.stdout, ours.status, ours.stderr.is_empty())
                == (&theirs.stdout, theirs.status, theirs.stderr.is_empty())
        } else {
            ours == theirs
        };
        if !same {
            different.push(format!("{line}\n  wharf:  {ours:?}\n  docker: {theirs:?}"));
        }
    }
    different
}

impl Side {
    fn start(program: PathBuf, fixtures: &Fixtures, directory: &Path) -> Self {
        let home = directory.join("engine");
        std::fs::create_dir_all(&home).expect("make the engine's directory");
        let engine = Engine::start(Path::new(env!("CARGO_BIN_EXE_wharf")), &home);
        let tar = fixtures.tar().to_str().expect("a path of text");
        let imported = crate::outcome(&engine.host(), &["import", "-c", "CMD [\"sh\"]", tar, "bb:latest"]);
        assert_eq!(imported.status, 0, "{imported:?}");
        Self {
            program,
            directory: directory.into(),
            fixtures: fixtures.directory().into(),
            api: String::new(),
            engine,
        }
    }

    /// The client's major version, and the newest version of the API that it knows.
    fn version(&self) -> (u32, String) {
        let mut asked = Command::new(&self.program);
        asked.args(["version", "-f", "{{.Client.Version}} {{.Client.APIVersion}}"]);
        asked.env("DOCKER_HOST", self.engine.host()).env("DOCKER_CONFIG", "/nonexistent");
        let said = Output::of(&mut asked).stdout;
        let versions = said.trim().split_once(' ');
        versions
            .and_then(|(version, api)| Some((version.split('.').next()?.parse().ok()?, api.to_owned())))
            .unwrap_or_else(|| panic!("{:?} said of its version {said:?}", self.program))
    }

    /// Runs a line through bash, for its quotes, with the program called as `docker`.
    fn said(&self, line: &str, name: &str) -> Output {
        let (stdin, line) = match line.strip_prefix("IN:").and_then(|rest| rest.split_once(' ')) {
            Some((stdin, line)) => (stdin, line),
            None => ("", line),
        };
        let script = match line.strip_prefix("SH:") {
            Some(script) => script.to_owned(),
            None => format!("docker {line}"),
        };
        let script = script
            .replace("NAME", name)
            .replace("DIR", &self.directory.to_string_lossy())
            .replace("FIX", &self.fixtures.to_string_lossy());
        // A subshell, so that exec, which gives the program its name, ends only that.
        let docker = format!("docker() {{ (exec -a docker '{}' \"$@\"); }}", self.program.display());
        // A line that does not end is a difference too; it ends with all that it started.
        let mut child = Command::new("timeout")
            .args(["--kill-after=5", "60", "bash", "-c", &format!("{docker}; {script}")])
            .current_dir(&self.directory)
            .env("DOCKER_HOST", self.engine.host())
            .env("DOCKER_API_VERSION", &self.api)
            .env("DOCKER_CONFIG", self.directory.join("config"))
            .env("WHARF_AUTOSTART", "0")
            .env_remove("DOCKER_CONTEXT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run timeout");
        // A client that does not read its stdin has closed it by now.
        let _ = child.stdin.take().expect("its stdin").write_all(stdin.as_bytes());
        let output = child.wait_with_output().expect("wait for a line");
        let text = |bytes: &[u8]| {
            same(&String::from_utf8_lossy(bytes).replace(&*self.directory.to_string_lossy(), "DIR"))
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
    plain.split_inclusive('\n').map(ages).collect()
}

/// `3 seconds`, `About a minute` as `AGE`, with one column's width: a table is as wide as its ages.
fn ages(line: &str) -> String {
    let line = line.replace("Less than a second", "0 seconds").replace("About a minute", "1 minute");
    let mut words: Vec<&str> = Vec::new();
    let mut aged = false;
    for word in line.split(' ') {
        let unit =
            ["seconds", "second", "minutes", "minute"].into_iter().find_map(|unit| word.strip_prefix(unit));
        let before = words.last().map(|last| last.trim_end_matches(|c: char| c.is_ascii_digit()));
        match (unit, before) {
            (Some(rest), Some(before)) if words.last().is_some_and(|last| last.len() > before.len()) => {
                words.pop();
                words.extend([before, "AGE", rest].into_iter().filter(|part| !part.is_empty()));
                aged = true;
            }
            _ => words.push(word),
        }
    }
    if aged || line.contains("CREATED") {
        words.retain(|word| !word.is_empty());
    }
    words.join(" ")
}

/// A point in time is `TIME`, or `DATE` and `CLOCK`; twelve hexadecimal digits and more are `ID`.
fn same_word(word: &str) -> String {
    let bytes = word.as_bytes();
    let is = |shape: &str| {
        bytes.len() >= shape.len()
            && shape.bytes().zip(bytes).all(|(s, b)| if s == b'0' { b.is_ascii_digit() } else { s == *b })
    };
    if is("0000-00-00T00:00:00") {
        return "TIME".into();
    }
    // As Go prints it, in two words.
    match bytes.len() {
        10 if is("0000-00-00") => return "DATE".into(),
        8 if is("00:00:00") => return "CLOCK".into(),
        _ => {}
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
