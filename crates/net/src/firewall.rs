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
//!         iifname @bridges ip daddr 127.0.0.0/8 drop       (what is the host's own is not reached from a container)
//!         iifname @bridges ip saddr 127.0.0.0/8 drop
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
//!         iifname @bridges oifname != @bridges accept
//!         oifname @bridges drop                            (nothing reaches a container uninvited)
//!     }
//!     chain postrouting { type nat hook postrouting priority srcnat; policy accept;
//!         oifname @bridges ip saddr 127.0.0.0/8 masquerade (no container could answer that)
//!         ip saddr . oifname @home ct status dnat masquerade                     (nor directly to its neighbour)
//!         iifname @masqueraded oifname != @bridges masquerade
//!     }
//! }
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

use std::net::Ipv4Addr;

use crate::admin::{ADMIN, Memory};
use crate::desired::{BridgeConfig, Desired, FirewallConfig};
use crate::error::{Error, Result};
use crate::forward::ForwardChain;
use crate::netlink::Socket;
use crate::nft::{
    self, Chain, Element, Family, Hook, InterfaceSet, Match, Policy, Rule, Transaction, Verdict,
};
use crate::ports::Protocol;
use crate::respect;

const BRIDGES: InterfaceSet = InterfaceSet { name: "bridges", pairs: false };
const TALKING: InterfaceSet = InterfaceSet { name: "talking", pairs: true };
const INTERNAL: InterfaceSet = InterfaceSet { name: "internal", pairs: false };
const MASQUERADED: InterfaceSet = InterfaceSet { name: "masqueraded", pairs: false };
const SETS: [InterfaceSet; 4] = [BRIDGES, TALKING, INTERNAL, MASQUERADED];
/// Each subnet with its bridge: by addresses, since what `br_netfilter` shows of bridged packets has no incoming
/// interface when they leave.
const HOME: &str = "home";
const FORWARD: &str = "forward";
/// Ports that have the same number in the container; those that have another, at any address and at one.
const PORTS: &str = "ports";
const MOVED_PORTS: &str = "moved_ports";
const MOVED_PORTS_AT: &str = "moved_ports_at";
/// What linked containers may reach of each other.
const LINKS: &str = "links";
const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
const PRIORITY_RAW: i32 = -300;
const PRIORITY_DSTNAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SRCNAT: i32 = 100;

fn chains(guard: bool) -> Vec<Chain> {
    let forward = vec![
        Rule::jump(ADMIN),
        Rule::accept([Match::Established]),
        Rule::accept([Match::OutputIn(BRIDGES.name), Match::Redirected]),
        Rule::accept([Match::Linked(LINKS)]),
        Rule::accept([Match::PairIn(TALKING.name)]),
        Rule::drop([Match::InputIn(INTERNAL.name)]),
        Rule::accept([Match::InputIn(BRIDGES.name), Match::OutputNotIn(BRIDGES.name)]),
        Rule::drop([Match::OutputIn(BRIDGES.name)]),
    ];
    let postrouting = vec![
        Rule::masquerade([Match::OutputIn(BRIDGES.name), Match::FromLoopback]),
        Rule::masquerade([Match::StaysIn(HOME), Match::Redirected]),
        Rule::masquerade([Match::InputIn(MASQUERADED.name), Match::OutputNotIn(BRIDGES.name)]),
    ];
    let mut published = vec![Rule::publish([Match::ToThisHost], Verdict::ToAddressIn(PORTS))];
    for protocol in PROTOCOLS {
        for verdict in [Verdict::ToPortIn(MOVED_PORTS_AT), Verdict::ToPortForAnyIn(MOVED_PORTS)] {
            published.push(Rule::publish([Match::Protocol(protocol), Match::ToThisHost], verdict));
        }
    }
    let mut prerouting = vec![Rule::leave([Match::InputIsNotLoopback, Match::ToLoopback])];
    prerouting.extend(published.clone());
    let guarded = [Match::ToLoopback, Match::FromLoopback];
    vec![
        Chain {
            name: "guard",
            kind: "filter",
            hook: Hook::Prerouting,
            priority: PRIORITY_RAW,
            policy: Policy::Accept,
            rules: guarded.map(|loopback| Rule::drop([Match::InputIn(BRIDGES.name), loopback])).into(),
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
            rules: published,
        },
        Chain {
            name: FORWARD,
            kind: "filter",
            hook: Hook::Forward,
            priority: PRIORITY_FILTER,
            policy: if guard { Policy::Drop } else { Policy::Accept },
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
    ]
}

/// Whether a bridge is an element of a set.
fn belongs(set: InterfaceSet, bridge: &BridgeConfig) -> bool {
    match set {
        TALKING => bridge.inter_container,
        INTERNAL => bridge.internal,
        MASQUERADED => bridge.masquerade && !bridge.internal,
        _ => true,
    }
}

fn members(set: InterfaceSet, bridges: &[BridgeConfig]) -> Vec<&str> {
    bridges.iter().filter(|bridge| belongs(set, bridge)).map(|bridge| bridge.name.as_str()).collect()
}

/// Whether all our networks are in the table.
pub(crate) fn is_complete(desired: &Desired, socket: &mut Socket) -> Result<bool> {
    let Some(FirewallConfig { table, .. }) = &desired.firewall else { return Ok(true) };
    let keys = |elements: Vec<Element>| {
        let mut keys: Vec<Vec<u8>> = elements.into_iter().map(|element| element.first).collect();
        keys.sort_unstable();
        keys
    };
    for set in SETS {
        let found = keys(nft::elements(socket, Family::Inet, table, set.name)?);
        let mut wanted: Vec<Vec<u8>> =
            members(set, &desired.bridges).into_iter().map(|name| set.key(name)).collect();
        wanted.sort_unstable();
        if found != wanted {
            return Ok(false);
        }
    }
    let homes = nft::elements(socket, Family::Inet, table, HOME)?;
    Ok(keys(homes) == keys(desired.bridges.iter().filter_map(home).collect()))
}

/// A bridge's subnet with its name.
fn home(bridge: &BridgeConfig) -> Option<Element> {
    let subnet = bridge.address?;
    let key = |address: Ipv4Addr| [&address.octets()[..], &nft::interface_name(&bridge.name)].concat();
    Some(Element { first: key(subnet.network()), last: Some(key(subnet.broadcast())), data: Vec::new() })
}

/// Whether `table` drops what goes between others' interfaces.
pub(crate) fn is_guarding(forward: &[ForwardChain], table: &str) -> bool {
    forward.iter().any(|chain| {
        (chain.family, chain.table.as_str(), chain.name.as_str()) == (Family::Inet.word(), table, FORWARD)
            && chain.drops
    })
}

/// What is in the maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elements {
    pub(crate) ports: Vec<Element>,
    pub(crate) moved_ports: Vec<Element>,
    pub(crate) moved_ports_at: Vec<Element>,
    pub(crate) links: Vec<Element>,
}

impl Elements {
    /// As the kernel has them.
    pub(crate) fn observe(table: &str, socket: &mut Socket) -> Result<Self> {
        let mut list = |map| nft::elements(socket, Family::Inet, table, map);
        let (ports, moved_ports, moved_ports_at) = (list(PORTS)?, list(MOVED_PORTS)?, list(MOVED_PORTS_AT)?);
        let links = list(LINKS)?;
        Ok(Self { ports, moved_ports, moved_ports_at, links }.sorted())
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.ports.sort_unstable();
        self.moved_ports.sort_unstable();
        self.moved_ports_at.sort_unstable();
        self.links.sort_unstable();
        self
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.ports.extend(other.ports);
        self.moved_ports.extend(other.moved_ports);
        self.moved_ports_at.extend(other.moved_ports_at);
        self.links.extend(other.links);
    }

    pub(crate) fn add_to(&self, transaction: &mut Transaction<'_>) {
        transaction.add_elements(PORTS, &self.ports);
        transaction.add_elements(MOVED_PORTS, &self.moved_ports);
        transaction.add_elements(MOVED_PORTS_AT, &self.moved_ports_at);
        transaction.add_elements(LINKS, &self.links);
        if transaction.asks {
            for (set, elements) in self.keys() {
                transaction.add_elements(set, &elements);
            }
        }
    }

    /// How many keys there are, in the order of [`respect::KEY_SETS`].
    pub(crate) fn keyed(&self) -> [usize; 3] {
        [self.ports.len(), self.moved_ports.len(), self.moved_ports_at.len()]
    }

    /// The keys alone, for the sets of those that are asked about.
    fn keys(&self) -> [(&'static str, Vec<Element>); 3] {
        let keys = |all: &[Element]| {
            all.iter().map(|element| Element { data: Vec::new(), ..element.clone() }).collect()
        };
        [
            (respect::ASKED_PORTS, keys(&self.ports)),
            (respect::ASKED_MOVED_PORTS, keys(&self.moved_ports)),
            (respect::ASKED_MOVED_PORTS_AT, keys(&self.moved_ports_at)),
        ]
    }

    pub(crate) fn delete_from(&self, transaction: &mut Transaction<'_>) {
        transaction.delete_elements(PORTS, &self.ports);
        transaction.delete_elements(MOVED_PORTS, &self.moved_ports);
        transaction.delete_elements(MOVED_PORTS_AT, &self.moved_ports_at);
        transaction.delete_elements(LINKS, &self.links);
        if transaction.asks {
            for (set, elements) in self.keys() {
                transaction.delete_elements(set, &elements);
            }
        }
    }
}

/// Puts the table in order, in the socket's network namespace. Nobody sees it missing, and what is not ours in it stays.
pub(crate) fn install(
    desired: &Desired,
    guard: bool,
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
    guard: bool,
    elements: &Elements,
    memory: &mut Memory,
    socket: &mut Socket,
    anew: bool,
) -> Result<()> {
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    // Made first so that there is one to delete; and so with everything that is emptied below.
    transaction.create_table();
    if anew {
        transaction.delete_table();
        transaction.create_table();
    }
    let mut chains = chains(guard);
    if config.respect {
        respect::route(&mut chains, &desired.owner);
    } else {
        transaction.forget_chain(respect::ASKED);
    }
    for chain in &chains {
        transaction.prepare_chain(chain);
        transaction.flush_chain(chain.name);
    }
    for (id, set) in (1..).zip(SETS) {
        transaction.create_interface_set(set, id);
        transaction.flush_set(set.name);
        transaction.add_interfaces(set, &members(set, &desired.bridges));
    }
    let first = SETS.len() as u32 + 1;
    transaction.create_home_set(HOME, first + 3);
    transaction.create_range_map(PORTS, first);
    transaction.create_single_map(MOVED_PORTS, first + 1, false);
    transaction.create_single_map(MOVED_PORTS_AT, first + 2, true);
    transaction.create_link_set(LINKS, first + 4);
    transaction.asks = config.respect;
    for (id, (set, ranges, with_address)) in (first + 5..).zip(respect::KEY_SETS) {
        transaction.create_key_set(set, id, ranges, with_address);
        match config.respect {
            true => transaction.flush_set(set),
            false => transaction.delete_set(set),
        }
    }
    for set in [HOME, PORTS, MOVED_PORTS, MOVED_PORTS_AT, LINKS] {
        transaction.flush_set(set);
    }
    transaction.add_elements(HOME, &desired.bridges.iter().filter_map(home).collect::<Vec<_>>());
    elements.add_to(&mut transaction);
    memory.restore(config, &mut transaction, socket, anew)?;
    chains.iter().for_each(|chain| transaction.append_rules(chain));
    transaction.commit(socket)
}

/// A network comes: the table must be there.
pub(crate) fn add(config: &FirewallConfig, bridge: &BridgeConfig, socket: &mut Socket) -> Result<()> {
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    for set in SETS.into_iter().filter(|set| belongs(*set, bridge)) {
        transaction.add_interfaces(set, &[&bridge.name]);
    }
    transaction.add_elements(HOME, &home(bridge).into_iter().collect::<Vec<_>>());
    transaction.commit(socket)
}

/// A network goes.
pub(crate) fn remove(config: &FirewallConfig, bridge: &BridgeConfig, socket: &mut Socket) -> Result<()> {
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    for set in SETS.into_iter().filter(|set| belongs(*set, bridge)) {
        transaction.remove_interfaces(set, &[&bridge.name]);
    }
    transaction.delete_elements(HOME, &home(bridge).into_iter().collect::<Vec<_>>());
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
    if let Some(config) = &mut desired.firewall {
        table.clone_into(&mut config.table);
    }
    let fatal = |e: Error| match e {
        Error::NoNftables(_) => e,
        other => Error::NoNftables(other.to_string()),
    };
    let mut socket = Socket::netfilter()?;
    let mut memory = Memory::default();
    install(&desired, false, &Elements::default(), &mut memory, &mut socket).map_err(fatal)?;
    let mut transaction = Transaction::on(Family::Inet, table);
    transaction.delete_table();
    transaction.commit(&mut socket).map_err(fatal)
}
