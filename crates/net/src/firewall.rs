//! Our nftables table: what is in it.
//!
//! ```text
//! table inet wharf {
//!     set bridges { type ifname; elements = { "docker0", "br-0123456789ab" } }
//!     set talking { type ifname . ifname; elements = { "docker0" . "docker0" ... } }     (not those with --icc=false)
//!     set internal { type ifname; elements = { ... } }                                   (--internal)
//!     set masqueraded { type ifname; elements = { ... } }
//!     set home { type ipv4_addr . ifname; flags interval; elements = { 172.17.0.0/16 . "docker0" } }
//!     map ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr; flags interval
//!         elements = { 0.0.0.0/0 . tcp . 20000-29999 : 172.17.0.2 } }
//!     map moved_ports { type inet_proto . inet_service : ipv4_addr . inet_service
//!         elements = { tcp . 8080 : 172.17.0.2 . 80 } }
//!     map moved_ports_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
//!         elements = { 127.0.0.1 . tcp . 8080 : 172.17.0.2 . 80 } }
//!     set links { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }      (with --icc=false)
//!     chain guard { type filter hook prerouting priority raw; policy accept;
//!         ip daddr 127.0.0.0/8 iifname @bridges drop       (what is the host's own is not reached from a container)
//!         ip saddr 127.0.0.0/8 iifname @bridges drop
//!     }
//!     chain prerouting { type nat hook prerouting priority dstnat; policy accept;
//!         iifname != "lo" ip daddr 127.0.0.0/8 return      (nor what is published to the host alone, from anywhere)
//!         fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @ports
//!         meta l4proto tcp fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @moved_ports_at
//!         meta l4proto tcp fib daddr type local dnat ip to meta l4proto . th dport map @moved_ports
//!         (and for udp and sctp)
//!     }
//!     chain output { type nat hook output priority dstnat; policy accept;      (the host itself)
//!         the same
//!     }
//!     chain admin { }                                      (the administrator's own rules: `admin.rs`)
//!     chain forward { type filter hook forward priority filter; policy accept;
//!         jump admin
//!         ct state established,related accept
//!         oifname @bridges ct status dnat accept           (published)
//!         ip saddr . ip daddr . meta l4proto . th dport @links accept
//!         iifname . oifname @talking accept
//!         iifname @internal drop
//!         meta mark & 0x3 == 0x1 oifname @bridges oifname != @internal accept    (--bridge-accept-fwmark 0x1/0x3)
//!         iifname @bridges oifname != @bridges accept
//!         oifname @bridges drop                            (nothing reaches a container uninvited)
//!         meta nfproto ip6 accept                          (the policy is about IPv4)
//!     }
//!     chain postrouting { type nat hook postrouting priority srcnat; policy accept;
//!         oifname @bridges ip saddr 127.0.0.0/8 masquerade (no container could answer that)
//!         ip saddr . oifname @home ct status dnat masquerade                     (nor directly to its neighbour)
//!         meta nfproto ip iifname @masqueraded oifname != @bridges masquerade
//!     }
//! }
//! ```
//!
//! With a network that has IPv6, or gateway modes, there are also sets and maps of the same kind for IPv6 (`home6`,
//! `ports6` ...), and
//!
//! ```text
//!     set masqueraded6, open, open6, routed, routed6 { type ifname; }            (by the gateway mode of each version)
//!     set reached { type ipv4_addr . inet_proto . inet_service; flags interval }      (published ports of routed networks)
//!     set trusted { type ifname . ifname; }                                      (interfaces of the host's, and bridges)
//!     set offered { type ipv4_addr . inet_proto . inet_service; flags interval }      (what is reached from there)
//!     chain output { ...
//!         ip6 daddr ::1 return                                                   (where `br_netfilter` drops the answers)
//!     }
//!     chain forward { ...
//!         ip daddr . meta l4proto . th dport @reached accept                     (after what is internal was dropped)
//!         iifname . oifname @trusted ip daddr . meta l4proto . th dport @offered accept
//!         meta nfproto ip meta l4proto icmp oifname @routed accept
//!         meta nfproto ip iifname != @bridges oifname @open accept               (nat-unprotected)
//!     }
//!     chain forward6 { type filter hook forward priority filter + 1; policy accept;    (for its policy)
//!         meta nfproto ip accept
//!         iifname @bridges accept
//!         oifname @bridges accept
//!     }
//!     chain postrouting { ...
//!         oifname @bridges ip6 saddr ::1 masquerade
//!         ip6 saddr . oifname @home6 ct status dnat masquerade
//!     }
//! ```
//!
//! Where we turned forwarding on, the policy of `forward` is to drop: this host was no router, and becomes one for
//! containers only. That is remembered in the table itself, as the switch outlives the engine, too.
//!
//! Networks are isolated from each other because what comes from one bridge is accepted only towards what is none.
//! A network that comes or goes is an element of sets: the number of rules does not grow.
//!
//! Published ports are elements of the maps (`published.rs`). A range that has the same numbers in the container is one
//! element. Other numbers are an element each, in a hash table: the kernel takes a second for ten thousand of them in the
//! tree that knows ranges. Whoever comes in by them is seen by the container under his own address, but for the two
//! cases above.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::admin::{ADMIN, Memory};
use crate::br_netfilter::bridges_filter_ipv6;
use crate::desired::{BridgeConfig, Desired, FirewallConfig, FirewallMark, GatewayMode, Ipv6Config};
use crate::elements::{Elements, LINKS, Names, names, octets};
use crate::error::{Error, Result};
use crate::forward::ForwardChain;
use crate::netlink::Socket;
use crate::nft::{
    self, Chain, Element, Family, Hook, InterfaceSet, Match, Policy, Rule, Transaction, Verdict,
};
use crate::ports::Protocol;
use crate::respect;
use crate::version::Version;

const fn interfaces(name: &'static str) -> InterfaceSet {
    InterfaceSet { name, pairs: false }
}

const BRIDGES: InterfaceSet = interfaces("bridges");
const TALKING: InterfaceSet = InterfaceSet { name: "talking", pairs: true };
const INTERNAL: InterfaceSet = interfaces("internal");
const MASQUERADED: InterfaceSet = interfaces("masqueraded");
const SETS: [InterfaceSet; 4] = [BRIDGES, TALKING, INTERNAL, MASQUERADED];
const MASQUERADED6: InterfaceSet = interfaces("masqueraded6");
/// Where every port may be reached.
const OPEN: InterfaceSet = interfaces("open");
const OPEN6: InterfaceSet = interfaces("open6");
/// Whose addresses others know.
const ROUTED: InterfaceSet = interfaces("routed");
const ROUTED6: InterfaceSet = interfaces("routed6");
/// By which published ports are reached at containers' own addresses.
const TRUSTED: InterfaceSet = InterfaceSet { name: "trusted", pairs: true };
/// There as well, where a network has IPv6, another gateway mode than NAT, or somebody whom it trusts.
const SPECIAL_SETS: [InterfaceSet; 6] = [MASQUERADED6, OPEN, OPEN6, ROUTED, ROUTED6, TRUSTED];
pub(crate) const FORWARD: &str = "forward";
pub(crate) const FORWARD6: &str = "forward6";
const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
const PRIORITY_RAW: i32 = -300;
const PRIORITY_DSTNAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SRCNAT: i32 = 100;

/// Whether what others forward is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
}

impl Guard {
    /// As far as the firewall is ours.
    pub(crate) fn within(self, desired: &Desired) -> Self {
        let ipv6 = desired.firewall.as_ref().is_some_and(|firewall| firewall.ipv6);
        Self { ipv6: self.ipv6 && ipv6, ..self }
    }
}

/// How much there is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// As long as all networks are plain ones of IPv4.
    Plain,
    /// Gateway modes, and IPv6, unless that is somebody else's.
    Special { ipv6: bool },
}

fn extent(desired: &Desired, guard: Guard) -> Extent {
    let ipv6 = desired.firewall.as_ref().is_some_and(|firewall| firewall.ipv6);
    let direct = desired.firewall.as_ref().is_some_and(|firewall| firewall.direct);
    // This host goes on forwarding IPv6 when the last network with it is gone.
    match direct || guard.ipv6 || desired.bridges.iter().any(BridgeConfig::is_special) {
        true => Extent::Special { ipv6 },
        false => Extent::Plain,
    }
}

impl Extent {
    fn versions(self) -> &'static [Version] {
        match self {
            Self::Special { ipv6: true } => &Version::BOTH,
            _ => &[Version::V4],
        }
    }

    fn is_special(self) -> bool {
        self != Self::Plain
    }
}

/// Whether a bridge more or less makes no difference but in the sets.
pub(crate) fn is_of_one_kind(desired: &Desired, guard: Guard, bridge: &BridgeConfig) -> bool {
    extent(desired, guard).is_special() || !bridge.is_special()
}

fn chains(extent: Extent, guard: Guard, accept: Option<FirewallMark>) -> Vec<Chain> {
    use Match::{
        Icmp, InputIn, InputNotIn, Is, MarkIs, OutputIn, OutputNotIn, PublishedIn, Redirected, StaysIn,
    };
    let policy = |drops| if drops { Policy::Drop } else { Policy::Accept };
    let mut forward = vec![
        Rule::jump(ADMIN),
        Rule::accept([Match::Established]),
        Rule::accept([OutputIn(BRIDGES.name), Redirected]),
        Rule::accept([Match::Linked(LINKS)]),
        Rule::accept([Match::PairIn(TALKING.name)]),
        Rule::drop([InputIn(INTERNAL.name)]),
    ];
    if extent == (Extent::Special { ipv6: false }) {
        // After the administrator's own rules.
        forward.insert(1, Rule::accept([Is(Version::V6)]));
    }
    // Nothing from outside is for who is on an internal network.
    let marked = |mark| Rule::accept([MarkIs(mark), OutputIn(BRIDGES.name), OutputNotIn(INTERNAL.name)]);
    forward.extend(accept.map(marked));
    if extent.is_special() {
        for (version, routed, open) in [(Version::V4, ROUTED, OPEN), (Version::V6, ROUTED6, OPEN6)] {
            if extent.versions().contains(&version) {
                forward.push(Rule::accept([PublishedIn(version, names(version).reached)]));
                let trusted = Match::PairIn(TRUSTED.name);
                forward.push(Rule::accept([trusted, PublishedIn(version, names(version).offered)]));
                forward.push(Rule::accept([Is(version), Icmp(version), OutputIn(routed.name)]));
                forward.push(Rule::accept([Is(version), InputNotIn(BRIDGES.name), OutputIn(open.name)]));
            }
        }
    }
    forward.extend([
        Rule::accept([InputIn(BRIDGES.name), OutputNotIn(BRIDGES.name)]),
        Rule::drop([OutputIn(BRIDGES.name)]),
        Rule::accept([Is(Version::V6)]),
    ]);
    let mut postrouting = vec![Rule::masquerade([OutputIn(BRIDGES.name), Match::FromLoopback])];
    let mut published = Vec::new();
    for version in extent.versions().iter().copied() {
        let names = names(version);
        let hidden = match version {
            Version::V4 => MASQUERADED,
            Version::V6 => {
                postrouting.push(Rule::masquerade([OutputIn(BRIDGES.name), Match::FromLoopback6]));
                MASQUERADED6
            }
        };
        postrouting.push(Rule::masquerade([StaysIn(version, names.home), Redirected]));
        let out = OutputNotIn(BRIDGES.name);
        postrouting.push(Rule::masquerade([Is(version), InputIn(hidden.name), out]));
        published.push(Rule::publish([Match::ToThisHost], Verdict::ToAddressIn(version, names.ports)));
        for protocol in PROTOCOLS {
            for verdict in [
                Verdict::ToPortIn(version, names.moved_ports_at),
                Verdict::ToPortForAnyIn(version, names.moved_ports),
            ] {
                published.push(Rule::publish([Match::Protocol(protocol), Match::ToThisHost], verdict));
            }
        }
    }
    let mut prerouting = vec![Rule::leave([Match::InputIsNotLoopback, Match::ToLoopback])];
    prerouting.extend(published.clone());
    // Where no answer would come back (`br_netfilter`), `localhost` is refused at once, and is tried as 127.0.0.1.
    let deaf = extent.versions().contains(&Version::V6) && bridges_filter_ipv6();
    let mut output: Vec<Rule> = deaf.then(|| Rule::leave([Match::ToLoopback6])).into_iter().collect();
    output.extend(published);
    let guarded = [Match::ToLoopback, Match::FromLoopback];
    let mut chains = vec![
        Chain {
            name: "guard",
            kind: "filter",
            hook: Hook::Prerouting,
            priority: PRIORITY_RAW,
            policy: Policy::Accept,
            // Every packet of this host's passes here: looking into a set costs more than comparing an address.
            rules: guarded.map(|loopback| Rule::drop([loopback, InputIn(BRIDGES.name)])).into(),
        },
        Chain {
            name: "prerouting",
            kind: "nat",
            hook: Hook::Prerouting,
            priority: PRIORITY_DSTNAT,
            policy: Policy::Accept,
            rules: prerouting,
        },
        Chain {
            name: "output",
            kind: "nat",
            hook: Hook::Output,
            priority: PRIORITY_DSTNAT,
            policy: Policy::Accept,
            rules: output,
        },
        Chain {
            name: FORWARD,
            kind: "filter",
            hook: Hook::Forward,
            priority: PRIORITY_FILTER,
            policy: policy(guard.ipv4),
            rules: forward,
        },
        Chain {
            name: "postrouting",
            kind: "nat",
            hook: Hook::Postrouting,
            priority: PRIORITY_SRCNAT,
            policy: Policy::Accept,
            rules: postrouting,
        },
    ];
    if extent.versions().contains(&Version::V6) {
        let ours = [Is(Version::V4), InputIn(BRIDGES.name), OutputIn(BRIDGES.name)];
        chains.push(Chain {
            name: FORWARD6,
            kind: "filter",
            hook: Hook::Forward,
            priority: PRIORITY_FILTER + 1,
            policy: policy(guard.ipv6),
            rules: ours.map(|ours| Rule::accept([ours])).into(),
        });
    }
    chains
}

fn sets(extent: Extent) -> Vec<InterfaceSet> {
    let special: &[_] = if extent.is_special() { &SPECIAL_SETS } else { &[] };
    [&SETS[..], special].concat()
}

/// Whether a bridge is an element of a set.
fn belongs(set: InterfaceSet, bridge: &BridgeConfig) -> bool {
    // What lies over another link does not come through here.
    if bridge.over.is_some() {
        return false;
    }
    let (ipv4, ipv6) = (bridge.ipv4.then_some(bridge.mode), bridge.ipv6.as_ref().map(|ipv6| ipv6.mode));
    match set {
        TALKING => bridge.inter_container,
        INTERNAL => bridge.internal,
        MASQUERADED => bridge.hides(),
        MASQUERADED6 => bridge.hides6(),
        OPEN => ipv4 == Some(GatewayMode::NatUnprotected) && !bridge.internal,
        OPEN6 => ipv6 == Some(GatewayMode::NatUnprotected) && !bridge.internal,
        ROUTED => ipv4 == Some(GatewayMode::Routed) && !bridge.internal,
        ROUTED6 => ipv6 == Some(GatewayMode::Routed) && !bridge.internal,
        TRUSTED => bridge.trusts(),
        _ => true,
    }
}

/// A bridge's elements of a set.
fn keys(set: InterfaceSet, bridge: &BridgeConfig) -> Vec<Vec<u8>> {
    match set {
        _ if !belongs(set, bridge) => Vec::new(),
        TRUSTED => bridge.trusted.iter().map(|input| InterfaceSet::pair(input, &bridge.name)).collect(),
        _ => vec![set.key(&bridge.name)],
    }
}

fn members(set: InterfaceSet, bridges: &[BridgeConfig]) -> Vec<Vec<u8>> {
    bridges.iter().flat_map(|bridge| keys(set, bridge)).collect()
}

/// Whether all our networks are in the table.
pub(crate) fn is_complete(desired: &Desired, guard: Guard, socket: &mut Socket) -> Result<bool> {
    let Some(FirewallConfig { table, .. }) = &desired.firewall else { return Ok(true) };
    let extent = extent(desired, guard);
    let firsts = |elements: Vec<Element>| {
        let mut keys: Vec<Vec<u8>> = elements.into_iter().map(|element| element.first).collect();
        keys.sort_unstable();
        keys
    };
    for set in sets(extent) {
        let found = firsts(nft::elements(socket, Family::Inet, table, set.name)?);
        let mut wanted = members(set, &desired.bridges);
        wanted.sort_unstable();
        if found != wanted {
            return Ok(false);
        }
    }
    for version in extent.versions() {
        let homes = nft::elements(socket, Family::Inet, table, names(*version).home)?;
        let wanted = desired.bridges.iter().filter_map(|bridge| home(*version, bridge)).collect();
        if firsts(homes) != firsts(wanted) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A bridge's subnet with its name.
fn home(version: Version, bridge: &BridgeConfig) -> Option<Element> {
    let subnet = bridge
        .addresses()
        .filter(|_| bridge.over.is_none())
        .find(|address| Version::of(address.addr()) == version)?;
    let key = |address: IpAddr| [octets(address), nft::interface_name(&bridge.name).to_vec()].concat();
    let last = match subnet {
        IpNet::V4(subnet) => subnet.broadcast().into(),
        IpNet::V6(subnet) => subnet.broadcast().into(),
    };
    Some(Element { first: key(subnet.network()), last: Some(key(last)), data: Vec::new() })
}

/// Whether a chain of `table` drops what goes between others' interfaces.
pub(crate) fn is_guarding(chains: &[ForwardChain], table: &str, name: &str) -> bool {
    chains.iter().any(|chain| {
        (chain.family, chain.table.as_str(), chain.name.as_str()) == (Family::Inet.word(), table, name)
            && chain.drops
    })
}

/// What the table drops of others'.
pub(crate) fn guard(chains: &[ForwardChain], desired: &Desired) -> Guard {
    let table = desired.firewall.as_ref().map_or("", |config| config.table.as_str());
    let is_guarding = |name| is_guarding(chains, table, name);
    Guard { ipv4: is_guarding(FORWARD), ipv6: is_guarding(FORWARD6) }
}

/// Puts the table in order, in the socket's network namespace. Nobody sees it missing, and what is not ours in it stays.
pub(crate) fn install(
    desired: &Desired,
    guard: Guard,
    elements: &Elements,
    memory: &mut Memory,
    socket: &mut Socket,
) -> Result<()> {
    let Some(config) = &desired.firewall else { return Ok(()) };
    // What cannot be put in order, as a set of other kind that an engine of another version made, is made anew.
    if make(desired, config, guard, elements, memory, socket, false).is_err() {
        make(desired, config, guard, elements, memory, socket, true)?;
    }
    memory.note(config, socket)
}

fn make(
    desired: &Desired,
    config: &FirewallConfig,
    guard: Guard,
    elements: &Elements,
    memory: &mut Memory,
    socket: &mut Socket,
    anew: bool,
) -> Result<()> {
    let extent = extent(desired, guard);
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    // Made first so that there is one to delete; and so with everything that is emptied below.
    transaction.create_table();
    if anew {
        transaction.delete_table();
        transaction.create_table();
    }
    let mut chains = chains(extent, guard, config.accept);
    if !chains.iter().any(|chain| chain.name == FORWARD6) {
        transaction.forget_chain(FORWARD6);
    }
    if config.respect {
        respect::route(&mut chains, &desired.owner, extent.versions());
    } else {
        transaction.forget_chain(respect::ASKED);
    }
    for chain in &chains {
        transaction.prepare_chain(chain);
        transaction.flush_chain(chain.name);
    }
    let mut ids = 1..;
    let mut id = || ids.next().unwrap_or_default();
    for set in sets(extent) {
        transaction.create_interface_set(set, id());
        transaction.flush_set(set.name);
        transaction.add_interfaces(set, &members(set, &desired.bridges));
    }
    transaction.create_link_set(LINKS, id());
    transaction.flush_set(LINKS);
    for version in extent.versions().iter().copied() {
        let Names { home: homes, ports, moved_ports, moved_ports_at, reached, offered } = names(version);
        transaction.create_home_set(version, homes, id());
        transaction.create_range_map(version, ports, id());
        transaction.create_single_map(version, moved_ports, id(), false);
        transaction.create_single_map(version, moved_ports_at, id(), true);
        [homes, ports, moved_ports, moved_ports_at].into_iter().for_each(|set| transaction.flush_set(set));
        if extent.is_special() {
            for set in [reached, offered] {
                transaction.create_range_set(version, set, id());
                transaction.flush_set(set);
            }
        }
        let elements: Vec<_> = desired.bridges.iter().filter_map(|bridge| home(version, bridge)).collect();
        transaction.add_elements(homes, &elements);
    }
    transaction.asks = config.respect;
    for respect::KeySet { version, name, ranges, with_address } in respect::KEY_SETS {
        transaction.create_key_set(version, name, id(), ranges, with_address);
        match config.respect && extent.versions().contains(&version) {
            true => transaction.flush_set(name),
            false => transaction.delete_set(name),
        }
    }
    elements.add_to(&mut transaction);
    memory.restore(config, &mut transaction, socket, anew)?;
    chains.iter().for_each(|chain| transaction.append_rules(chain));
    transaction.commit(socket)
}

/// A network comes to these, and makes no other difference ([`is_of_one_kind`]): the table must be there.
pub(crate) fn add(desired: &Desired, guard: Guard, bridge: &BridgeConfig, socket: &mut Socket) -> Result<()> {
    let Some(config) = &desired.firewall else { return Ok(()) };
    let extent = extent(desired, guard);
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    for set in sets(extent).into_iter().filter(|set| belongs(*set, bridge)) {
        transaction.add_interfaces(set, &keys(set, bridge));
    }
    for version in extent.versions().iter().copied() {
        let home: Vec<_> = home(version, bridge).into_iter().collect();
        transaction.add_elements(names(version).home, &home);
    }
    transaction.commit(socket)
}

/// A network has gone from these.
pub(crate) fn remove(
    desired: &Desired,
    guard: Guard,
    bridge: &BridgeConfig,
    socket: &mut Socket,
) -> Result<()> {
    let Some(config) = &desired.firewall else { return Ok(()) };
    let extent = extent(desired, guard);
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    for set in sets(extent).into_iter().filter(|set| belongs(*set, bridge)) {
        transaction.remove_interfaces(set, &keys(set, bridge));
    }
    for version in extent.versions().iter().copied() {
        let home: Vec<_> = home(version, bridge).into_iter().collect();
        transaction.delete_elements(names(version).home, &home);
    }
    transaction.commit(socket)
}

/// What only networks need that are no more: sets that no rule looks into.
pub(crate) fn forget_special(desired: &Desired, guard: Guard, socket: &mut Socket) -> Result<()> {
    let Some(config) = desired.firewall.as_ref().filter(|_| !extent(desired, guard).is_special()) else {
        return Ok(());
    };
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    // Made first so that there is one to delete.
    for (set, id) in SPECIAL_SETS.into_iter().zip(1..) {
        transaction.create_interface_set(set, id);
        transaction.delete_set(set.name);
    }
    for (set, id) in [names(Version::V4).reached, names(Version::V4).offered].into_iter().zip(100..) {
        transaction.create_range_set(Version::V4, set, id);
        transaction.delete_set(set);
    }
    transaction.commit(socket)
}

/// Makes and removes a private table, with everything that ours needs, in the calling thread's network
/// namespace (which should be a new one).
///
/// # Errors
///
/// [`Error::NoNftables`] with the reason.
pub fn probe_nftables() -> Result<()> {
    let mut desired = Desired::default();
    let table = "wharf-probe";
    // With all that there can be.
    if std::path::Path::new("/proc/sys/net/ipv6").exists()
        && let Some(bridge) = desired.bridges.first_mut()
    {
        bridge.ipv6 = Some(Ipv6Config::default());
    }
    if let Some(config) = &mut desired.firewall {
        table.clone_into(&mut config.table);
    }
    let fatal = |e: Error| match e {
        Error::NoNftables(_) => e,
        other => Error::NoNftables(other.to_string()),
    };
    let mut socket = Socket::netfilter()?;
    let mut memory = Memory::default();
    install(&desired, Guard::default(), &Elements::default(), &mut memory, &mut socket).map_err(fatal)?;
    let mut transaction = Transaction::on(Family::Inet, table);
    transaction.delete_table();
    transaction.commit(&mut socket).map_err(fatal)
}
