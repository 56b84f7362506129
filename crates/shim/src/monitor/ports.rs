//! What holds the container's ports on the host, as long as its process lives: sockets on which nothing is ever received,
//! each for itself or many in the queue of a pair, sent and not received.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, getsockname, recvmsg, sendmsg, socketpair,
    sockopt,
};

use crate::protocol::HeldPorts;
use crate::wire::DESCRIPTORS_MAX;

#[derive(Debug, Default)]
pub(super) struct Ports {
    holders: Vec<OwnedFd>,
}

impl Ports {
    /// What came with the start.
    pub(super) fn of(holder: Option<OwnedFd>) -> Self {
        Self { holders: holder.into_iter().collect() }
    }

    pub(super) fn hold(&mut self, holder: OwnedFd) {
        self.holders.push(holder);
    }

    /// Closes what is bound to these ports, and holds the rest. What is not held is no error.
    pub(super) fn let_go(&mut self, which: &[HeldPorts]) -> Result<(), Errno> {
        let mut kept = Vec::with_capacity(self.holders.len());
        let mut failed = None;
        for holder in std::mem::take(&mut self.holders) {
            if getsockname(&holder)?.address_family() == AddressFamily::UNIX {
                let mut queue = Queue::default();
                while let Some(sockets) = receive(&holder)? {
                    let rest = sockets.into_iter().filter(|socket| !is_one_of(socket, which)).collect();
                    // Whatever goes wrong, they are still held.
                    if let Err((error, rest)) = queue.add(rest) {
                        failed = Some(error);
                        kept.extend(rest);
                    }
                }
                kept.extend(queue.holder());
            } else if !is_one_of(&holder, which) {
                kept.push(holder);
            }
        }
        self.holders = kept;
        failed.map_or(Ok(()), Err)
    }
}

/// Sockets on their way into nowhere.
#[derive(Default)]
struct Queue(Option<(OwnedFd, OwnedFd)>);

impl Queue {
    fn add(&mut self, sockets: Vec<OwnedFd>) -> Result<(), (Errno, Vec<OwnedFd>)> {
        if sockets.is_empty() {
            return Ok(());
        }
        let sent = self.sender().and_then(|sender| send(sender, &sockets));
        sent.map_err(|error| (error, sockets))
    }

    fn sender(&mut self) -> Result<&OwnedFd, Errno> {
        if self.0.is_none() {
            let (sender, holder) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
            // All 65,535 fit: a message counts for about a thousand bytes.
            sockopt::set_socket_send_buffer_size_force(&sender, 1 << 20)?;
            self.0 = Some((sender, holder));
        }
        self.0.as_ref().map(|(sender, _)| sender).ok_or(Errno::NOBUFS)
    }

    fn holder(self) -> Option<OwnedFd> {
        self.0.map(|(_, holder)| holder)
    }
}

fn send(sender: &OwnedFd, sockets: &[OwnedFd]) -> Result<(), Errno> {
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(sender, &[IoSlice::new(&[0])], &mut control, SendFlags::DONTWAIT).map(drop)
}

/// The next message's sockets; `None` when there is none left.
fn receive(queue: &OwnedFd) -> Result<Option<Vec<OwnedFd>>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    match recvmsg(queue, &mut [IoSliceMut::new(&mut byte)], &mut control, flags) {
        // Who sent them is gone, and so is all that was sent.
        Ok(message) if message.bytes == 0 => return Ok(None),
        Ok(_) => {}
        Err(Errno::AGAIN) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    Ok(Some(sockets))
}

fn is_one_of(socket: &OwnedFd, which: &[HeldPorts]) -> bool {
    let at = getsockname(socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
    let protocol = sockopt::socket_protocol(socket).ok().flatten();
    let Some((at, protocol)) = at.zip(protocol) else { return false };
    which.iter().any(|ports| {
        u32::from(ports.protocol) == protocol.as_raw().get()
            && ports.address == at.ip()
            && (ports.first..=ports.last).contains(&at.port())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn tcp(first: u16, last: u16) -> HeldPorts {
        HeldPorts { protocol: 6, address: LOCAL, first, last }
    }

    #[test]
    fn some_are_let_go_and_the_rest_stays() {
        // Below what the kernel gives to whoever asks for any: nobody else takes one as soon as it is free.
        let mut sockets = (10_000..30_000).filter_map(|port| TcpListener::bind((LOCAL, port)).ok());
        let single = sockets.next().unwrap();
        let sockets: Vec<TcpListener> = sockets.take(600).collect();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        let mut queue = Queue::default();
        let mut sockets: Vec<OwnedFd> = sockets.into_iter().map(OwnedFd::from).collect();
        while !sockets.is_empty() {
            queue.add(sockets.split_off(sockets.len().saturating_sub(DESCRIPTORS_MAX))).unwrap();
        }
        let mut held = Ports::of(queue.holder());
        let lone = single.local_addr().unwrap().port();
        held.hold(single.into());
        let udp = UdpSocket::bind((LOCAL, lone)).unwrap();
        held.hold(udp.into());

        let is_free = |port: u16| TcpListener::bind((LOCAL, port)).is_ok();
        held.let_go(&[tcp(ports[3], ports[3]), tcp(ports[599], ports[599]), tcp(1, 2)]).unwrap();
        assert!(is_free(ports[3]) && is_free(ports[599]));
        assert!([0, 4, 300, 598].iter().all(|at| !is_free(ports[*at])) && !is_free(lone));
        held.let_go(&[tcp(lone, lone)]).unwrap();
        assert!(is_free(lone) && UdpSocket::bind((LOCAL, lone)).is_err(), "of its protocol only");
        // Again, of what was put together anew.
        held.let_go(&[tcp(ports[4], ports[4])]).unwrap();
        assert!(is_free(ports[4]) && !is_free(ports[5]));
        held.let_go(&[tcp(1, u16::MAX)]).unwrap();
        assert!(ports.iter().all(|port| is_free(*port)));
        assert_eq!(held.holders.len(), 1, "the other protocol's");
    }
}
