//! What a monitor writes down for an engine that is not there to be told.
//!
//! Both records are written beside and renamed over, so a reader sees all or nothing. They are not synced:
//! `<exec-root>` is a tmpfs, and after a power cut there are no processes to describe.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::protocol::Foreign;
use crate::{Error, layout};

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Record version, 1.
    pub version: u32,
    /// In the host's PID namespace.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat` (proc(5)), in clock ticks since boot: tells this process from a later
    /// one with the same number.
    pub start_ticks: u64,
    pub started_at: Timestamp,
    pub monitor_pid: i32,
    /// Where the kernel keeps the process's control groups, for an engine that must clean up after a monitor
    /// which was killed.
    pub cgroup: String,
    pub tty: bool,
    /// The runtime that made the container, if not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Foreign>,
}

/// A process that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Record version, 1.
    pub version: u32,
    pub pid: i32,
    /// 0 to 255; 128 + `signal` when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The kernel killed something in the container's cgroup for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// It was killed for [`crate::protocol::ExecRequest::time_limit_ms`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// It was written down, and ended with that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpointed: bool,
    pub finished_at: Timestamp,
    /// What else there is to say, such as a log that could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl State {
    /// `Ok(None)` when there is no such record.
    pub fn read(directory: &Path) -> Result<Option<State>, Error> {
        read(&layout::state(directory))
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<(), Error> {
        write(&layout::state(directory), self)
    }

    /// Whether the process this describes is still there (a zombie is not).
    pub fn is_running(&self) -> bool {
        matches!(start_ticks(self.pid), Some((ticks, state)) if ticks == self.start_ticks && state != b'Z' && state != b'X')
    }
}

impl Exit {
    /// `Ok(None)` when there is no such record.
    pub fn read(directory: &Path) -> Result<Option<Exit>, Error> {
        read(&layout::exit(directory))
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<(), Error> {
        write(&layout::exit(directory), self)
    }
}

/// Where a container's processes are, as soon as there can be any; `None` for one that was never begun, and for execs.
pub fn cgroup(directory: &Path) -> Option<String> {
    let noted = fs::read_link(layout::cgroup(directory)).ok();
    noted.and_then(|path| path.into_os_string().into_string().ok())
}

/// The time now, as records give it.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Start time in clock ticks and state letter of a process, from `/proc/<pid>/stat`.
pub fn start_ticks(pid: i32) -> Option<(u64, u8)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// The name (field 2) may contain blanks and parentheses: fields are counted from the last `)`.
fn parse_stat(stat: &[u8]) -> Option<(u64, u8)> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = stat.get(end + 2..)?.split(|&byte| byte == b' ');
    let state = *fields.next()?.first()?;
    // Field 3 is taken; field 22 is the nineteenth after it.
    let ticks = std::str::from_utf8(fields.nth(18)?).ok()?.trim().parse().ok()?;
    Some((ticks, state))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Path { what: "read", path: path.into(), source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Path {
        what: "read",
        path: path.into(),
        source: error.into(),
    })
}

fn write<T: Serialize>(path: &Path, record: &T) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Path { what: "write", path: path.into(), source };
    let bytes = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_hostile_name() {
        let stat = b"42 (a) R (b)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 2 3\n";
        assert_eq!(parse_stat(stat), Some((777, b'S')));
    }

    #[test]
    fn own_start_is_stable() {
        let pid = std::process::id() as i32;
        assert!(start_ticks(pid).is_some());
        assert_eq!(start_ticks(pid).map(|(ticks, _)| ticks), start_ticks(pid).map(|(ticks, _)| ticks));
    }
}
