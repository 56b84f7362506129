//! Black box, by the door of a user at a terminal: the built client on a pseudo terminal, in front of an engine of
//! its own. Raw mode is checked at every end of a client ([`Terminal::end`]).

mod attached;
mod detach;
mod ends;
mod signals;
mod terminal;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use terminal::Terminal;
use testkit::{Engine, busybox_image};

/// Long enough for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(40);
const PROMPT: &str = "/ # ";

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
        let directory = testkit::directory();
        let engine = Engine::start(binary(), directory.path());
        let house = Self { engine, directory };
        let tar = busybox_image(house.directory.path());
        house.ok(&["import", &tar.display().to_string(), "bb"]);
        house
    }

    /// What it printed, without white space at the end; it must succeed.
    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let got = self.engine.wharf(words);
        assert_eq!(got.status, 0, "{words:?}: {}{}\n{}", got.stdout, got.stderr, self.engine.log());
        got.stdout.trim_end().to_owned()
    }

    fn client(&self) -> Command {
        self.engine.client("wharf")
    }

    /// A client at a terminal of 33 rows and 101 columns.
    fn terminal(&self, words: &[&str]) -> Terminal {
        Terminal::start(&self.client(), words, (33, 101))
    }

    fn is_running(&self, name: &str) -> bool {
        self.ok(&["inspect", "--format", "{{.State.Running}}", name]) == "true"
    }
}

impl House {
    /// Waits until there were so many of these events, and no more.
    #[track_caller]
    fn happened(&self, action: &str, times: usize) {
        let filter = format!("event={action}");
        let mut seen = String::new();
        let came = eventually(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            let until = (now.as_secs() + 1).to_string();
            let words =
                ["events", "--since", "1", "--until", &until, "--filter", &filter, "--format", "{{.Action}}"];
            seen = self.ok(&words);
            seen.lines().count() == times
        });
        assert!(came && seen.lines().all(|line| line == action), "{seen}");
    }
}

/// Whether it becomes true before the deadline.
fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
