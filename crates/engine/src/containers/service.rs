//! The container service: the methods the server calls.

use std::sync::Arc;

use super::{
    AttachRequest, Container, ContainerSpec, Created, Filters, ListRequest, LogStream, LogsRequest, Pruned,
    RemoveRequest, StopRequest, Top, WaitAnswer, WaitCondition,
};
use crate::error::{Error, Result};
use crate::execs::Connection;

/// Everything about containers. Cheap to clone. `reference` is an id, an unambiguous id prefix, or a name.
#[derive(Debug, Clone)]
pub struct Containers {}

/// An attach that may go ahead: checked before the server upgrades the connection. A start that follows waits
/// for the ticket (it misses no byte); dropping the ticket gives up.
#[derive(Debug)]
pub struct AttachTicket {
    pub tty: bool,
}

/// A registered wait: from now on the exit is not missed.
#[derive(Debug)]
pub struct WaitHandle {}

impl Containers {
    /// `name` without slash; empty: a generated one.
    pub async fn create(&self, _name: &str, _spec: ContainerSpec) -> Result<Created> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn list(&self, _request: ListRequest) -> Result<Vec<Arc<Container>>> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    /// `size`: measure `size_rw` and `size_rootfs`.
    pub async fn inspect(&self, _reference: &str, _size: bool) -> Result<Arc<Container>> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    /// `NotModified` when it runs already.
    pub async fn start(&self, _reference: &str) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    /// `NotModified` when it does not run.
    pub async fn stop(&self, _reference: &str, _request: StopRequest) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn restart(&self, _reference: &str, _request: StopRequest) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    /// `signal`: name with or without `SIG`, or number; empty: SIGKILL.
    pub async fn kill(&self, _reference: &str, _signal: &str) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    /// Register first, then [`WaitHandle::answer`].
    pub async fn wait(&self, _reference: &str, _condition: WaitCondition) -> Result<WaitHandle> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn attach(&self, _reference: &str, _request: AttachRequest) -> Result<AttachTicket> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn logs(&self, _reference: &str, _request: LogsRequest) -> Result<LogStream> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn resize(&self, _reference: &str, _rows: u16, _columns: u16) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn rename(&self, _reference: &str, _name: &str) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn pause(&self, _reference: &str) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn unpause(&self, _reference: &str) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn remove(&self, _reference: &str, _request: RemoveRequest) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    /// `ps_args` as for ps(1); empty: `-ef`.
    pub async fn top(&self, _reference: &str, _ps_args: &str) -> Result<Top> {
        Err(Error::unsupported("containers: not wired yet"))
    }
    pub async fn prune(&self, _filters: Filters) -> Result<Pruned> {
        Err(Error::unsupported("containers: not wired yet"))
    }
}

impl AttachTicket {
    /// The upgraded connection. Returns when it has been handed over (or, for a container that is not started
    /// yet, put where the start finds it).
    pub async fn connect(self, _connection: Connection) -> Result<()> {
        Err(Error::unsupported("containers: not wired yet"))
    }
}

impl WaitHandle {
    pub async fn answer(self) -> Result<WaitAnswer> {
        Err(Error::unsupported("containers: not wired yet"))
    }
}
