//! One message: a small JSON value and its descriptors, over `SOCK_SEQPACKET`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Below a socket's default buffer. A container may be on many networks, with many names on each.
const MESSAGE_BYTES_MAX: usize = 128 * 1024;

pub(crate) fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many names for one message"));
    }
    Ok(sys::packet::send(socket, &bytes, descriptors)?)
}

/// `None` is the end of the conversation.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut buffer = vec![0u8; MESSAGE_BYTES_MAX];
    let Some(received) = sys::packet::receive(socket, &mut buffer)? else { return Ok(None) };
    if received.is_cut {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut short"));
    }
    Ok(Some((serde_json::from_slice(&buffer[..received.bytes])?, received.descriptors)))
}
