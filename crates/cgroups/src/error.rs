//! What can go wrong with a cgroup. Every variant names the file, controller or value it is about, because
//! the kernel's own answer (`EINVAL`) never does.

use std::io;
use std::path::PathBuf;

/// An operation on a cgroup failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused an operation on a file or directory of the tree.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried: `open`, `create`, `read`, `remove` ...
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused a value.
    #[error("write {value:?} to {}: {source}", path.display())]
    Write {
        /// What was written.
        value: String,
        /// Into which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file holds something this version does not understand.
    #[error("{} holds {text:?}, expected {expected}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it holds (the line in question).
        text: String,
        /// What was expected there.
        expected: &'static str,
    },
    /// The machine mounts no cgroup tree at all.
    #[error("no cgroup file system is mounted")]
    NotMounted,
    /// A limit was asked for whose controller is neither mounted nor enabled.
    #[error("{what} needs the cgroup controller {controller}, which this machine does not offer")]
    NoController {
        /// The controller, as in `/proc/cgroups`.
        controller: &'static str,
        /// What was asked for.
        what: String,
    },
    /// The request itself makes no sense, whatever the kernel.
    #[error("{0}")]
    Invalid(String),
    /// Something did not happen before the deadline.
    #[error("{what} of cgroup {} did not finish in {millis} ms", path.display())]
    Timeout {
        /// `freeze`, `kill` or `delete`.
        what: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// How long was waited.
        millis: u128,
    },
    /// An eBPF program could not be loaded or attached.
    #[error("device filter of {}: {action}: {source}", path.display())]
    DeviceFilter {
        /// `load`, `attach`, `query` ...
        action: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// The error number below, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Io { source, .. } | Error::Write { source, .. } | Error::DeviceFilter { source, .. } => {
                source.raw_os_error()
            }
            _ => None,
        }
    }

    /// Is it `ENOENT`: the cgroup, or the file of an absent feature, is not there?
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(rustix::io::Errno::NOENT.raw_os_error())
    }

    /// The cgroup was removed while its file was open.
    pub fn is_gone(&self) -> bool {
        self.is_not_found() || self.is(rustix::io::Errno::NODEV)
    }

    pub(crate) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.errno() == Some(errno.raw_os_error())
    }
}

/// Shorthand of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
