//! A netlink socket, used synchronously.
//!
//! The kernel works a request off within `sendto(2)`: when that returns, every acknowledgement lies in the
//! receive queue. So one datagram carries many messages, and their answers are collected without waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use sys::netlink::NetlinkFlag;

use super::message::{Attrs, Batch, DONE, DUMP, ERROR, Received, messages};
use crate::error::{Error, Result};

const RECEIVE_BYTES: usize = 64 * 1024;
/// What surely fits into the send buffer that a socket has by default.
const SEND_BYTES: usize = 64 * 1024;
/// `NLMSGERR_ATTR_MSG`: the kernel's explanation in English.
const ERROR_ATTR_MESSAGE: u16 = 1;
/// `NLM_F_CAPPED`: the error carries no copy of the request's body.
const CAPPED: u16 = 0x100;

/// A socket bound to the network namespace that the opening thread was in.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// For links, addresses and routes.
    pub(crate) fn route() -> Result<Self> {
        Self::open(None, 0).map_err(|e| Error::kernel("open a route netlink socket", e))
    }

    /// For nftables.
    pub(crate) fn netfilter() -> Result<Self> {
        Self::open(Some(netlink::NETFILTER), 0).map_err(|e| Error::NoNftables(e.to_string()))
    }

    /// Hears of every change of nftables.
    pub(crate) fn netfilter_events() -> Result<Self> {
        /// `NFNLGRP_NFTABLES` is group 7.
        const NFTABLES: u32 = 1 << 6;
        Self::open(Some(netlink::NETFILTER), NFTABLES).map_err(|e| Error::NoNftables(e.to_string()))
    }

    /// Hears of every link that is removed, and of nothing else: links come and go with each container.
    pub(crate) fn link_removals() -> Result<Self> {
        /// `RTNLGRP_LINK` is group 1.
        const LINKS: u32 = 1;
        let socket = Self::open(None, LINKS).map_err(|e| Error::kernel("open a route netlink socket", e))?;
        sys::netlink::keep_only(socket.as_fd(), super::route::DELLINK)
            .map_err(|e| Error::kernel("filter a route netlink socket", e))?;
        Ok(socket)
    }

    /// By which others know it, within its network namespace.
    pub(crate) fn port(&self) -> Result<u32> {
        let address = rustix::net::getsockname(&self.fd).and_then(SocketAddrNetlink::try_from);
        address.map(|address| address.pid()).map_err(|e| Error::kernel("ask for a netlink socket's port", e))
    }

    fn open(protocol: Option<Protocol>, groups: u32) -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        // Both make answers smaller or clearer; without them everything works the same.
        let _ = sys::netlink::set_flag(fd.as_fd(), NetlinkFlag::CapAck, true);
        let _ = sys::netlink::set_flag(fd.as_fd(), NetlinkFlag::ExtAck, true);
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd, buffer: vec![0; RECEIVE_BYTES] })
    }

    /// Sends the messages and reports the first that failed. The kernel goes on after a failed one; in an
    /// nftables batch it undoes all.
    pub(crate) fn send(&mut self, batch: &Batch) -> Result<()> {
        self.transmit(batch)?;
        let mut first = None;
        loop {
            let received = match rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((received, _)) => received,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(e) => return Err(Error::kernel("receive from netlink", e)),
            };
            for message in messages(&self.buffer[..received]) {
                if first.is_none() {
                    first = failure(batch, &message);
                }
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Asks for a list and hands every item to `each`. The batch holds one message.
    pub(crate) fn dump(&mut self, batch: &Batch, mut each: impl FnMut(Received<'_>)) -> Result<()> {
        debug_assert!(messages(batch.bytes()).all(|m| m.flags & DUMP == DUMP), "a dump is asked for");
        self.transmit(batch)?;
        loop {
            let received = match rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((received, _)) => received,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(Error::kernel(batch.words(0), e)),
            };
            for message in messages(&self.buffer[..received]) {
                match message.kind {
                    DONE => return Ok(()),
                    ERROR => return failure(batch, &message).map_or(Ok(()), Err),
                    _ => each(message),
                }
            }
        }
    }

    /// Takes the events that have come. `true`: some were lost, since there were too many.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Received<'_>)) -> io::Result<bool> {
        let mut lost = false;
        loop {
            match rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((received, _)) => messages(&self.buffer[..received]).for_each(&mut each),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(lost),
                Err(Errno::NOBUFS) => lost = true,
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn transmit(&self, batch: &Batch) -> Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        if batch.bytes().len() > SEND_BYTES {
            // More than a socket takes by default, as thousands of published ports are.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&self.fd, batch.bytes().len());
        }
        rustix::net::sendto(&self.fd, batch.bytes(), SendFlags::empty(), &kernel)
            .map(drop)
            .map_err(|e| Error::kernel(batch.words(0), e))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The error in an acknowledgement; `None` if it says success.
fn failure(batch: &Batch, message: &Received<'_>) -> Option<Error> {
    if message.kind != ERROR {
        return None;
    }
    let code = i32::from_ne_bytes(message.body.get(..4)?.try_into().ok()?);
    if code == 0 {
        return None;
    }
    // The error number, the header of the request, its body unless capped, then attributes.
    let echoed = if message.flags & CAPPED != 0 {
        16
    } else {
        (super::message::u32_at(message.body, 4)? as usize).next_multiple_of(4)
    };
    let detail = message.body.get(4 + echoed..).and_then(|attrs| Attrs(attrs).text(ERROR_ATTR_MESSAGE));
    Some(Error::Kernel {
        what: batch.words(message.sequence).to_owned(),
        source: io::Error::from_raw_os_error(-code),
        detail,
    })
}
