//! One message: a small JSON value and the descriptors that belong to it, over `SOCK_SEQPACKET`.
//!
//! The kernel keeps message boundaries and delivers a message with its descriptors or not at all, so there
//! is no framing and no partial state. A message is at most [`MESSAGE_BYTES_MAX`]; what may be larger (a
//! runtime spec can exceed 200 KiB, more than a socket's default send buffer) travels as a sealed memfd, see
//! [`crate::payload`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::error::doing;
pub(crate) use sys::packet::DESCRIPTORS_MAX;

/// Small enough that a monitor can receive on its stack without touching more than two pages.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Both ends close on exec; neither blocks or not depending on `flags`.
pub(crate) fn pair(flags: SocketFlags) -> Result<(OwnedFd, OwnedFd), Error> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | flags, None)
        .map_err(doing("create a socket pair"))
}

/// Sends `message`, whole or not at all. On a full, non-blocking socket this is [`Error::would_block`].
pub(crate) fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Error> {
    let bytes = serde_json::to_vec(message)
        .map_err(|error| Error::Message { what: "encode a message", why: error.to_string() })?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Error::Message {
            what: "send a message",
            why: format!("{} bytes are too many", bytes.len()),
        });
    }
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(Error::TooManyDescriptors(descriptors.len()));
    }
    sys::packet::send(socket, &bytes, descriptors).map_err(|error| match error {
        Errno::PIPE | Errno::CONNRESET => Error::Gone("other side"),
        error => doing("send a message")(error),
    })
}

/// Receives one message with its descriptors (close-on-exec). `None` is the end of the conversation.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> Result<Option<(T, Vec<OwnedFd>)>, Error> {
    receive_as(socket, |bytes| {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::Message { what: "read a message", why: error.to_string() })
    })
}

/// As [`receive`], read by `decode`: what another version may have sent.
pub(crate) fn receive_as<T>(
    socket: impl AsFd,
    decode: impl FnOnce(&[u8]) -> Result<T, Error>,
) -> Result<Option<(T, Vec<OwnedFd>)>, Error> {
    let mut buffer = [0u8; MESSAGE_BYTES_MAX];
    let received = sys::packet::receive(socket, &mut buffer).map_err(doing("receive a message"))?;
    let Some(received) = received else { return Ok(None) };
    if received.is_cut {
        return Err(Error::Message { what: "receive a message", why: "it was cut short".into() });
    }
    Ok(Some((decode(&buffer[..received.bytes])?, received.descriptors)))
}
