//! What a container's task can be asked for.

use std::path::PathBuf;

use tokio::sync::oneshot;

use super::{CheckpointRequest, EndpointSpec, RemoveRequest, StopRequest, UpdateRequest};
use crate::error::Result;
use crate::ports::Attachment;

pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// All that can be asked of a container.
#[derive(Debug)]
pub(crate) enum Command {
    /// From a checkpoint, if one is named.
    Start(Option<PathBuf>, Reply<()>),
    Stop(StopRequest, Reply<()>),
    /// Stop because the engine goes down.
    Shutdown(Reply<()>),
    Restart(StopRequest, Reply<()>),
    Kill(i32, Reply<()>),
    Pause(Reply<()>),
    Unpause(Reply<()>),
    Checkpoint(CheckpointRequest, Reply<()>),
    Resize(u16, u16, Reply<()>),
    ClearLogs(Reply<()>),
    Rename(String, Reply<()>),
    Update(Box<UpdateRequest>, Reply<()>),
    /// To a network, by its id.
    Connect(String, Box<EndpointSpec>, Reply<()>),
    Disconnect(String, Reply<()>),
    /// Its interface on a network, by its id, may have been removed.
    Reconnect(String),
    Remove(RemoveRequest, Reply<()>),
    /// The link of this alias goes.
    Unlink(String, Reply<()>),
    /// A container that it has a link to has started or stopped.
    LinkChanged,
    /// A client to hand to the next start; the connection arrives when its upgrade is through.
    AttachAtStart(oneshot::Receiver<Attachment>),
}
