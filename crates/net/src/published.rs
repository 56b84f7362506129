//! Published ports: what leads from a port of the host's to a container, in the kernel's maps and in our memory.
//!
//! Both are changed under the lock of [`State`], so that whoever makes the table anew or looks whether it is whole
//! (`watch.rs`) finds them in agreement.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::{fs, io};

use rustix::io::Errno;

use crate::admin::Memory;
use crate::br_netfilter::bridges_filter_ipv6;
use crate::desired::{BridgeConfig, Desired, GatewayMode};
use crate::elements::Elements;
use crate::error::{Error, Result};
use crate::firewall::{self, Guard};
use crate::flows::{self, Ways};
use crate::led::{Direct, Opening, Reach, Target, elements, links};
use crate::netlink::{Batch, Socket};
use crate::nft::{Family, Transaction};
use crate::plan::Step;
use crate::ports::{self, Allocator, PortMapping, PortWish, Protocol};
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

/// All published ports of an engine.
#[derive(Debug)]
pub(crate) struct Published {
    allocator: Allocator,
    /// By container.
    owners: BTreeMap<String, (Target, Vec<PortMapping>)>,
    /// What is open to containers of others.
    openings: BTreeMap<String, Vec<Opening>>,
    /// What the engine before has left, until it is known which of its containers live.
    inherited: Elements,
    /// Bridges by which packets of 127.0.0.0/8 may leave.
    open_to_loopback: BTreeSet<String>,
    /// What else stands in the table.
    memory: Memory,
    /// Bridges that bring answers to ::1.
    open_to_loopback6: BTreeSet<String>,
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
            open_to_loopback6: BTreeSet::new(),
        }
    }

    /// Puts the table in order.
    pub(crate) fn install(&mut self, desired: &Desired, guard: Guard, socket: &mut Socket) -> Result<()> {
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
        target: Target,
        mappings: &[PortMapping],
    ) -> Option<(Target, Vec<PortMapping>)> {
        self.owners.insert(owner.to_owned(), (target, mappings.to_vec()))
    }

    pub(crate) fn forget_owner(&mut self, owner: &str) {
        self.owners.remove(owner);
    }

    /// What belongs into the maps.
    pub(crate) fn elements(&self) -> Elements {
        let mut all = self.inherited.clone();
        for (target, mappings) in self.owners.values() {
            all.extend(elements(*target, mappings));
        }
        self.openings.values().for_each(|openings| all.extend(links(openings)));
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
    pub(crate) fn switch_on(&mut self, steps: &[Step], socket: &mut Socket) {
        for step in steps {
            let Step::CreateBridge { name, .. } = step else { continue };
            if self.open_to_loopback.remove(name) {
                self.let_loopback_leave(name);
            }
            if self.open_to_loopback6.remove(name) {
                self.hear_loopback6(name, socket);
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

    /// The same of ::1, which takes a route for the answers. Where bridges show the firewall what they carry
    /// (`br_netfilter`), they turn the answer back before the kernel has taken it in, which then takes nothing to ::1.
    fn hear_loopback6(&mut self, bridge: &str, socket: &mut Socket) {
        if self.open_to_loopback6.contains(bridge) || bridges_filter_ipv6() {
            return;
        }
        let Ok(index) = socket.link_index(bridge) else { return };
        let mut batch = Batch::default();
        batch.hear_loopback(index);
        let heard = match socket.send(&batch) {
            // An earlier engine has made it.
            Err(error) => error.errno() == Some(Errno::EXIST),
            Ok(()) => true,
        };
        if heard {
            self.open_to_loopback6.insert(bridge.to_owned());
        }
    }
}

/// Has ports of this host's lead to a container: all that it wishes, or none.
pub(crate) fn publish(
    state: &mut State,
    owner: &str,
    to: Reach,
    wishes: &[PortWish],
) -> Result<PublishedPorts> {
    let (mappings, held) = allocate(state, to, wishes)?;
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

/// Takes ports that will do, and binds them: for all of the wishes, or for none.
pub(crate) fn allocate(
    state: &mut State,
    to: Reach,
    wishes: &[PortWish],
) -> Result<(Vec<PortMapping>, Held)> {
    let Some(firewall) = &state.desired.firewall else { return Err(Error::NoFirewall) };
    let of_ipv6 = |wish: &PortWish| wish.address.is_ipv6();
    if !firewall.ipv6 && wishes.iter().any(of_ipv6) {
        return Err(Error::NoFirewall6);
    }
    if wishes.iter().any(|wish| wish.address == IpAddr::V6(Ipv6Addr::LOCALHOST)) && bridges_filter_ipv6() {
        return Err(Error::NoLoopback6);
    }
    // Who lies over a link of the host's has his ports in the world there, and none here.
    let is_over = |wish: &&PortWish| {
        let own = to.beside(wish.address);
        own.and_then(|own| Some(network_of(state, own)?.over.is_some())).unwrap_or_default()
    };
    let wishes: Vec<PortWish> = wishes.iter().filter(|wish| !is_over(wish)).copied().collect();
    // What is reached at its own address takes no port of the host's.
    let is_routed = |wish: &&PortWish| {
        let own = to.beside(wish.address);
        own.and_then(|own| Some(bridge_of(state, own)?.mode_of(own))) == Some(GatewayMode::Routed)
    };
    let (routed, wishes): (Vec<&PortWish>, Vec<&PortWish>) = wishes.iter().partition(is_routed);
    let mut mappings = ports::direct(routed.into_iter().copied());
    let wishes: Vec<PortWish> = wishes.into_iter().copied().collect();
    let mut held = Held::default();
    let mut ahead = bind_ahead(&mut held, &wishes);
    let bind = |address, port, protocol| {
        let at = ahead.binary_search_by_key(&(address, port, protocol), |(port, _)| *port);
        match at.ok().and_then(|at| ahead[at].1.take()) {
            Some(outcome) => outcome,
            None => held.bind(address, port, protocol),
        }
    };
    mappings.extend(state.published.allocator.allocate(&wishes, bind)?);
    Ok((mappings, held))
}

/// From so many on it is worth threads.
const MANY: usize = 1000;

/// What became of a port; taken by whom it is told.
type Ahead = ((IpAddr, u16, Protocol), Option<io::Result<()>>);

/// Binds at once what can be nothing else, where it is much: what became of each, in order.
fn bind_ahead(held: &mut Held, wishes: &[PortWish]) -> Vec<Ahead> {
    if wishes.len() < MANY {
        return Vec::new();
    }
    let mut all: Vec<_> =
        wishes.iter().filter_map(|wish| Some((wish.address, wish.fixed()?, wish.protocol))).collect();
    all.sort_unstable();
    all.dedup();
    let outcomes = held.bind_all(&all);
    all.into_iter().zip(outcomes.into_iter().map(Some)).collect()
}

fn enter(state: &mut State, owner: &str, to: Reach, mappings: &[PortMapping]) -> Result<()> {
    let target = target(state, to);
    state.published.owners.insert(owner.to_owned(), (target, mappings.to_vec()));
    open_to_loopback(state, to, mappings);
    let new = elements(target, mappings);
    change(state, |transaction| new.add_to(transaction))?;
    follow(state, mappings);
    Ok(())
}

/// Its ports lead nowhere from now on. Twice is no error.
pub(crate) fn unpublish(state: &mut State, owner: &str) -> Result<()> {
    let Some((target, mappings)) = state.published.owners.remove(owner) else { return Ok(()) };
    state.published.allocator.release(&mappings);
    let old = elements(target, &mappings);
    change(state, |transaction| old.delete_from(transaction))?;
    follow(state, &mappings);
    Ok(())
}

/// Flows of datagrams go where these ports, which have changed, lead now.
pub(crate) fn follow(state: &mut State, mappings: &[PortMapping]) {
    if mappings.iter().any(flows::is_of_datagrams) {
        sweep_all(state);
    }
}

fn sweep_all(state: &mut State) {
    let State { desired, links, nft, published, .. } = state;
    let Some(nft) = nft else { return };
    let local = links.addresses().unwrap_or_default().into_iter().map(|(_, net)| net.addr()).collect();
    let bridges = desired.bridges.iter().filter(|bridge| bridge.over.is_none());
    let subnets = bridges.flat_map(BridgeConfig::addresses).map(|address| address.trunc()).collect();
    let mut ways = Ways::new(local, subnets);
    published.owners.values().for_each(|(target, mappings)| ways.add(*target, mappings));
    flows::sweep(&ways, nft);
}

/// What a container may reach of others on its bridge, in place of what it might before.
pub(crate) fn open(state: &mut State, owner: &str, openings: Vec<Opening>) -> Result<()> {
    let before = state.published.openings.remove(owner).unwrap_or_default();
    let [old, new] = [&before, &openings].map(|all| links(all));
    let bridge = openings.first().and_then(|opening| bridge_of(state, opening.to.into()));
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

/// How directly a container is reached, by what its networks are now.
pub(crate) fn target(state: &State, to: Reach) -> Target {
    let anywhere = state.desired.firewall.as_ref().is_some_and(|firewall| firewall.direct);
    let direct = |own: Option<IpAddr>| {
        let bridge = own.and_then(|own| bridge_of(state, own)).filter(|bridge| !bridge.internal);
        match bridge {
            Some(_) if anywhere => Direct::Anywhere,
            Some(bridge) if bridge.trusts() => Direct::Trusted,
            _ => Direct::Nowhere,
        }
    };
    Target { to, ipv4: direct(to.ipv4.map(IpAddr::V4)), ipv6: direct(to.ipv6.map(IpAddr::V6)) }
}

/// The bridge on whose network an address is.
fn bridge_of(state: &State, address: IpAddr) -> Option<&BridgeConfig> {
    network_of(state, address).filter(|bridge| bridge.over.is_none())
}

/// The network that an address is of.
fn network_of(state: &State, address: IpAddr) -> Option<&BridgeConfig> {
    let bridges = &state.desired.bridges;
    bridges.iter().find(|bridge| bridge.addresses().any(|subnet| subnet.contains(&address)))
}

/// After an engine's restart: running containers have these, and nobody else has any.
pub(crate) fn adopt(state: &mut State, running: Vec<(String, Reach, Vec<PortMapping>)>) -> Result<()> {
    for (owner, to, mappings) in running {
        state.published.allocator.claim(&mappings);
        open_to_loopback(state, to, &mappings);
        let target = target(state, to);
        state.published.owners.insert(owner, (target, mappings));
    }
    let inherited = std::mem::take(&mut state.published.inherited);
    if inherited.sorted() == state.published.elements().sorted() {
        return Ok(());
    }
    remake(state)?;
    // Of those that ended meanwhile it is known no more which ports they had.
    sweep_all(state);
    Ok(())
}

pub(crate) fn open_to_loopback(state: &mut State, to: Reach, mappings: &[PortMapping]) {
    for own in [to.ipv4.map(IpAddr::V4), to.ipv6.map(IpAddr::V6)].into_iter().flatten() {
        let needed =
            |mapping: &PortMapping| mapping.address.is_ipv4() == own.is_ipv4() && needs_loopback(mapping);
        if !mappings.iter().any(needed) {
            continue;
        }
        let Some(bridge) = bridge_of(state, own).map(|bridge| bridge.name.clone()) else { continue };
        match own {
            IpAddr::V4(_) => state.published.let_loopback_leave(&bridge),
            IpAddr::V6(_) => state.published.hear_loopback6(&bridge, &mut state.links),
        }
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
    !mapping.is_direct() && (mapping.address.is_unspecified() || mapping.address.is_loopback())
}
