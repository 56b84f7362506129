//! What goes wrong between the engine, the spawner and a monitor.

use std::io;
use std::path::PathBuf;

/// A failure of the conversation itself. How a *container* failed to start is not an error of this kind:
/// that is [`crate::protocol::Failure`], which the monitor reports.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call on one of the sockets, files or processes of this room failed.
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    /// The same, where a path says more than the verb.
    #[error("{what} {}: {source}", path.display())]
    Path { what: &'static str, path: PathBuf, source: io::Error },
    /// The other side closed its end, or died.
    #[error("the {0} is gone")]
    Gone(&'static str),
    /// A message that cannot be read or is too large to send.
    #[error("{what}: {why}")]
    Message { what: &'static str, why: String },
    /// More descriptors than one message carries.
    #[error("{0} descriptors do not fit in one message")]
    TooManyDescriptors(usize),
}

impl Error {
    /// Nothing to read, or no room to write, on a connection that does not block.
    pub fn would_block(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Puts the verb before an error number: `.map_err(doing("open pidfd"))`.
pub(crate) fn doing<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Io { what, source: source.into() }
}
