//! Connections that the kernel tracks: what there is of UDP, and forgetting one (`linux/netfilter/nfnetlink_conntrack.h`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::{ACK, Attrs, Batch, DUMP, NESTED};
use super::socket::Socket;
use crate::error::Result;

const SUBSYSTEM: u16 = 1;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
const UDP: u8 = 17;

/// A flow of datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Where it was sent to.
    pub(crate) to: (IpAddr, u16),
    /// Who answers: another, where it was sent on.
    pub(crate) answers: (IpAddr, u16),
    family: u8,
    original: Vec<u8>,
    id: Option<Vec<u8>>,
    zone: Option<Vec<u8>>,
}

#[cfg(test)]
impl Flow {
    pub(crate) fn of(to: (IpAddr, u16), answers: (IpAddr, u16)) -> Self {
        Self { to, answers, family: 0, original: Vec::new(), id: None, zone: None }
    }
}

impl Socket {
    /// All flows of UDP that the kernel knows, of a family of addresses (as `AF_INET`). The socket is one of netfilter's.
    pub(crate) fn flows(&mut self, family: u8) -> Result<Vec<Flow>> {
        let mut batch = Batch::default();
        batch.begin(GET, DUMP, "list tracked connections", &[family, 0, 0, 0]);
        let mut flows = Vec::new();
        self.dump(&batch, |message| {
            flows.extend(message.body.get(4..).and_then(|body| read(family, Attrs(body))));
        })?;
        Ok(flows)
    }

    /// Has the kernel forget these; one that has ended meanwhile is no error.
    pub(crate) fn forget_flows(&mut self, flows: &[Flow]) -> Result<()> {
        for flow in flows {
            let mut batch = Batch::default();
            let message = batch.begin(DELETE, ACK, "forget a tracked connection", &[flow.family, 0, 0, 0]);
            message.attr(TUPLE_ORIGINAL | NESTED, &flow.original);
            // The same one, and not the next that looks like it.
            for (kind, value) in [(ID, &flow.id), (ZONE, &flow.zone)] {
                if let Some(value) = value {
                    message.attr(kind, value);
                }
            }
            match self.send(&batch) {
                Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => {}
                sent => sent?,
            }
        }
        Ok(())
    }
}

fn read(family: u8, attrs: Attrs<'_>) -> Option<Flow> {
    let original = attrs.nested(TUPLE_ORIGINAL)?;
    if original.nested(TUPLE_PROTOCOL)?.get(PROTOCOL_NUMBER) != Some(&[UDP]) {
        return None;
    }
    let part = |tuple: Attrs<'_>, address: usize, port: u16| {
        let ip = tuple.nested(TUPLE_IP)?;
        // Source and destination, of IPv4 and then of IPv6.
        let address = match ip.get(1 + address as u16) {
            Some(bytes) => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
            None => Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(3 + address as u16)?).ok()?).into(),
        };
        let port = tuple.nested(TUPLE_PROTOCOL)?.get(port)?;
        Some((address, u16::from_be_bytes(port.try_into().ok()?)))
    };
    Some(Flow {
        to: part(original, 1, DESTINATION_PORT)?,
        answers: part(attrs.nested(TUPLE_REPLY)?, 0, SOURCE_PORT)?,
        family,
        original: original.0.to_vec(),
        id: attrs.get(ID).map(<[u8]>::to_vec),
        zone: attrs.get(ZONE).map(<[u8]>::to_vec),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn flows_are_listed_and_forgotten() {
        let body = || {
            crate::NetNs::unshare().expect("this test needs root");
            let mut route = Socket::route().unwrap();
            let mut batch = Batch::default();
            batch.set_up(1);
            route.send(&batch).unwrap();
            let mut socket = Socket::netfilter().unwrap();
            // Something has to want connections tracked.
            let mut table = crate::nft::Transaction::on(crate::nft::Family::Inet, "t");
            table.create_table();
            table.create_chain(&crate::nft::Chain {
                name: "c",
                kind: "filter",
                hook: crate::nft::Hook::Output,
                priority: 0,
                policy: crate::nft::Policy::Accept,
                rules: vec![crate::nft::Rule::accept([crate::nft::Match::Established])],
            });
            table.commit(&mut socket).unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let other = UdpSocket::bind("[::1]:0").unwrap();
            for port in [53, 54] {
                sender.send_to(b"x", ("127.0.0.1", port)).unwrap();
            }
            other.send_to(b"x", "[::1]:53").unwrap();
            let ports = |socket: &mut Socket, family| {
                let flows = socket.flows(family).unwrap();
                let mut ports: Vec<u16> = flows.iter().map(|flow| flow.to.1).collect();
                ports.sort_unstable();
                (flows, ports)
            };
            let (flows, seen) = ports(&mut socket, 2);
            assert_eq!(seen, [53, 54]);
            assert_eq!(flows[0].answers, flows[0].to);
            let one: Vec<Flow> = flows.into_iter().filter(|flow| flow.to.1 == 53).collect();
            socket.forget_flows(&one).unwrap();
            socket.forget_flows(&one).unwrap();
            assert_eq!(ports(&mut socket, 2).1, [54]);
            let (flows, seen) = ports(&mut socket, 10);
            assert_eq!(seen, [53]);
            socket.forget_flows(&flows).unwrap();
            assert_eq!(ports(&mut socket, 10).1, [0u16; 0]);
        };
        std::thread::spawn(body).join().unwrap();
    }
}
