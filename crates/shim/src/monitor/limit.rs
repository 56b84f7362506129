//! How long an exec may take, and how it is killed: with all that is still of its process group, such as the programs of
//! a shell line. Kept here rather than in the engine, so that a check that hangs ends also when its engine has.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, kill_process_group};

use super::Monitor;

#[derive(Debug, Default)]
pub(super) struct Limit {
    at: Option<Instant>,
    over: bool,
}

impl Limit {
    /// From now on.
    pub(super) fn of(milliseconds: Option<u64>) -> Self {
        Self { at: milliseconds.map(|limit| Instant::now() + Duration::from_millis(limit)), over: false }
    }

    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

impl Monitor {
    pub(super) fn enforce_limit(&mut self) {
        if self.ended.is_none() && self.limit.at.is_some_and(|at| Instant::now() >= at) {
            self.limit = Limit { at: None, over: true };
            let _ = self.signal(Signal::KILL.as_raw());
        }
    }

    pub(super) fn signal(&self, number: i32) -> Result<(), String> {
        if number == Signal::KILL.as_raw() && self.cgroup.is_none() && self.ended.is_none() {
            self.kill_group();
        }
        sys::pidfd::send_signal(self.pidfd.as_fd(), number).map_err(|error| error.to_string())
    }

    /// The number is the process's own as long as it is not reaped, which only this monitor does.
    fn kill_group(&self) {
        if let Some(pid) = Pid::from_raw(self.state.pid)
            && getpgid(Some(pid)) == Ok(pid)
        {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
