//! One message: a small JSON value and the descriptors that belong to it, over `SOCK_SEQPACKET`.
//!
//! The kernel keeps message boundaries and delivers a message with its descriptors or not at all, so there
//! is no framing and no partial state. A message is at most [`MESSAGE_BYTES_MAX`]; what may be larger (a
//! runtime spec can exceed 200 KiB, more than a socket's default send buffer) travels as a sealed memfd, see
//! [`crate::payload`].

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::error::doing;

/// Small enough that a monitor can receive on its stack without touching more than two pages.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// `SCM_MAX_FD`, see unix(7): the most descriptors one message carries.
pub(crate) const DESCRIPTORS_MAX: usize = 253;

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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(Error::Gone("other side")),
            Err(error) => return Err(doing("send a message")(error)),
        }
    }
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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let parts = &mut [IoSliceMut::new(&mut buffer)];
        match recvmsg(&socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received,
            Err(Errno::INTR) => continue,
            Err(Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(doing("receive a message")(error)),
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Error::Message { what: "receive a message", why: "it was cut short".into() });
    }
    Ok(Some((decode(&buffer[..received.bytes])?, descriptors)))
}
