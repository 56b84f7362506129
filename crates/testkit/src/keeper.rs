//! What takes an engine away when its test cannot: a process of its own that waits for the test to end.
//!
//! A test process that is killed, or interrupted from the terminal, runs no destructors. The keeper's standard input
//! is a pipe that only the test holds, so it notices every kind of end; and it holds the claim on the engine's
//! [`Place`] until it has cleaned up, so that nobody is given the place before. Should the keeper be killed as well,
//! the next test process sweeps.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::place::Place;

const SCRIPT: &str = include_str!("keeper.sh");

#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    input: Option<ChildStdin>,
}

impl Keeper {
    /// # Panics
    /// When it cannot be started.
    pub(crate) fn watch(directory: &Path, place: &Place) -> Self {
        // As standard output it is inherited, and nothing is ever written there.
        let claim = Stdio::from(OwnedFd::from(place.claim.try_clone().expect("copy the claim")));
        let mut command = command(&directory.display().to_string(), Some(place));
        let mut child = command.stdin(Stdio::piped()).stdout(claim).spawn().expect("start the keeper");
        let input = child.stdin.take();
        Self { child, input }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// There is nothing left to do.
    pub(crate) fn dismiss(&mut self) {
        if let Some(mut input) = self.input.take() {
            let _ = input.write_all(b"done\n");
        }
        let _ = self.child.wait();
    }

    /// Cleans up now.
    pub(crate) fn clean(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.clean();
    }
}

/// Cleans up a place (and nothing else), or a directory (and the processes that know of it).
pub(crate) fn sweep(directory: Option<&Path>, place: Option<&Place>) {
    let directory = directory.map(|path| path.display().to_string()).unwrap_or_default();
    let _ = command(&directory, place).stdin(Stdio::null()).stdout(Stdio::null()).status();
}

fn command(directory: &str, place: Option<&Place>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "wharf-test-keeper", directory]);
    match place {
        Some(place) => command.args([&place.cgroup, &place.bridge, &place.table()]),
        None => command.args(["", "", ""]),
    };
    command
        // It finds processes by their environment, and must not find itself.
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stderr(Stdio::null())
        // A terminal's Ctrl-C is for the test.
        .process_group(0);
    command
}
