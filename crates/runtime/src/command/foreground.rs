//! A command that stays with its container: signals forwarded, terminal relayed, exit status passed on.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{WaitOptions, WaitStatus, wait};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use sys::signal::SignalSet;

use super::Failure;
use crate::Process;

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;
/// Signals that stop or break this process itself.
const OWN: [i32; 8] = [4, 5, 7, 8, 11, 6, 21, 22];

/// Rows and columns of the caller's terminal.
pub(super) fn window() -> Option<(u16, u16)> {
    tcgetwinsize(rustix::stdio::stdin()).ok().map(|w| (w.ws_row, w.ws_col))
}

/// Puts the terminal back as it was.
struct Raw(Termios);

impl Raw {
    fn begin() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) {
            return None;
        }
        let before = tcgetattr(stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

/// The signals that are to be passed on, kept until [`stay`] takes them.
#[derive(Debug)]
pub(super) struct Watch(SignalSet);

impl Watch {
    /// Before the program begins: a signal that comes when it has just begun is the program's, too, and must not
    /// end this process instead.
    pub(super) fn begin() -> io::Result<Self> {
        let waited: Vec<i32> = (1..=64).filter(|n| !OWN.contains(n)).collect();
        let set = SignalSet::of(&waited);
        sys::signal::set_mask(&set)?;
        Ok(Self(set))
    }
}

/// Waits for the process's end; its status, or 128 and the signal.
pub(super) fn stay(process: Process, Watch(set): Watch) -> Result<u8, Failure> {
    let raw = process.console.as_ref().and_then(|_| Raw::begin());
    let output = process.console.as_ref().map(relay).transpose()?;
    loop {
        // Looked at first: of several signals of one kind only one waits.
        if let Some(status) = reap(&process)? {
            if let Some(output) = output {
                // Ends when the last of the container has closed its side.
                let _ = output.join();
            }
            drop(raw);
            let code = status.exit_status().or(status.terminating_signal().map(|s| 128 + s));
            return Ok(code.and_then(|c| u8::try_from(c).ok()).unwrap_or(255));
        }
        match sys::signal::wait(&set, None)? {
            Some(SIGCHLD) | None => {}
            Some(SIGWINCH) => {
                if let (Some(console), Ok(size)) = (&process.console, tcgetwinsize(rustix::stdio::stdin())) {
                    tcsetwinsize(console, size)?;
                }
            }
            Some(number) => {
                // It may have ended just now.
                let _ = sys::pidfd::send_signal(process.pidfd.as_fd(), number);
            }
        }
    }
}

/// The status of the process, once it has ended. Others are orphans: of a container without a pid namespace they
/// come to this process, as subreaper, and nobody else waits for them.
fn reap(process: &Process) -> Result<Option<WaitStatus>, Failure> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == process.pid => return Ok(Some(status)),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Two threads copy; the one for input ends with the process.
fn relay(console: &OwnedFd) -> io::Result<std::thread::JoinHandle<()>> {
    let mut input = File::from(console.try_clone()?);
    let mut output = File::from(console.try_clone()?);
    std::thread::spawn(move || {
        // An error is the end of one of the two sides.
        let _ = io::copy(&mut io::stdin().lock(), &mut input);
    });
    Ok(std::thread::spawn(move || {
        let _ = io::copy(
            &mut output,
            &mut File::from(match rustix::stdio::stdout().try_clone_to_owned() {
                Ok(stdout) => stdout,
                Err(_) => return,
            }),
        );
    }))
}
