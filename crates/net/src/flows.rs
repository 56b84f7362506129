//! Flows of datagrams that the kernel goes on sending where they were sent before: to a container that is no more, or to
//! the host, since a port leads elsewhere than when they began. (A connection of TCP ends with its container.) They are
//! forgotten, so that the next datagram is looked up in the maps again.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::led::Target;
use crate::netlink::{Flow, Socket};
use crate::ports::{PortMapping, Protocol};

/// A part of what is published.
#[derive(Clone, Copy, Debug)]
struct Way {
    address: IpAddr,
    first: u16,
    count: u16,
    /// With the first port there.
    to: (IpAddr, u16),
}

/// What should become of flows.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    ways: Vec<Way>,
    /// The host's own addresses.
    local: HashSet<IpAddr>,
    /// Containers' networks.
    subnets: Vec<IpNet>,
}

impl Ways {
    pub(crate) fn new(local: HashSet<IpAddr>, subnets: Vec<IpNet>) -> Self {
        Self { ways: Vec::new(), local, subnets }
    }

    /// What is published of a container.
    pub(crate) fn add(&mut self, target: Target, mappings: &[PortMapping]) {
        for mapping in mappings.iter().filter(|mapping| is_of_datagrams(mapping)) {
            let PortMapping { address, host, container, count, .. } = *mapping;
            let way = |own| Way { address, first: host, count, to: (own, container) };
            self.ways.extend(target.to.beside(address).map(way));
        }
    }

    /// Where something that was sent there is sent on to.
    fn lead(&self, (address, port): (IpAddr, u16)) -> Option<(IpAddr, u16)> {
        let is_local = address.is_loopback() || self.local.contains(&address);
        let fits = |way: &&Way| {
            let at = way.address == address
                || way.address.is_unspecified() && way.address.is_ipv4() == address.is_ipv4();
            at && port.checked_sub(way.first).is_some_and(|n| n < way.count)
        };
        let way = self.ways.iter().filter(|_| is_local).find(fits)?;
        Some((way.to.0, way.to.1 + (port - way.first)))
    }

    /// Whether it goes elsewhere than it would if it began now.
    fn is_stale(&self, flow: &Flow) -> bool {
        match self.lead(flow.to) {
            Some(to) => flow.answers != to,
            // It was sent on to a container; others' redirections begin again as they were.
            None => flow.answers != flow.to && self.subnets.iter().any(|net| net.contains(&flow.answers.0)),
        }
    }
}

/// What the kernel does not track by itself, but remembers.
pub(crate) fn is_of_datagrams(mapping: &PortMapping) -> bool {
    mapping.protocol == Protocol::Udp && !mapping.is_direct()
}

/// Has the kernel forget what is stale. Without ctnetlink (`CONFIG_NF_CT_NETLINK`) flows go where they went until they have
/// been still for half a minute, so a failure is no reason to fail.
pub(crate) fn sweep(ways: &Ways, nft: &mut Socket) {
    const FAMILIES: [u8; 2] = [2, 10];
    for family in FAMILIES {
        let Ok(mut flows) = nft.flows(family) else { continue };
        flows.retain(|flow| ways.is_stale(flow));
        let _ = nft.forget_flows(&flows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::led::Reach;
    use std::net::Ipv4Addr;

    fn at(text: &str) -> (IpAddr, u16) {
        let at: std::net::SocketAddr = text.parse().unwrap();
        (at.ip(), at.port())
    }

    #[test]
    fn what_is_stale() {
        let local = HashSet::from([at("10.0.0.1:0").0]);
        let mut ways = Ways::new(local, vec!["172.17.0.0/16".parse().unwrap()]);
        let target = Target { to: Reach::from(Ipv4Addr::new(172, 17, 0, 3)), ..Target::default() };
        let mapping = |protocol, host, container, count| PortMapping {
            protocol,
            address: Ipv4Addr::UNSPECIFIED.into(),
            host,
            container,
            count,
        };
        ways.add(target, &[mapping(Protocol::Udp, 5000, 53, 2), mapping(Protocol::Tcp, 6000, 53, 1)]);
        for (to, answers, stale) in [
            ("10.0.0.1:5000", "172.17.0.3:53", false),
            ("127.0.0.1:5001", "172.17.0.3:54", false),
            // Where it went before, to the host itself, and to another port there.
            ("10.0.0.1:5000", "172.17.0.2:53", true),
            ("10.0.0.1:5000", "10.0.0.1:5000", true),
            ("10.0.0.1:5001", "172.17.0.3:53", true),
            // A port that is no more, and one that is nobody's.
            ("10.0.0.1:5002", "172.17.0.3:53", true),
            ("10.0.0.1:5002", "10.0.0.1:5002", false),
            // Another host's, and what another sends on.
            ("8.8.8.8:5000", "8.8.8.8:5000", false),
            ("10.0.0.1:7000", "192.168.1.2:7000", false),
            ("172.17.0.2:53", "172.17.0.2:53", false),
        ] {
            let flow = Flow::of(at(to), at(answers));
            assert_eq!(ways.is_stale(&flow), stale, "{to} {answers}");
        }
    }
}
