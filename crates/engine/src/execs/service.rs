//! The exec service.

use super::{Connection, ExecSpec, ExecStartRequest, ExecView};
use crate::error::{Error, Result};

/// Everything about execs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Execs {}

/// An exec that may be started: checked before the server upgrades the connection.
#[derive(Debug)]
pub struct ExecTicket {
    /// A pty: raw bytes on the connection, else frames.
    pub tty: bool,
}

impl Execs {
    /// Answers the exec's id.
    pub async fn create(&self, _container: &str, _spec: ExecSpec) -> Result<String> {
        Err(Error::unsupported("exec: not wired yet"))
    }
    /// Check that it exists, has not run yet and its container runs. The exec is taken: a second open conflicts.
    pub async fn open(&self, _id: &str, _request: ExecStartRequest) -> Result<ExecTicket> {
        Err(Error::unsupported("exec: not wired yet"))
    }
    pub async fn resize(&self, _id: &str, _rows: u16, _columns: u16) -> Result<()> {
        Err(Error::unsupported("exec: not wired yet"))
    }
    pub async fn inspect(&self, _id: &str) -> Result<ExecView> {
        Err(Error::unsupported("exec: not wired yet"))
    }
}

impl ExecTicket {
    /// Run it. `None` when detached. Returns when the process has been started; after an upgrade the server
    /// writes an error's text to the connection (`connection` is consumed: dup it before).
    pub async fn start(self, _connection: Option<Connection>) -> Result<()> {
        Err(Error::unsupported("exec: not wired yet"))
    }
}
