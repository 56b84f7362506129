//! Sockets on which a runtime hands descriptors to its engine.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, sendmsg, socket_with,
};

use super::Failure;

/// Connects to the stream socket at `path` and sends `text` with one descriptor.
pub(super) fn send(path: &Path, text: &[u8], fd: BorrowedFd<'_>) -> Result<(), Failure> {
    let failed =
        |error: rustix::io::Errno| Failure(format!("send a descriptor to {}: {error}", path.display()));
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(failed)?;
    connect(&socket, &SocketAddrUnix::new(path).map_err(failed)?).map_err(failed)?;
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(&socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL).map_err(failed)?;
    Ok(())
}
