//! Whole messages with descriptors over `SOCK_SEQPACKET`, see unix(7) and cmsg(3).
//!
//! The kernel keeps the boundaries of messages and delivers each with its descriptors or not at all. A call that a
//! signal interrupts is made again: nothing of it has happened.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, Result, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// `SCM_MAX_FD`: the most descriptors that one message carries.
pub const DESCRIPTORS_MAX: usize = 253;

/// What has arrived.
#[derive(Debug)]
pub struct Received {
    /// How many of the buffer.
    pub bytes: usize,
    /// Close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// The buffer was too small for it, or descriptors of it were lost.
    pub is_cut: bool,
}

/// Sends a message. A peer that is gone is an error here, not a signal.
///
/// # Errors
/// `EINVAL` with more than [`DESCRIPTORS_MAX`]; `EAGAIN` where a socket that does not block is full; `EMSGSIZE`, `EPIPE` and
/// the others of send(2).
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    let parts = [IoSlice::new(bytes)];
    retry_on_intr(|| sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL)).map(drop)
}

/// Receives a message; `None` is the end of the conversation, also where the peer died with something unread.
///
/// # Errors
/// `EAGAIN` where a socket that does not block has nothing, and the others of recv(2).
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Option<Received>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)
    });
    let received = match received {
        Ok(received) => received,
        Err(Errno::CONNRESET) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    let is_cut = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok((received.bytes > 0).then_some(Received { bytes: received.bytes, descriptors, is_cut }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    #[test]
    fn a_message_arrives_whole_and_with_its_descriptors() {
        let (here, there) = pair();
        let all = vec![here.as_fd(); DESCRIPTORS_MAX];
        send(&here, b"one", &all).unwrap();
        send(&here, b"two", &[]).unwrap();
        let mut buffer = [0; 16];
        let one = receive(&there, &mut buffer).unwrap().unwrap();
        assert_eq!(
            (&buffer[..one.bytes], one.descriptors.len(), one.is_cut),
            (&b"one"[..], DESCRIPTORS_MAX, false)
        );
        for descriptor in &one.descriptors {
            assert_eq!(rustix::io::fcntl_getfd(descriptor).unwrap(), rustix::io::FdFlags::CLOEXEC);
        }
        let two = receive(&there, &mut buffer).unwrap().unwrap();
        assert_eq!((&buffer[..two.bytes], two.descriptors.len()), (&b"two"[..], 0));
        assert_eq!(receive(&there, &mut buffer).unwrap_err(), Errno::AGAIN);
    }

    #[test]
    fn what_does_not_fit_and_who_is_gone_are_told() {
        let (here, there) = pair();
        let too_many = vec![here.as_fd(); DESCRIPTORS_MAX + 1];
        assert_eq!(send(&here, b"x", &too_many).unwrap_err(), Errno::INVAL);
        send(&here, b"longer than the buffer", &[]).unwrap();
        assert!(receive(&there, &mut [0; 4]).unwrap().unwrap().is_cut);
        send(&here, b"unread", &[]).unwrap();
        drop(there);
        assert!(receive(&here, &mut [0; 4]).unwrap().is_none());
        assert_eq!(send(&here, b"x", &[]).unwrap_err(), Errno::PIPE);
    }
}
