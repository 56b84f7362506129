//! Ports of the host's, held by a socket each, so that no other program takes them while they lead to a container.
//!
//! Nothing is ever received on such a socket: every packet is sent on to the container before it is looked for. It is
//! bound, and does not listen: should the firewall be gone for a moment, a client is refused rather than left waiting.
//!
//! Containers outlive the engine, so it is not the engine who holds them, but the monitor of the container, which is
//! handed one descriptor: the socket itself, or the end of a pair in whose queue all of them lie, sent and never
//! received. The kernel closes them with it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
    ipproto,
};

use crate::ports::Protocol;

/// As many descriptors as one message takes (`SCM_MAX_FD`).
const PER_MESSAGE: usize = 253;
/// More of them only wait for each other, and make the table of descriptors grow.
const THREADS_MAX: usize = 2;

/// Sockets on their way to whoever will hold them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bound: Vec<OwnedFd>,
    /// Who sends, and who will hold.
    queue: Option<(OwnedFd, OwnedFd)>,
}

impl Held {
    /// Binds a port.
    ///
    /// # Errors
    ///
    /// Somebody has it; this host has no such address.
    pub(crate) fn bind(&mut self, address: IpAddr, port: u16, protocol: Protocol) -> io::Result<()> {
        let Some(socket) = bind(SocketAddr::new(address, port), protocol)? else { return Ok(()) };
        self.bound.push(socket);
        // Not all at once, so that few of our descriptors are used.
        if self.bound.len() == PER_MESSAGE { self.enqueue() } else { Ok(()) }
    }

    /// Binds many ports, side by side where there is more than one processor: half of publishing thousands is the kernel
    /// making sockets. What became of each, in their order.
    pub(crate) fn bind_all(&mut self, all: &[(IpAddr, u16, Protocol)]) -> Vec<io::Result<()>> {
        let parallel = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        // One queue for all of them.
        let queue = self.queue().map(|(sender, _)| sender.try_clone());
        let sender = match queue {
            Ok(Ok(sender)) => sender,
            Ok(Err(error)) | Err(error) => return vec![Err(error)],
        };
        let some = |some: &[(IpAddr, u16, Protocol)]| {
            let mut bound = Vec::with_capacity(PER_MESSAGE);
            let mut outcomes = Vec::with_capacity(some.len());
            for (address, port, protocol) in some {
                let one = bind(SocketAddr::new(*address, *port), *protocol);
                let one = one.and_then(|socket| {
                    bound.extend(socket);
                    if bound.len() == PER_MESSAGE { send(&sender, &mut bound) } else { Ok(()) }
                });
                outcomes.push(one);
            }
            if let (Err(error), Some(last)) = (send(&sender, &mut bound), outcomes.last_mut()) {
                *last = Err(error);
            }
            outcomes
        };
        std::thread::scope(|scope| {
            let chunks = all.chunks(all.len().div_ceil(parallel).max(1));
            // The thread that calls does its part, too.
            let mut parts: Vec<_> = chunks.collect();
            let first = if parts.is_empty() { &[][..] } else { parts.remove(0) };
            let others: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| some(part))).collect();
            let mut outcomes = some(first);
            for other in others {
                outcomes.extend(other.join().unwrap_or_default());
            }
            outcomes
        })
    }

    /// Something to keep open as long as the ports are to be held; `None` if there is nothing to hold.
    ///
    /// # Errors
    ///
    /// No more descriptors, no memory.
    pub(crate) fn into_holder(mut self) -> io::Result<Option<OwnedFd>> {
        if self.queue.is_none() && self.bound.len() < 2 {
            return Ok(self.bound.pop());
        }
        self.enqueue()?;
        Ok(self.queue.map(|(_, holder)| holder))
    }

    fn enqueue(&mut self) -> io::Result<()> {
        if self.bound.is_empty() {
            return Ok(());
        }
        self.queue()?;
        let Self { bound, queue } = self;
        queue.as_ref().map_or(Ok(()), |(sender, _)| send(sender, bound))
    }

    fn queue(&mut self) -> io::Result<&(OwnedFd, OwnedFd)> {
        match &mut self.queue {
            Some(queue) => Ok(queue),
            none => {
                let (sender, holder) = rustix::net::socketpair(
                    AddressFamily::UNIX,
                    SocketType::SEQPACKET,
                    SocketFlags::CLOEXEC,
                    None,
                )?;
                // All 65,535 fit: a message counts for about a thousand bytes.
                sockopt::set_socket_send_buffer_size_force(&sender, 1 << 20)?;
                Ok(none.insert((sender, holder)))
            }
        }
    }
}

/// Puts sockets into a queue; they are closed here.
fn send(queue: &OwnedFd, bound: &mut Vec<OwnedFd>) -> io::Result<()> {
    if bound.is_empty() {
        return Ok(());
    }
    let descriptors: Vec<BorrowedFd<'_>> = bound.iter().map(AsFd::as_fd).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PER_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(queue, &[IoSlice::new(&[0])], &mut control, SendFlags::DONTWAIT)?;
    bound.clear();
    Ok(())
}

/// `None` for a protocol that this kernel has no sockets of: then no program can have the port.
fn bind(at: SocketAddr, protocol: Protocol) -> io::Result<Option<OwnedFd>> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let open = || {
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
        if at.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        Ok::<_, Errno>(socket)
    };
    let socket = match open() {
        Err(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) if protocol == Protocol::Sctp => return Ok(None),
        opened => opened?,
    };
    if protocol == Protocol::Udp {
        // Should something come while the firewall is gone, nobody reads it.
        sockopt::set_socket_recv_buffer_size(&socket, 0)?;
    }
    match rustix::net::bind(&socket, &at) {
        Err(Errno::ADDRINUSE) if protocol == Protocol::Tcp => {}
        bound => return bound.map(|()| Some(socket)).map_err(io::Error::from),
    }
    // Connections of a server that was here before may linger, and are no server. Who listens is told apart by listening,
    // since a socket that may share the address with them may share it with any that does not.
    let socket = open()?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &at)?;
    rustix::net::listen(&socket, 0)?;
    rustix::net::shutdown(&socket, Shutdown::Read)?;
    sockopt::set_socket_reuseaddr(&socket, false)?;
    Ok(Some(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    /// In a thread with a network namespace of its own. Needs root.
    fn on_a_host(test: impl FnOnce() + Send + 'static) {
        let body = || {
            crate::NetNs::unshare().expect("this test needs root");
            let mut socket = crate::netlink::Socket::route().unwrap();
            let mut batch = crate::netlink::Batch::default();
            batch.set_up(1);
            socket.send(&batch).unwrap();
            test();
        };
        std::thread::spawn(body).join().unwrap();
    }

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn is_free(port: u16) -> bool {
        TcpListener::bind((LOCAL, port)).is_ok() && UdpSocket::bind((LOCAL, port)).is_ok()
    }

    #[test]
    fn what_is_held_nobody_else_gets() {
        on_a_host(|| {
            let mut held = Held::default();
            held.bind(LOCAL, 80, Protocol::Tcp).unwrap();
            held.bind(LOCAL, 80, Protocol::Udp).unwrap();
            assert!(Held::default().bind(LOCAL, 80, Protocol::Tcp).is_err());
            let holder = held.into_holder().unwrap().unwrap();
            assert!(TcpListener::bind((LOCAL, 80)).is_err() && UdpSocket::bind((LOCAL, 80)).is_err());
            assert!(TcpListener::bind("0.0.0.0:80").is_err());
            // Refused, not left waiting.
            assert_eq!(TcpStream::connect((LOCAL, 80)).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            drop(holder);
            assert!(is_free(80));
        });
    }

    #[test]
    fn ten_thousand_are_held_by_one_descriptor() {
        on_a_host(|| {
            let mut held = Held::default();
            for port in 20_000..30_000 {
                held.bind(LOCAL, port, Protocol::Tcp).unwrap();
            }
            let holder = held.into_holder().unwrap();
            assert!([20_000, 25_000, 29_999].iter().all(|port| !is_free(*port)) && is_free(30_000));
            drop(holder);
            assert!([20_000, 25_000, 29_999].iter().all(|port| is_free(*port)));
        });
    }

    #[test]
    fn many_are_bound_side_by_side_and_each_is_told_apart() {
        on_a_host(|| {
            let _server = TcpListener::bind((LOCAL, 20_700)).unwrap();
            let all: Vec<_> = (20_000..21_001).map(|port| (LOCAL, port, Protocol::Tcp)).collect();
            let mut held = Held::default();
            let outcomes = held.bind_all(&all);
            let failed: Vec<usize> = (0..all.len()).filter(|at| outcomes[*at].is_err()).collect();
            assert_eq!((outcomes.len(), failed), (1001, vec![700]));
            let holder = held.into_holder().unwrap();
            assert!([20_000, 20_500, 21_000].iter().all(|port| !is_free(*port)) && is_free(21_001));
            drop(holder);
            assert!([20_000, 20_500, 21_000].iter().all(|port| is_free(*port)));
        });
    }

    #[test]
    fn who_listens_is_found_and_who_lingers_is_not() {
        on_a_host(|| {
            let listener = TcpListener::bind((LOCAL, 80)).unwrap();
            let bind = || Held::default().bind(LOCAL, 80, Protocol::Tcp);
            assert_eq!(bind().unwrap_err().kind(), io::ErrorKind::AddrInUse);
            let client = TcpStream::connect((LOCAL, 80)).unwrap();
            let (server, _) = listener.accept().unwrap();
            // Who closes first lingers.
            drop(server);
            drop(client);
            drop(listener);
            bind().unwrap();
            let mut held = Held::default();
            held.bind(LOCAL, 80, Protocol::Tcp).unwrap();
            assert_eq!(bind().unwrap_err().kind(), io::ErrorKind::AddrInUse);
            assert!(TcpListener::bind((LOCAL, 80)).is_err());
            assert!(TcpStream::connect((LOCAL, 80)).is_err());
        });
    }

    #[test]
    fn an_address_of_another_host_cannot_be_had() {
        on_a_host(|| {
            let mut held = Held::default();
            let error = held.bind("192.0.2.1".parse().unwrap(), 80, Protocol::Udp).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
            // A kernel without the protocol has nobody to keep it from.
            held.bind(LOCAL, 80, Protocol::Sctp).unwrap();
        });
    }
}
