//! Signals to everything in the cgroup.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::freezer::{event, wait_v2};
use crate::wait::Backoff;
use crate::{Cgroup, Error, Layout, Result};

/// A killed process that is still there after this sits in the kernel, and waiting longer is no use.
const DEADLINE: Duration = Duration::from_secs(10);

const KILL: i32 = 9;

impl Cgroup {
    /// Kills everything in the cgroup and below, and returns when it is empty. (The parent still has to reap
    /// what it owns: a zombie is in no cgroup.)
    ///
    /// v2 does it in one write to `cgroup.kill`. On v1 the group is frozen while its processes are listed and
    /// signalled, so that a fork bomb cannot outrun the list, and the list is read until it is empty.
    pub fn kill(&self) -> Result<()> {
        let started = Instant::now();
        let timeout = |what| Error::Timeout {
            what,
            path: self.display().to_owned(),
            millis: started.elapsed().as_millis(),
        };
        if self.machine().layout() == Layout::Unified
            && let Some(directory) = self.unified()
        {
            match directory.write("cgroup.kill", "1") {
                Ok(()) => {
                    let empty = wait_v2(directory, DEADLINE, |events| event(events, "populated") == Some(0))?;
                    return if empty { Ok(()) } else { Err(timeout("kill")) };
                }
                // Before Linux 5.14.
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        let mut backoff = Backoff::until(DEADLINE);
        loop {
            let pids = self.procs()?;
            match pids[..] {
                [] => return Ok(()),
                // One process is killed without ceremony; should it fork, the next round sees two.
                [one] => send(one, KILL),
                _ => {
                    let frozen = self.freeze_within(Duration::from_millis(500)).is_ok();
                    self.procs()?.into_iter().for_each(|pid| send(pid, KILL));
                    if frozen {
                        self.thaw()?;
                    }
                }
            }
            // Somebody paused it: a frozen process dies once it is thawed.
            if self.is_frozen()? {
                self.thaw()?;
            }
            if !backoff.pause() {
                return Err(timeout("kill"));
            }
        }
    }

    /// Sends a signal, by number, once to every process in the cgroup and below (`kill --all`).
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.procs()?.into_iter().for_each(|pid| send(pid, signal));
        Ok(())
    }
}

/// A process that is gone in the meantime is what was wanted.
fn send(pid: Pid, signal: i32) {
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        let _ = sys::pidfd::send_signal(pidfd.as_fd(), signal);
    }
}
