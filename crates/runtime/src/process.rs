//! Processes as their makers hold them.

use std::os::fd::OwnedFd;

use rustix::process::Pid;

use crate::{CreateRequest, Error, ExecRequest, Result};

/// A container that waits to be started. Dropping it kills the waiting process.
#[derive(Debug)]
pub struct Created {
    /// As the caller's pid namespace numbers it; the caller is the parent and reaps it.
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// The pty's master, with [`crate::Stdio::Terminal`].
    pub console: Option<OwnedFd>,
}

/// A process whose `execve` succeeded.
#[derive(Debug)]
pub struct Process {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    pub console: Option<OwnedFd>,
}

/// Makes a container up to the point where its program would begin.
///
/// # Errors
/// Every typed failure of [`Error`]; nothing of the process is left then.
pub fn create(_request: CreateRequest<'_>) -> Result<Created> {
    Err(Error::Unsupported("create is not built yet".into()))
}

impl Created {
    /// Lets the program begin and waits until it has.
    ///
    /// # Errors
    /// A `startContainer` hook failed, or the kernel refused the program.
    pub fn start(self) -> Result<Process> {
        Err(Error::Unsupported("start is not built yet".into()))
    }
}

/// Runs one more process in a container and waits until its program has begun. The caller is its parent.
///
/// # Errors
/// As [`create`].
pub fn exec(_request: ExecRequest<'_>) -> Result<Process> {
    Err(Error::Unsupported("exec is not built yet".into()))
}
