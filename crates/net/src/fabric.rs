//! The networks of one engine with everything that belongs to them: bridges, firewall, addresses, and sandboxes ready to
//! be taken.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ipnet::IpNet;

use crate::apply::apply;
use crate::desired::{BridgeConfig, Desired, MacvlanMode, Over, OverKind};
use crate::elements::Elements;
use crate::error::{Error, Result};
use crate::firewall::{self, Guard};
use crate::forward;
use crate::netlink::{Batch, Socket};
use crate::netns::NetNs;
use crate::network::{FabricFacts, Network, Place};
use crate::observe::observe_with;
use crate::plan::{Plan, Step, first_host, first_host6, overlap, plan, turn_on_ipv6};
use crate::pool::Pool;
use crate::pools::{self, AddressPool, Taken};
use crate::published::Published;
use crate::reaper::{self, Reaper};
use crate::sandbox::{Address, Furnishing, Sandbox, probe_over};
use crate::state::{State, lock};
use crate::version::Version;
use crate::watch::{TellLost, Watcher};

/// How many sandboxes are held ready: with the bridge, for users' networks, and with loopback only.
const BRIDGED_READY: usize = 4;
const UNPLUGGED_READY: usize = 3;
const ISOLATED_READY: usize = 1;

/// The running networks of one engine.
pub struct Fabric {
    /// Name of the default bridge, if there is one.
    default: Option<String>,
    /// What the start changed on this host, one line each.
    pub changes: Vec<String>,
    pub warnings: Vec<String>,
    /// Held while the host is changed: milliseconds.
    state: Arc<Mutex<State>>,
    /// By bridge. Held for a bit operation only.
    networks: Mutex<BTreeMap<String, Network>>,
    /// A route socket of the host's for the legs of users' networks. Held for one datagram.
    links: Mutex<Socket>,
    home: NetNs,
    bridged: Option<Pool>,
    /// Started with the first network of a user's.
    unplugged: OnceLock<Pool>,
    lost: Arc<OnceLock<TellLost>>,
    reaper: Reaper,
    _watcher: Watcher,
}

impl fmt::Debug for Fabric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fabric").field("default", &self.default).finish_non_exhaustive()
    }
}

impl Fabric {
    /// Observes, plans, applies, and starts to prepare sandboxes: in the calling thread's network namespace.
    /// `mended` is told from another thread what had to be put back later, because somebody took it away.
    ///
    /// # Errors
    ///
    /// A configuration that this host cannot fulfil, a kernel without nftables, missing privilege.
    pub fn start(desired: Desired, mended: impl Fn(Result<Plan>) + Send + 'static) -> Result<Self> {
        let bridge = desired.bridges.first().map_or_else(|| "none".to_owned(), |bridge| bridge.name.clone());
        Self::bring_up(desired, mended).map_err(|error| match error.errno() {
            Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
                Error::NotPermitted { bridge, source: Box::new(error) }
            }
            _ => error,
        })
    }

    fn bring_up(mut desired: Desired, mended: impl Fn(Result<Plan>) + Send + 'static) -> Result<Self> {
        let mut nft = desired.firewall.is_some().then(Socket::netfilter).transpose()?;
        let mut links = Socket::route()?;
        let observed = observe_with(&desired, &mut links, nft.as_mut())?;
        let plan = plan(&desired, &observed)?;
        let mut networks = BTreeMap::new();
        for (config, planned) in desired.bridges.iter_mut().zip(&plan.bridges) {
            networks.insert(config.name.clone(), Network::new(config, planned)?);
            // What the start has chosen holds until the next one.
            planned.settle(config);
        }
        // Containers of the engine before run on, and so do their ports, until this one has said which they are.
        let inherited = match desired.firewall.as_ref().zip(nft.as_mut()) {
            Some((config, nft)) => Elements::observe(&config.table, nft)?,
            None => Elements::default(),
        };
        let mut published = Published::new(inherited);
        apply(&desired, &plan, &mut published, &mut links, nft.as_mut())?;
        // Whether this start or an earlier one turned forwarding on; the table is where that is remembered.
        let guarded = Guard {
            ipv4: desired.guard && (plan.steps.contains(&Step::TurnOnForwarding) || observed.guarded),
            ipv6: desired.guard && (plan.steps.contains(&Step::TurnOnForwarding6) || observed.guarded6),
        };
        let default =
            desired.bridges.first().filter(|bridge| !bridge.owned).map(|bridge| bridge.name.clone());
        let attach =
            default.as_ref().and_then(|name| networks.get(name)).map(|network| network.attach.clone());
        let reaper = Reaper::new(desired.mark());
        if observed.retired || plan.removes_bridges() {
            reaper.wake(&NetNs::current()?)?;
        }
        let state = Arc::new(Mutex::new(State { desired, guarded, links, nft, published }));
        let lost = Arc::default();
        let watcher = Watcher::start(Arc::clone(&state), Arc::clone(&lost), mended)?;
        let bridged = attach
            .map(|attach| Pool::start("wharf-sandboxes", Furnishing::Bridged(attach), BRIDGED_READY))
            .transpose()?;
        Ok(Self {
            default,
            changes: plan.steps.iter().map(ToString::to_string).collect(),
            warnings: plan.warnings,
            state,
            networks: Mutex::new(networks),
            links: Mutex::new(Socket::route()?),
            home: NetNs::current()?,
            bridged,
            unplugged: OnceLock::new(),
            lost,
            reaper,
            _watcher: watcher,
        })
    }

    /// A pool of sandboxes with loopback only; needs no bridge.
    ///
    /// # Errors
    ///
    /// No thread, no `/proc`.
    pub fn isolated() -> Result<Pool> {
        Pool::start("wharf-isolated", Furnishing::Isolated, ISOLATED_READY)
    }

    // ------------------------------------------------------------------------------------ networks

    /// All users' networks are known now: makes what is missing, removes what has no network any more, and puts the
    /// firewall up. Answers what was changed, and for each network that cannot be made why.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn restore(&self, bridges: Vec<BridgeConfig>) -> Result<(Plan, Vec<(String, Error)>)> {
        let mut state = lock(&self.state);
        let State { desired, guarded, links, nft, published } = &mut *state;
        let mut refused = Vec::new();
        let mut wanted = Desired { incomplete: false, ..desired.clone() };
        wanted.bridges.extend(bridges);
        if wanted.bridges.is_empty() {
            // Nothing of the host's is touched for nobody.
            return Ok((Plan::default(), refused));
        }
        let mut observed = observe_with(&wanted, links, nft.as_mut())?;
        observed.guarded |= guarded.ipv4;
        observed.guarded6 |= guarded.ipv6;
        let mut networks = self.networks();
        // One that cannot be made must not take the others with it.
        let known = desired.bridges.len();
        let mut at = 0;
        wanted.bridges.retain_mut(|config| {
            at += 1;
            if at <= known {
                return true;
            }
            // What was there before its network stays when that goes.
            config.owned = observed.bridges.get(config.link()).is_none_or(|found| found.marked);
            let made = plan(&desired.with_only(config.clone()), &observed)
                .and_then(|plan| Network::new(config, &plan.bridges[0]));
            match made {
                Ok(network) => {
                    networks.insert(config.name.clone(), network);
                    true
                }
                Err(error) => {
                    refused.push((config.name.clone(), error));
                    false
                }
            }
        });
        drop(networks);
        let plan = plan(&wanted, &observed)?;
        apply(&wanted, &plan, published, links, nft.as_mut())?;
        if plan.removes_bridges() {
            self.reaper.wake(&self.home)?;
        }
        let has_users = wanted.bridges.iter().any(|bridge| bridge.owned);
        guarded.note(wanted.guard, &plan.steps);
        *desired = wanted;
        drop(state);
        if has_users {
            self.unplugged()?;
        }
        Ok((plan, refused))
    }

    /// Makes a network. Without an address it gets the first free subnet of `pools`.
    ///
    /// # Errors
    ///
    /// The subnet is taken, none is left, the bridge is another network's, or what the kernel says; nothing is left
    /// behind then.
    pub fn add(&self, mut config: BridgeConfig, pools: &[AddressPool]) -> Result<FabricFacts> {
        self.reaper.wait_a_moment();
        let mut state = lock(&self.state);
        let State { desired, guarded, links, nft, published } = &mut *state;
        if desired.bridges.iter().any(|bridge| bridge.name == config.name) {
            return Err(Error::BridgeTaken(config.name));
        }
        let taken = || desired.bridges.iter().flat_map(BridgeConfig::addresses);
        let single = desired.with_only(config.clone());
        let observed = observe_with(&single, links, nft.as_mut())?;
        for address in config.addresses() {
            if let Some(other) = taken().find(|other| overlap(other, &address)) {
                let (subnet, with) = (address.trunc().to_string(), other.trunc().to_string());
                return Err(Error::PoolOverlaps { subnet, with });
            }
        }
        let choose = |version, size| {
            let routes = observed.routes.iter().copied();
            let taken = Taken::new(version, taken().map(|address| address.trunc()).chain(routes));
            pools::choose(pools, &taken, size)
        };
        if config.ipv4 && config.address.is_none() {
            let Some(IpNet::V4(subnet)) = choose(Version::V4, config.size) else {
                return Err(Error::NoFreePool("IPv4"));
            };
            config.address = first_host(subnet);
        }
        if let Some(ipv6) = config.ipv6.as_mut().filter(|ipv6| ipv6.address.is_none()) {
            let Some(IpNet::V6(subnet)) = choose(Version::V6, ipv6.size) else {
                return Err(Error::NoFreePool("IPv6"));
            };
            ipv6.address = first_host6(subnet);
        }
        if let Some(over) = &config.over {
            check_parent(over, &desired.bridges)?;
        }
        // A link that is there already is used, and stays when its network goes.
        config.owned = observed.bridges.get(config.link()).is_none_or(|found| found.marked);
        let single = desired.with_only(config.clone());
        // The first of an engine without a default one brings the firewall along.
        let is_first = desired.incomplete;
        let single = Desired { incomplete: !is_first, ..single };
        let mut plan = plan(&single, &observed)?;
        let network = Network::new(&config, &plan.bridges[0])?;
        plan.bridges[0].settle(&mut config);
        let facts = network.facts.clone();
        // The first of its kind brings rules of its own.
        let is_one_more = firewall::is_of_one_kind(desired, *guarded, &config);
        if !is_first {
            turn_on_ipv6(desired.ip_forward, &observed, &mut plan);
        }
        guarded.note(desired.guard, &plan.steps);
        desired.bridges.push(config.clone());
        // Nobody's packets are forwarded before the firewall stands: it is `apply` that turns that on.
        let made = match nft.as_mut() {
            Some(nft) if !is_first && !is_one_more => published.install(desired, *guarded, nft),
            _ => Ok(()),
        };
        let made = made.and_then(|()| apply(&single, &plan, published, links, nft.as_mut()));
        let made = made.and_then(|()| match nft.as_mut() {
            Some(nft) if !is_first && is_one_more => firewall::add(desired, *guarded, &config, nft),
            _ => Ok(()),
        });
        let made = made.and_then(|()| match &config.over {
            Some(over) => probe_over(links, over, facts.mtu, &self.home),
            None => Ok(()),
        });
        if let Err(error) = made {
            desired.bridges.pop();
            if let Some(nft) = nft.as_mut().filter(|_| !is_first && !is_one_more) {
                let _ = published.install(desired, *guarded, nft);
            }
            let made_here = |step: &Step| {
                matches!(step, Step::CreateBridge { .. } | Step::CreateDummy { .. } | Step::CreateVlan { .. })
            };
            if plan.steps.iter().any(made_here) {
                let _ = remove_link(links, config.link());
            }
            return Err(error);
        }
        self.networks().insert(config.name.clone(), network);
        desired.incomplete = false;
        drop(state);
        self.unplugged()?;
        Ok(facts)
    }

    /// Removes a network; one that is not there is no error. Nobody may be on it.
    ///
    /// # Errors
    ///
    /// What the kernel says; it can be tried again then.
    pub fn remove(&self, bridge: &str) -> Result<()> {
        self.reaper.wait_a_moment();
        let mut state = lock(&self.state);
        let State { desired, guarded, links, nft, published } = &mut *state;
        let Some(at) = desired.bridges.iter().position(|config| config.name == bridge) else { return Ok(()) };
        // First out of what should be: the watch must not make it again.
        let config = desired.bridges.remove(at);
        // Several networks may lie over one link.
        let is_last = desired.bridges.iter().all(|other| other.link() != config.link());
        let removed = match config.owned && is_last {
            false => Ok(()),
            // A VLAN's number is free again with the link only.
            true if config.over.is_some() => remove_link(links, config.link()),
            true => reaper::retire(links, config.link(), config.addresses())
                .and_then(|()| self.reaper.wake(&self.home))
                .or_else(|_| remove_link(links, config.link())),
        };
        if let Err(error) = removed {
            desired.bridges.insert(at, config);
            return Err(error);
        }
        self.networks().remove(bridge);
        if let Some(nft) = nft.as_mut() {
            // Somebody's flush may have come first; the last of its kind takes its rules along.
            let is_one_less = firewall::is_of_one_kind(desired, *guarded, &config);
            if !is_one_less || firewall::remove(desired, *guarded, &config, nft).is_err() {
                published.install(desired, *guarded, nft)?;
                firewall::forget_special(desired, *guarded, nft)?;
            }
            let chains = forward::chains(nft)?;
            for version in Version::BOTH {
                let shared = forward::shared(nft, &chains, version, |other| other != bridge)?;
                if !shared.stale.is_empty() {
                    forward::amend(nft, version, &shared.stale, &[])?;
                }
            }
        }
        Ok(())
    }

    // ----------------------------------------------------------------------------------- sandboxes

    /// Facts of the default bridge.
    pub fn facts(&self) -> Option<FabricFacts> {
        self.network_facts(self.default.as_deref()?)
    }

    /// Facts of one network.
    pub fn network_facts(&self, bridge: &str) -> Option<FabricFacts> {
        self.networks().get(bridge).map(|network| network.facts.clone())
    }

    /// Whether the firewall is ours.
    pub fn has_firewall(&self) -> bool {
        lock(&self.state).desired.firewall.is_some()
    }

    /// Whether the host's input policy decides about published ports.
    pub fn respects_host(&self) -> bool {
        lock(&self.state).desired.firewall.as_ref().is_some_and(|config| config.respect)
    }

    /// How many sandboxes of the default bridge are ready.
    pub fn ready(&self) -> usize {
        self.bridged.as_ref().map_or(0, Pool::ready)
    }

    /// Whether [`Fabric::take`] would not have to wait.
    pub fn is_ready(&self) -> bool {
        self.ready() > 0
    }

    /// A sandbox on the default bridge, with an address, which is taken until [`Fabric::give_back`]. Waits for
    /// milliseconds if none is ready.
    ///
    /// # Errors
    ///
    /// No address, no sandbox; nothing is left behind then.
    pub fn take(&self, place: Place) -> Result<(Sandbox, Address)> {
        self.reaper.wait_a_moment();
        let (bridge, pool) = self.default()?;
        let address = self.claim(bridge, place)?;
        loop {
            let sandbox = pool.take().inspect_err(|_| self.give_all_back(bridge, &address))?;
            if let Some(taken) = self.assign(bridge, sandbox, &address)? {
                return Ok(taken);
            }
        }
    }

    /// The same without waiting: `None` if no sandbox is ready.
    ///
    /// # Errors
    ///
    /// As [`Fabric::take`].
    pub fn try_take(&self, place: Place) -> Result<Option<(Sandbox, Address)>> {
        self.reaper.wait_a_moment();
        let (bridge, pool) = self.default()?;
        let address = self.claim(bridge, place)?;
        while let Some(sandbox) = pool.try_take() {
            if let Some(taken) = self.assign(bridge, sandbox, &address)? {
                return Ok(Some(taken));
            }
        }
        self.give_all_back(bridge, &address);
        Ok(None)
    }

    fn default(&self) -> Result<(&str, &Pool)> {
        let both = self.default.as_deref().zip(self.bridged.as_ref());
        both.ok_or_else(|| Error::NoSuchNetwork("bridge".to_owned()))
    }

    /// `None`: somebody has removed its leg while it waited.
    fn assign(
        &self,
        bridge: &str,
        mut sandbox: Sandbox,
        address: &Address,
    ) -> Result<Option<(Sandbox, Address)>> {
        match sandbox.assign(address) {
            Ok(()) => Ok(Some((sandbox, address.clone()))),
            Err(e) if e.errno() == Some(rustix::io::Errno::NODEV) => Ok(None),
            Err(e) => {
                self.give_all_back(bridge, address);
                Err(e)
            }
        }
    }

    /// One without a leg, in which names can be asked for. Waits for milliseconds if none is ready.
    ///
    /// # Errors
    ///
    /// Why none can be made.
    pub fn take_unplugged(&self) -> Result<Sandbox> {
        self.unplugged()?.take()
    }

    /// The same without waiting.
    pub fn try_take_unplugged(&self) -> Option<Sandbox> {
        self.unplugged.get().and_then(Pool::try_take)
    }

    /// The pool's thread starts in the engine's namespace, whichever thread asks first.
    fn unplugged(&self) -> Result<&Pool> {
        if let Some(pool) = self.unplugged.get() {
            return Ok(pool);
        }
        let made =
            self.home.visit(|| Pool::start("wharf-unplugged", Furnishing::Unplugged, UNPLUGGED_READY))??;
        Ok(self.unplugged.get_or_init(|| made))
    }

    /// Sandboxes are going to be needed: after a failure, tries again to prepare them.
    pub fn nudge(&self) {
        self.bridged.iter().chain(self.unplugged.get()).for_each(Pool::nudge);
    }

    /// Takes an address on a network. First of all: where none is left, no sandbox is used up.
    ///
    /// # Errors
    ///
    /// None is left, it is another's, it is not of the subnet.
    pub fn claim(&self, bridge: &str, place: Place) -> Result<Address> {
        let mut networks = self.networks();
        let network = networks.get_mut(bridge).ok_or_else(|| Error::NoSuchNetwork(bridge.to_owned()))?;
        network.claim(place)
    }

    /// The same for one that has that address there already, and has lost its leg.
    ///
    /// # Errors
    ///
    /// There is no such network, or the address is none of it.
    pub fn claimed(&self, bridge: &str, place: Place) -> Result<Address> {
        let networks = self.networks();
        let network = networks.get(bridge).ok_or_else(|| Error::NoSuchNetwork(bridge.to_owned()))?;
        network.claimed(place)
    }

    /// Whether a sandbox has such a leg; if so, what its other end on this host is called, where it has one.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn leg(&self, sandbox: &mut Sandbox, interface: &str) -> Result<Option<Option<String>>> {
        let Some(peer) = sandbox.peer(interface)? else { return Ok(None) };
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(links.link_name(peer)))
    }

    /// Whom to tell, from another thread, which links are gone that were ports of bridges of ours: their containers have
    /// ended, or somebody has removed them. Once for all.
    pub fn on_lost(&self, tell: impl Fn(Vec<String>) + Send + Sync + 'static) {
        let _ = self.lost.set(Box::new(tell));
    }

    /// Makes a leg on a network in a sandbox, with an address that was claimed there; answers the name of its other end on
    /// this host, where it has one.
    ///
    /// # Errors
    ///
    /// What the kernel says; the address stays claimed.
    pub fn plug(
        &self,
        sandbox: &mut Sandbox,
        bridge: &str,
        interface: &str,
        address: &Address,
    ) -> Result<Option<String>> {
        self.reaper.wait_a_moment();
        let attach = self.networks().get(bridge).map(|network| network.attach.clone());
        let attach = attach.ok_or_else(|| Error::NoSuchNetwork(bridge.to_owned()))?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        sandbox.plug(&mut links, &attach, interface, address)
    }

    /// A sandbox in which a process lives, to be plugged.
    ///
    /// # Errors
    ///
    /// Missing privilege.
    pub fn enter(&self, netns: OwnedFd) -> Result<Sandbox> {
        Sandbox::of(netns)
    }

    /// Gives an address back. Twice is no error.
    pub fn give_back(&self, bridge: &str, ip: IpAddr) {
        if let Some(network) = self.networks().get_mut(bridge) {
            network.give_back(ip);
        }
    }

    fn give_all_back(&self, bridge: &str, address: &Address) {
        address.ips().for_each(|ip| self.give_back(bridge, ip));
    }

    /// After an engine's restart: a running container has this address.
    ///
    /// # Errors
    ///
    /// It is another's, or not of the network's subnet.
    pub fn reclaim(&self, bridge: &str, ip: IpAddr) -> Result<()> {
        let mut networks = self.networks();
        let network = networks.get_mut(bridge).ok_or_else(|| Error::NoSuchNetwork(bridge.to_owned()))?;
        network.reclaim(ip)
    }

    /// The engine ends: what others do not see any more goes now, as far as that takes seconds only.
    pub fn finish(&self) {
        self.reaper.finish();
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The host's namespace.
    pub(crate) fn home(&self) -> &NetNs {
        &self.home
    }

    fn networks(&self) -> MutexGuard<'_, BTreeMap<String, Network>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// Where these steps turn forwarding on.
    fn note(&mut self, wanted: bool, steps: &[Step]) {
        self.ipv4 |= wanted && steps.contains(&Step::TurnOnForwarding);
        self.ipv6 |= wanted && steps.contains(&Step::TurnOnForwarding6);
    }
}

/// One interface of a container's alone lies over a parent in mode passthru.
fn check_parent(over: &Over, bridges: &[BridgeConfig]) -> Result<()> {
    let is_alone = |over: &Over| over.kind == OverKind::Macvlan(MacvlanMode::Passthru);
    let taken = |other: &&BridgeConfig| {
        let beside = other.over.as_ref().filter(|other| other.parent == over.parent);
        beside.is_some_and(|beside| is_alone(beside) || is_alone(over))
    };
    match bridges.iter().find(taken) {
        Some(other) => Err(Error::ParentTaken { parent: over.parent.clone(), other: other.name.clone() }),
        None => Ok(()),
    }
}

fn remove_link(links: &mut Socket, name: &str) -> Result<()> {
    let index = match links.link_index(name) {
        Err(e) if e.errno() == Some(rustix::io::Errno::NODEV) => return Ok(()),
        other => other?,
    };
    let mut batch = Batch::default();
    batch.remove_link(index);
    links.send(&batch)
}
