//! Sockets in a container's network namespace at which names are asked for.
//!
//! A container on a user's network finds `nameserver 127.0.0.11` in its `resolv.conf`. Nobody listens at port 53 there:
//! that a program in the container may do itself, at every address. What goes to 127.0.0.11:53 is turned, by a table of
//! the namespace's own, to a port that the kernel chose.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with};

use crate::error::{Error, Result};
use crate::netlink::Socket;
use crate::netns::NetNs;
use crate::nft::{Chain, Family, Hook, Match, Policy, Rule, Transaction};

/// Where names are asked for, as in Docker.
pub const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const DNS_PORT: u16 = 53;
const TABLE: &str = "wharf-dns";
const PRIORITY_DSTNAT: i32 = -100;
const BACKLOG: i32 = 64;

/// They hold the namespace, as a process in it does.
#[derive(Debug)]
pub struct DnsSockets {
    pub udp: OwnedFd,
    /// Listens.
    pub tcp: OwnedFd,
}

impl DnsSockets {
    /// In the calling thread's network namespace, whose loopback is up.
    pub(crate) fn open() -> Result<Self> {
        let udp = bound(SocketType::DGRAM)?;
        let tcp = bound(SocketType::STREAM)?;
        listen(&tcp, BACKLOG).map_err(|e| Error::kernel("listen for names", e))?;
        redirect(port(&udp)?, port(&tcp)?)?;
        Ok(Self { udp, tcp })
    }

    /// In a namespace where a process lives, after whoever answered there is gone.
    ///
    /// # Errors
    ///
    /// Missing privilege.
    pub fn open_in(netns: OwnedFd) -> Result<Self> {
        NetNs::from(netns).visit(Self::open)?
    }
}

fn bound(kind: SocketType) -> Result<OwnedFd> {
    let failed = |e| Error::kernel(format!("open a socket at {DNS_ADDRESS} for names"), e);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, kind, flags, None).map_err(failed)?;
    bind(&socket, &SocketAddrV4::new(DNS_ADDRESS, 0)).map_err(failed)?;
    Ok(socket)
}

fn port(socket: &OwnedFd) -> Result<u16> {
    let address = getsockname(socket.as_fd()).map_err(|e| Error::kernel("ask a socket for its port", e))?;
    SocketAddrV4::try_from(address).map(|address| address.port()).map_err(|e| Error::kernel("read a port", e))
}

/// Replaces what stood there.
fn redirect(udp: u16, tcp: u16) -> Result<()> {
    let to = [Match::DestinationIs(DNS_ADDRESS)];
    let rule =
        |matches: Match, port| Rule::redirect([to.to_vec(), vec![matches]].concat(), DNS_ADDRESS, port);
    let mut transaction = Transaction::on(Family::Ip, TABLE);
    transaction.create_table();
    transaction.delete_table();
    transaction.create_table();
    transaction.create_chain(&Chain {
        name: "output",
        kind: "nat",
        hook: Hook::Output,
        priority: PRIORITY_DSTNAT,
        policy: Policy::Accept,
        rules: vec![rule(Match::UdpPort(DNS_PORT), udp), rule(Match::TcpPort(DNS_PORT), tcp)],
    });
    transaction.commit(&mut Socket::netfilter()?)
}
