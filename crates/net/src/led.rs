//! What leads to a container, as elements of the maps and sets in our table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::elements::{self as table, Elements, LINKS};
use crate::nft::Element;
use crate::ports::{PortMapping, Protocol};
use crate::version::Version;

/// Where a container is reached: its addresses on the networks that lead out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
}

impl From<Ipv4Addr> for Reach {
    fn from(ipv4: Ipv4Addr) -> Self {
        Self { ipv4: Some(ipv4), ipv6: None }
    }
}

impl Reach {
    /// Its own address of the version that this one of the host's is of.
    pub(crate) fn beside(self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(_) => self.ipv4.map(IpAddr::V4),
            IpAddr::V6(_) => self.ipv6.map(IpAddr::V6),
        }
    }
}

/// From where published ports are reached at the container's own address, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direct {
    #[default]
    Nowhere,
    /// By the interfaces that its network trusts.
    Trusted,
    /// By whoever has a route (`--allow-direct-routing`).
    Anywhere,
}

/// A container's addresses, and how directly each may be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) to: Reach,
    pub(crate) ipv4: Direct,
    pub(crate) ipv6: Direct,
}

impl Target {
    fn direct(self, address: IpAddr) -> Direct {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

/// A port of a container's that another on the same bridge may reach, where they are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    pub protocol: Protocol,
    pub port: u16,
}

/// What the maps need for a container.
pub(crate) fn elements(target: Target, mappings: &[PortMapping]) -> Elements {
    let mut elements = Elements::default();
    for (direct, own, protocol, (first, last)) in reached(target, mappings) {
        let names = table::names(Version::of(own));
        let set = if direct == Direct::Trusted { names.offered } else { names.reached };
        let (first, last) = (key(own, protocol, first), key(own, protocol, last));
        elements.push(set, Element { first, last: Some(last), data: Vec::new() });
    }
    for mapping in mappings.iter().filter(|mapping| !mapping.is_direct()) {
        let address = mapping.address;
        let Some(own) = target.to.beside(address) else { continue };
        let names = table::names(Version::of(address));
        let to = table::octets(own);
        let last = match address {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::BROADCAST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::from(u128::MAX).into(),
            one => one,
        };
        if mapping.host == mapping.container {
            let first = key(address, mapping.protocol, mapping.host);
            let last = Some(key(last, mapping.protocol, mapping.host + (mapping.count - 1)));
            elements.push(names.ports, Element { first, last, data: to });
            continue;
        }
        for (n, port) in mapping.ports().enumerate() {
            let there = (mapping.container + n as u16).to_be_bytes();
            let data = [&to[..], &there, &[0, 0]].concat();
            let mut first = key(address, mapping.protocol, port);
            if address.is_unspecified() {
                first.drain(..to.len());
                elements.push(names.moved_ports, Element { first, last: None, data });
            } else {
                elements.push(names.moved_ports_at, Element { first, last: None, data });
            }
        }
    }
    elements
}

/// What is at the container's own addresses: runs of its ports that do not overlap, however often each is published.
fn reached(target: Target, mappings: &[PortMapping]) -> Vec<(Direct, IpAddr, Protocol, (u16, u16))> {
    let mut runs = Vec::new();
    for mapping in mappings {
        let Some(own) = target.to.beside(mapping.address) else { continue };
        let direct = if mapping.is_direct() { Direct::Anywhere } else { target.direct(own) };
        if direct != Direct::Nowhere {
            let run = (mapping.container, mapping.container + (mapping.count - 1));
            runs.push((own, direct == Direct::Trusted, mapping.protocol, run));
        }
    }
    runs.sort_unstable();
    let mut merged: Vec<(Direct, IpAddr, Protocol, (u16, u16))> = Vec::new();
    for (own, trusted, protocol, (first, last)) in runs {
        let direct = if trusted { Direct::Trusted } else { Direct::Anywhere };
        match merged.last_mut() {
            Some((before, at, of, run))
                if (*before, *at, *of) == (direct, own, protocol)
                    && u32::from(first) <= u32::from(run.1) + 1 =>
            {
                run.1 = run.1.max(last);
            }
            _ => merged.push((direct, own, protocol, (first, last))),
        }
    }
    merged
}

pub(crate) fn links(openings: &[Opening]) -> Elements {
    let one = |Opening { from, to, protocol, port }: &Opening| {
        let [high, low] = port.to_be_bytes();
        let rest = [protocol.number(), 0, 0, 0, high, low, 0, 0];
        let first = [&from.octets()[..], &to.octets(), &rest].concat();
        Element { first, last: None, data: Vec::new() }
    };
    let mut all: Vec<Element> = openings.iter().map(one).collect();
    all.sort_unstable();
    all.dedup();
    let mut elements = Elements::default();
    all.into_iter().for_each(|element| elements.push(LINKS, element));
    elements
}

/// Address, protocol and port, each filled up to four bytes.
fn key(address: IpAddr, protocol: Protocol, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    [table::octets(address), vec![protocol.number(), 0, 0, 0, high, low, 0, 0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(address: &str, host: u16, container: u16, count: u16) -> PortMapping {
        PortMapping { protocol: Protocol::Udp, address: address.parse().unwrap(), host, container, count }
    }

    fn at(to: Reach) -> Target {
        Target { to, ..Target::default() }
    }

    #[test]
    fn what_is_reached_directly_does_not_overlap() {
        let to = Reach::from(Ipv4Addr::new(172, 17, 0, 2));
        let all = [
            mapping("0.0.0.0", 8080, 80, 1),
            mapping("127.0.0.1", 8081, 80, 3),
            mapping("0.0.0.0", 9000, 83, 2),
            mapping("0.0.0.0", 7000, 90, 1),
        ];
        let trusted = elements(Target { ipv4: Direct::Trusted, ..at(to) }, &all);
        let ports = |element: &Element| {
            let port = |key: &[u8]| u16::from_be_bytes([key[8], key[9]]);
            (port(&element.first), element.last.as_deref().map(port))
        };
        assert_eq!(
            trusted.of("offered").iter().map(ports).collect::<Vec<_>>(),
            [(80, Some(84)), (90, Some(90))]
        );
        assert_eq!((trusted.of("reached").len(), trusted.of("moved_ports").len()), (0, 4));
        let anywhere = elements(Target { ipv4: Direct::Anywhere, ..at(to) }, &all);
        assert_eq!((anywhere.of("reached").len(), anywhere.of("offered").len()), (2, 0));
        assert_eq!(elements(at(to), &all).of("reached").len(), 0);
    }

    #[test]
    fn a_range_of_equal_numbers_is_one_element() {
        let to = Reach { ipv4: Some(Ipv4Addr::new(172, 17, 0, 2)), ..Reach::default() };
        let range = elements(at(to), &[mapping("0.0.0.0", 20_000, 20_000, 10_000)]);
        let of = |elements: &Elements, map: &str| elements.of(map).to_vec();
        assert_eq!((of(&range, "ports").len(), of(&range, "moved_ports").len()), (1, 0));
        let range = &of(&range, "ports")[0];
        assert_eq!(range.first, [0, 0, 0, 0, 17, 0, 0, 0, 0x4e, 0x20, 0, 0]);
        assert_eq!(range.last.clone().unwrap(), [255, 255, 255, 255, 17, 0, 0, 0, 0x75, 0x2f, 0, 0]);
        let moved = elements(at(to), &[mapping("127.0.0.1", 8080, 80, 2)]);
        assert_eq!((of(&moved, "ports").len(), of(&moved, "moved_ports").len()), (0, 0));
        assert_eq!(of(&moved, "moved_ports_at").len(), 2);
        assert_eq!(of(&moved, "moved_ports_at")[1].data, [172, 17, 0, 2, 0, 81, 0, 0]);
        let moved = elements(at(to), &[mapping("0.0.0.0", 8080, 80, 1)]);
        assert_eq!(of(&moved, "moved_ports")[0].first, [17, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(of(&elements(at(to), &[mapping("0.0.0.0", 65_535, 65_535, 1)]), "ports").len(), 1);
        assert_eq!(elements(at(to), &[mapping("::", 80, 80, 1)]), Elements::default());
    }

    #[test]
    fn each_version_has_its_maps_and_what_is_routed_needs_no_port_here() {
        let both = Reach { ipv4: Some(Ipv4Addr::LOCALHOST), ipv6: Some("fd00::2".parse().unwrap()) };
        let all = elements(at(both), &[mapping("0.0.0.0", 80, 80, 1), mapping("::", 80, 80, 1)]);
        assert_eq!((all.of("ports").len(), all.of("ports6").len()), (1, 1));
        let six = &all.of("ports6")[0];
        assert_eq!(
            (six.first[..16].to_vec(), six.last.clone().unwrap()[..16].to_vec()),
            (vec![0; 16], vec![255; 16])
        );
        assert_eq!(six.data.len(), 16);
        let moved = elements(at(both), &[mapping("::1", 8080, 80, 1), mapping("::", 8081, 80, 1)]);
        assert_eq!(
            (moved.of("moved_ports_at6")[0].first.len(), moved.of("moved_ports6")[0].first.len()),
            (24, 8)
        );
        assert_eq!(moved.of("moved_ports6")[0].data[14..], [0, 2, 0, 80, 0, 0]);
        let direct = elements(at(both), &[mapping("::", 0, 80, 3)]);
        assert_eq!(direct.of("reached6")[0].first[..2], [0xfd, 0]);
        assert_eq!(direct.of("reached6")[0].last.clone().unwrap()[16..], [17, 0, 0, 0, 0, 82, 0, 0]);
    }
}
