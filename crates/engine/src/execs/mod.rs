//! Execs: further processes in a running container.

pub(crate) mod boot;
pub(crate) mod check;
mod note;
pub(crate) mod registry;
mod request;
mod service;
pub use service::{ExecTicket, Execs};

use std::os::fd::OwnedFd;

/// `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default)]
pub struct ExecSpec {
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub tty: bool,
    pub console_size: Option<(u16, u16)>,
    pub detach_keys: Option<String>,
    pub env: Vec<String>,
    pub cmd: Vec<String>,
    pub privileged: bool,
    /// Empty: the container's.
    pub user: String,
    pub working_dir: String,
}

/// `POST /exec/{id}/start`.
#[derive(Debug, Default)]
pub struct ExecStartRequest {
    pub detach: bool,
    /// The client wants raw bytes instead of frames; whether there is a pty was said at create.
    pub tty: bool,
    pub console_size: Option<(u16, u16)>,
}

/// The client's raw connection after the upgrade, with what HTTP had read too much.
#[derive(Debug)]
pub struct Connection {
    pub stream: OwnedFd,
    pub leftover: Vec<u8>,
}

/// `GET /exec/{id}/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecView {
    pub id: String,
    pub container_id: String,
    pub running: bool,
    /// `None` until it has ended.
    pub exit_code: Option<i32>,
    /// Why nobody knows how it ended: its monitor was killed. Empty otherwise.
    pub error: String,
    pub pid: u32,
    pub open_stdin: bool,
    pub open_stdout: bool,
    pub open_stderr: bool,
    pub can_remove: bool,
    pub detach_keys: String,
    pub tty: bool,
    pub entrypoint: String,
    pub arguments: Vec<String>,
    pub user: String,
    pub privileged: bool,
}
