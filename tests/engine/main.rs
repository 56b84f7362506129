//! Black box, by the door of the engine: what a container gets, and what the daemon does with its configuration.
//! Each test has an engine of its own.

mod checkpoints;
mod commit;
mod containers;
mod daemon;
mod debug;
mod devices;
mod events;
mod files;
mod health;
mod identity;
mod lifecycle;
mod limits;
mod logs;
mod mounts;
mod plugins;
mod prune;
mod quotas;
mod remount;
mod stats;
mod update;
mod usage;
mod volumes;
mod why;

use std::path::Path;
use std::time::{Duration, Instant};

use testkit::{Engine, Output, busybox_image};

/// Long enough for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharf"))
}

/// An engine and its directory, with the image `bb`.
struct House {
    // Dropped first: it checks what is left below the directory.
    engine: Engine,
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self::with(&[])
    }

    /// `flags` beside the network's.
    fn with(flags: &[&str]) -> Self {
        let directory = testkit::directory();
        let engine = Engine::start_with(binary(), directory.path(), flags);
        let house = Self { engine, directory };
        house.import(&[]);
        house
    }

    /// The busybox image as `bb`, with `--change` lines.
    fn import(&self, changes: &[&str]) {
        let tar = self.directory.path().join("busybox.tar");
        if !tar.exists() {
            busybox_image(self.directory.path());
        }
        let tar = tar.display().to_string();
        let mut words = vec!["import"];
        changes.iter().for_each(|change| words.extend(["--change", change]));
        words.extend([tar.as_str(), "bb"]);
        self.ok(&words);
    }

    fn run(&self, words: &[&str]) -> Output {
        self.engine.wharf(words)
    }

    /// What it printed, without white space at the end; it must succeed.
    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let got = self.run(words);
        assert_eq!(got.status, 0, "{words:?}: {}{}\n{}", got.stdout, got.stderr, self.engine.log());
        got.stdout.trim_end().to_owned()
    }

    /// A shell line in a fresh container of `bb`, with options for `run`.
    #[track_caller]
    fn sh(&self, options: &[&str], line: &str) -> String {
        let mut words = vec!["run", "--rm"];
        words.extend(options);
        words.extend(["bb", "sh", "-c", line]);
        self.ok(&words)
    }

    /// It must fail; its status and what it said.
    #[track_caller]
    fn fails(&self, words: &[&str]) -> (i32, String) {
        let got = self.run(words);
        assert_ne!(got.status, 0, "{words:?} succeeded: {}", got.stdout);
        (got.status, got.stderr)
    }

    #[track_caller]
    fn inspect(&self, name: &str, template: &str) -> String {
        self.ok(&["inspect", "--format", template, name])
    }

    /// Waits until a template says so.
    #[track_caller]
    fn until(&self, name: &str, template: &str, wanted: &str) {
        let mut last = String::new();
        let came = eventually(|| {
            last = self.run(&["inspect", "--format", template, name]).stdout.trim_end().to_owned();
            last == wanted
        });
        assert!(came, "{name}: {template} is {last}, not {wanted}\n{}", self.engine.log());
    }

    /// All that has happened until now.
    #[track_caller]
    fn events(&self, filter: &[&str], format: &str) -> String {
        // Whole seconds: the next one is the first that holds everything.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let until = (now.as_secs() + 1).to_string();
        self.ok(&[&["events", "--since", "1", "--until", &until, "--format", format], filter].concat())
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = self
            .engine
            .pid()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("it runs"), signal).expect("signal the engine");
    }
}

/// Whether it becomes true before the deadline.
fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
