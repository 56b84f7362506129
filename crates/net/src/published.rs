//! Published ports: what leads from a port of the host's to a container, in the kernel's maps and in our memory.
//!
//! Both are changed under the lock of [`State`], so that whoever makes the table anew or looks whether it is whole
//! (`watch.rs`) finds them in agreement.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::admin::Memory;
use crate::desired::{BridgeConfig, Desired};
use crate::error::{Error, Result};
use crate::firewall::{self, Elements};
use crate::netlink::Socket;
use crate::nft::{Element, Family, Transaction};
use crate::plan::Step;
use crate::ports::{Allocator, PortMapping, PortWish, Protocol};
use crate::respect;
use crate::sockets::Held;
use crate::state::State;

/// What a container's wishes came to.
#[derive(Debug, Default)]
pub struct PublishedPorts {
    pub mappings: Vec<PortMapping>,
    /// Holds the ports as long as somebody keeps it open.
    pub holder: Option<OwnedFd>,
}

/// A port of a container's that another on the same bridge may reach, where they are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    pub protocol: Protocol,
    pub port: u16,
}

/// All published ports of an engine.
#[derive(Debug)]
pub(crate) struct Published {
    allocator: Allocator,
    /// By container.
    owners: BTreeMap<String, (Ipv4Addr, Vec<PortMapping>)>,
    /// What is open to containers of others.
    openings: BTreeMap<String, Vec<Opening>>,
    /// What the engine before has left, until it is known which of its containers live.
    inherited: Elements,
    /// Bridges by which packets of 127.0.0.0/8 may leave.
    open_to_loopback: BTreeSet<String>,
    /// What else stands in the table.
    memory: Memory,
}

impl Published {
    /// Nothing is published yet; what was found in the table stays there until [`adopt`].
    pub(crate) fn new(inherited: Elements) -> Self {
        Self {
            allocator: Allocator::of_this_host(),
            owners: BTreeMap::new(),
            openings: BTreeMap::new(),
            inherited,
            open_to_loopback: BTreeSet::new(),
            memory: Memory::default(),
        }
    }

    /// Puts the table in order.
    pub(crate) fn install(&mut self, desired: &Desired, guard: bool, socket: &mut Socket) -> Result<()> {
        let elements = self.elements();
        firewall::install(desired, guard, &elements, &mut self.memory, socket)
    }

    pub(crate) fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    pub(crate) fn allocator(&mut self) -> &mut Allocator {
        &mut self.allocator
    }

    /// What was the container's before.
    pub(crate) fn set_owner(
        &mut self,
        owner: &str,
        to: Ipv4Addr,
        mappings: &[PortMapping],
    ) -> Option<(Ipv4Addr, Vec<PortMapping>)> {
        self.owners.insert(owner.to_owned(), (to, mappings.to_vec()))
    }

    pub(crate) fn forget_owner(&mut self, owner: &str) {
        self.owners.remove(owner);
    }

    /// What belongs into the maps.
    pub(crate) fn elements(&self) -> Elements {
        let mut all = self.inherited.clone();
        for (to, mappings) in self.owners.values() {
            all.extend(elements(*to, mappings));
        }
        all.links.extend(self.openings.values().flat_map(|openings| links(openings)));
        all
    }

    /// Whether the rules are ours, and the maps have what they should.
    pub(crate) fn is_complete(&mut self, desired: &Desired, socket: &mut Socket) -> Result<bool> {
        let Some(config) = &desired.firewall else { return Ok(true) };
        Ok(self.memory.holds(config, socket)?
            && respect::is_complete(config, self.elements().keyed(), socket)?
            && Elements::observe(&config.table, socket)? == self.elements().sorted())
    }

    /// A bridge that was made again has the switches of a new one.
    pub(crate) fn switch_on(&mut self, steps: &[Step]) {
        for step in steps {
            let Step::CreateBridge { name, .. } = step else { continue };
            if self.open_to_loopback.remove(name) {
                self.let_loopback_leave(name);
            }
            if !self.openings.is_empty() {
                stand_between(name);
            }
        }
    }

    /// The host's own connections to 127.0.0.1 are sent to the container, which the kernel allows by a switch of the
    /// bridge's. What it allows in the other direction, the chain `guard` drops.
    fn let_loopback_leave(&mut self, bridge: &str) {
        if self.open_to_loopback.contains(bridge) {
            return;
        }
        // Without it the port is reached by every other address of the host's.
        if fs::write(format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"), "1").is_ok() {
            self.open_to_loopback.insert(bridge.to_owned());
        }
    }
}

/// Has ports of this host's lead to a container: all that it wishes, or none.
pub(crate) fn publish(
    state: &mut State,
    owner: &str,
    to: Ipv4Addr,
    wishes: &[PortWish],
) -> Result<PublishedPorts> {
    if state.desired.firewall.is_none() {
        return Err(Error::NoFirewall);
    }
    let mut held = Held::default();
    let bind = |address, port, protocol| held.bind(address, port, protocol);
    let mappings = state.published.allocator.allocate(wishes, bind)?;
    let entered = enter(state, owner, to, &mappings).and_then(|()| {
        held.into_holder().map_err(|e| Error::kernel("hand over the sockets of published ports", e))
    });
    match entered {
        Ok(holder) => Ok(PublishedPorts { mappings, holder }),
        Err(error) => {
            unpublish(state, owner)?;
            Err(error)
        }
    }
}

fn enter(state: &mut State, owner: &str, to: Ipv4Addr, mappings: &[PortMapping]) -> Result<()> {
    state.published.owners.insert(owner.to_owned(), (to, mappings.to_vec()));
    open_to_loopback(state, to, mappings);
    let new = elements(to, mappings);
    change(state, |transaction| new.add_to(transaction))
}

/// Its ports lead nowhere from now on. Twice is no error.
pub(crate) fn unpublish(state: &mut State, owner: &str) -> Result<()> {
    let Some((to, mappings)) = state.published.owners.remove(owner) else { return Ok(()) };
    state.published.allocator.release(&mappings);
    let old = elements(to, &mappings);
    change(state, |transaction| old.delete_from(transaction))
}

/// What a container may reach of others on its bridge, in place of what it might before.
pub(crate) fn open(state: &mut State, owner: &str, openings: Vec<Opening>) -> Result<()> {
    let before = state.published.openings.remove(owner).unwrap_or_default();
    let [old, new] = [&before, &openings].map(|all| Elements { links: links(all), ..Elements::default() });
    let bridge = openings.first().and_then(|opening| bridge_of(state, opening.to));
    match bridge {
        Some(bridge) if !bridge.inter_container => {
            stand_between(&bridge.name);
            state.published.openings.insert(owner.to_owned(), openings);
        }
        // Everything is open there.
        Some(_) => return Ok(()),
        None => {}
    }
    if old == new {
        return Ok(());
    }
    change(state, |transaction| {
        old.delete_from(transaction);
        new.add_to(transaction);
    })
}

/// The bridge carries nothing from one container to another. Instead the host answers whoever looks for a neighbour's
/// hardware address with its own, and forwards (RFC 3069): by our table, which knows what is open.
fn stand_between(bridge: &str) {
    for (switch, value) in [
        (format!("conf/{bridge}/proxy_arp_pvlan"), "1"),
        // At once, and not at random within a second.
        (format!("neigh/{bridge}/proxy_delay"), "0"),
    ] {
        let _ = fs::write(format!("/proc/sys/net/ipv4/{switch}"), value);
    }
}

/// The bridge on whose network an address is.
fn bridge_of(state: &State, address: Ipv4Addr) -> Option<&BridgeConfig> {
    let bridges = &state.desired.bridges;
    bridges.iter().find(|bridge| bridge.address.is_some_and(|subnet| subnet.contains(&address)))
}

/// After an engine's restart: running containers have these, and nobody else has any.
pub(crate) fn adopt(state: &mut State, running: Vec<(String, Ipv4Addr, Vec<PortMapping>)>) -> Result<()> {
    for (owner, to, mappings) in running {
        state.published.allocator.claim(&mappings);
        open_to_loopback(state, to, &mappings);
        state.published.owners.insert(owner, (to, mappings));
    }
    let inherited = std::mem::take(&mut state.published.inherited);
    if inherited.sorted() == state.published.elements().sorted() { Ok(()) } else { remake(state) }
}

pub(crate) fn open_to_loopback(state: &mut State, to: Ipv4Addr, mappings: &[PortMapping]) {
    if !mappings.iter().any(needs_loopback) {
        return;
    }
    if let Some(bridge) = bridge_of(state, to).map(|bridge| bridge.name.clone()) {
        state.published.let_loopback_leave(&bridge);
    }
}

/// If it cannot be done because somebody took the table away, or a part of it, that is made again.
pub(crate) fn change(state: &mut State, fill: impl FnOnce(&mut Transaction<'_>)) -> Result<()> {
    let Some((config, nft)) = state.desired.firewall.as_ref().zip(state.nft.as_mut()) else { return Ok(()) };
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    transaction.asks = config.respect;
    fill(&mut transaction);
    match transaction.commit(nft) {
        Err(Error::NoNftables(_)) => remake(state),
        Err(e) if e.errno() == Some(Errno::EXIST) => remake(state),
        other => other,
    }
}

fn remake(state: &mut State) -> Result<()> {
    let State { desired, guarded, nft, published, .. } = state;
    let Some(nft) = nft else { return Ok(()) };
    published.install(desired, *guarded, nft)
}

fn needs_loopback(mapping: &PortMapping) -> bool {
    mapping.address.is_unspecified() || mapping.address.is_loopback()
}

/// What the maps need for a container.
pub(crate) fn elements(to: Ipv4Addr, mappings: &[PortMapping]) -> Elements {
    let mut elements = Elements::default();
    for mapping in mappings {
        let IpAddr::V4(address) = mapping.address else { continue };
        let (low, high) =
            if address.is_unspecified() { (address, Ipv4Addr::BROADCAST) } else { (address, address) };
        let to = to.octets();
        if mapping.host == mapping.container {
            elements.ports.push(Element {
                first: key(low, mapping, mapping.host),
                last: Some(key(high, mapping, mapping.host + (mapping.count - 1))),
                data: to.to_vec(),
            });
            continue;
        }
        for (n, port) in mapping.ports().enumerate() {
            let there = (mapping.container + n as u16).to_be_bytes();
            let data = [&to[..], &there, &[0, 0]].concat();
            let mut first = key(low, mapping, port);
            if address.is_unspecified() {
                first.drain(..4);
                elements.moved_ports.push(Element { first, last: None, data });
            } else {
                elements.moved_ports_at.push(Element { first, last: None, data });
            }
        }
    }
    elements
}

fn links(openings: &[Opening]) -> Vec<Element> {
    let mut elements: Vec<Element> = openings
        .iter()
        .map(|Opening { from, to, protocol, port }| {
            let [high, low] = port.to_be_bytes();
            let rest = [protocol.number(), 0, 0, 0, high, low, 0, 0];
            let first = [&from.octets()[..], &to.octets(), &rest].concat();
            Element { first, last: None, data: Vec::new() }
        })
        .collect();
    elements.sort_unstable();
    elements.dedup();
    elements
}

/// Address, protocol and port, each filled up to four bytes.
fn key(address: Ipv4Addr, mapping: &PortMapping, port: u16) -> Vec<u8> {
    let ([a, b, c, d], [high, low]) = (address.octets(), port.to_be_bytes());
    vec![a, b, c, d, mapping.protocol.number(), 0, 0, 0, high, low, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(address: &str, host: u16, container: u16, count: u16) -> PortMapping {
        PortMapping { protocol: Protocol::Udp, address: address.parse().unwrap(), host, container, count }
    }

    #[test]
    fn a_range_of_equal_numbers_is_one_element() {
        let to = Ipv4Addr::new(172, 17, 0, 2);
        let range = elements(to, &[mapping("0.0.0.0", 20_000, 20_000, 10_000)]);
        assert_eq!((range.ports.len(), range.moved_ports.len()), (1, 0));
        assert_eq!(range.ports[0].first, [0, 0, 0, 0, 17, 0, 0, 0, 0x4e, 0x20, 0, 0]);
        assert_eq!(range.ports[0].last.clone().unwrap(), [255, 255, 255, 255, 17, 0, 0, 0, 0x75, 0x2f, 0, 0]);
        let moved = elements(to, &[mapping("127.0.0.1", 8080, 80, 2)]);
        assert_eq!((moved.ports.len(), moved.moved_ports.len(), moved.moved_ports_at.len()), (0, 0, 2));
        assert_eq!(moved.moved_ports_at[1].data, [172, 17, 0, 2, 0, 81, 0, 0]);
        let moved = elements(to, &[mapping("0.0.0.0", 8080, 80, 1)]);
        assert_eq!(moved.moved_ports[0].first, [17, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(elements(to, &[mapping("0.0.0.0", 65_535, 65_535, 1)]).ports.len(), 1);
        assert_eq!(elements(to, &[mapping("::", 80, 80, 1)]), Elements::default());
    }
}
