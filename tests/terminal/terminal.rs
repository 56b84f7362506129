//! A user's terminal: the test is on the one side, a client on the other.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::DEADLINE;

/// Rows and columns.
pub(crate) type Size = (u16, u16);

/// How long one look at the terminal waits for more: the client's end shows nowhere else.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A pseudo terminal with a client on it, which leads the terminal's session.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: File,
    /// Kept for its settings; and so the master never ends.
    slave: File,
    before: String,
    client: Child,
    /// What was shown and not yet expected.
    screen: String,
}

impl Terminal {
    pub(crate) fn start(client: &Command, words: &[&str], size: Size) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        unlockpt(&master).expect("unlock it");
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = File::from(ioctl_tiocgptpeer(&master, flags).expect("its other side"));
        let end = || Stdio::from(slave.try_clone().expect("share the terminal"));
        // Not the leader of a process group: it becomes the client, and does not start one.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(client.get_program()).args(client.get_args()).args(words);
        for (name, value) in client.get_envs() {
            set(&mut command, name, value);
        }
        command.stdin(end()).stdout(end()).stderr(end());
        let master = File::from(master);
        let before = settings(&slave);
        resize(&master, size);
        let client = command.spawn().expect("start a client");
        // Its copies of the terminal.
        drop(command);
        Self { master, slave, before, client, screen: String::new() }
    }

    /// Types.
    #[track_caller]
    pub(crate) fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("type");
    }

    /// A line, and what must come after it.
    #[track_caller]
    pub(crate) fn line(&mut self, line: &str, answer: &str) {
        self.write(&format!("{line}\r"));
        self.expect(answer);
    }

    /// Waits until it shows `text`, and forgets all up to there.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.screen.find(text) {
                self.screen.drain(..at + text.len());
                return;
            }
            let ended = self.client.try_wait().expect("look at the client");
            let more = self.look();
            assert!(ended.is_none() || more, "{text:?} never came, {ended:?}: {:?}", self.screen);
            assert!(Instant::now() < deadline, "{text:?} does not come: {:?}", self.screen);
        }
    }

    /// Waits for the client's end: its status, 128 plus a signal's number. All settings must be what they were.
    #[track_caller]
    pub(crate) fn end(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let ended = self.client.try_wait().expect("look at the client");
            let more = self.look();
            if let Some(status) = ended
                && !more
            {
                assert_eq!(settings(&self.slave), self.before, "the terminal was not given back");
                return status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "the client does not end: {:?}", self.screen);
        }
    }

    /// What it shows that was not expected.
    pub(crate) fn rest(&self) -> &str {
        &self.screen
    }

    /// Whether its settings are others than before the client.
    pub(crate) fn is_raw(&self) -> bool {
        settings(&self.slave) != self.before
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.client.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("signal the client");
    }

    /// As a window does: the kernel tells the client.
    pub(crate) fn resize(&self, size: Size) {
        resize(&self.master, size);
    }

    /// Takes in what there is; waits a moment for it.
    fn look(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        if poll(&mut fds, Some(&LOOK)) != Ok(1) {
            return false;
        }
        let mut buffer = [0; 4096];
        let read = self.master.read(&mut buffer).expect("read the terminal");
        self.screen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        read > 0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

fn set(command: &mut Command, name: &OsStr, value: Option<&OsStr>) {
    match value {
        Some(value) => command.env(name, value),
        None => command.env_remove(name),
    };
}

fn resize(master: &File, (rows, columns): Size) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("set the window's size");
}

fn settings(terminal: &File) -> String {
    format!("{:?}", tcgetattr(terminal).expect("read the terminal's settings"))
}
