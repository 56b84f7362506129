//! Our nftables table: what is in it.
//!
//! ```text
//! table inet wharf {
//!     set bridges { type ifname; elements = { "docker0", "br-0123456789ab" } }
//!     set talking { type ifname . ifname; elements = { "docker0" . "docker0" ... } }     (not those with --icc=false)
//!     set internal { type ifname; elements = { ... } }                                   (--internal)
//!     set masqueraded { type ifname; elements = { ... } }
//!     chain forward { type filter hook forward priority filter; policy accept;
//!         ct state established,related accept
//!         iifname . oifname @talking accept
//!         iifname @internal drop
//!         iifname @bridges oifname != @bridges accept
//!         oifname @bridges drop                            (nothing reaches a container uninvited)
//!     }
//!     chain postrouting { type nat hook postrouting priority srcnat; policy accept;
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

use crate::desired::{BridgeConfig, Desired, FirewallConfig};
use crate::error::{Error, Result};
use crate::forward::ForwardChain;
use crate::netlink::Socket;
use crate::nft::{self, Chain, Family, Hook, InterfaceSet, Match, Policy, Rule, Transaction};

const BRIDGES: InterfaceSet = InterfaceSet { name: "bridges", pairs: false };
const TALKING: InterfaceSet = InterfaceSet { name: "talking", pairs: true };
const INTERNAL: InterfaceSet = InterfaceSet { name: "internal", pairs: false };
const MASQUERADED: InterfaceSet = InterfaceSet { name: "masqueraded", pairs: false };
const SETS: [InterfaceSet; 4] = [BRIDGES, TALKING, INTERNAL, MASQUERADED];
const FORWARD: &str = "forward";
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SRCNAT: i32 = 100;

fn chains(guard: bool) -> Vec<Chain> {
    let forward = vec![
        Rule::accept([Match::Established]),
        Rule::accept([Match::PairIn(TALKING.name)]),
        Rule::drop([Match::InputIn(INTERNAL.name)]),
        Rule::accept([Match::InputIn(BRIDGES.name), Match::OutputNotIn(BRIDGES.name)]),
        Rule::drop([Match::OutputIn(BRIDGES.name)]),
    ];
    let postrouting =
        vec![Rule::masquerade([Match::InputIn(MASQUERADED.name), Match::OutputNotIn(BRIDGES.name)])];
    vec![
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

/// Whether the table is there with all its rules and all our networks.
pub(crate) fn is_complete(desired: &Desired, socket: &mut Socket) -> Result<bool> {
    let Some(FirewallConfig { table }) = &desired.firewall else { return Ok(true) };
    let wanted: usize = chains(false).iter().map(|chain| chain.rules.len()).sum();
    if nft::count_rules(socket, Family::Inet, table)? != wanted {
        return Ok(false);
    }
    for set in SETS {
        let elements = nft::count_elements(socket, Family::Inet, table, set.name)?;
        if elements != members(set, &desired.bridges).len() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `table` drops what goes between others' interfaces.
pub(crate) fn is_guarding(forward: &[ForwardChain], table: &str) -> bool {
    forward.iter().any(|chain| {
        (chain.family, chain.table.as_str(), chain.name.as_str()) == (Family::Inet.word(), table, FORWARD)
            && chain.drops
    })
}

/// Makes the table anew, in the socket's network namespace. Nobody sees it missing.
pub(crate) fn install(desired: &Desired, guard: bool, socket: &mut Socket) -> Result<()> {
    let Some(config) = &desired.firewall else { return Ok(()) };
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    // Made first so that there is one to delete.
    transaction.create_table();
    transaction.delete_table();
    transaction.create_table();
    for (id, set) in (1..).zip(SETS) {
        transaction.create_interface_set(set, id);
        transaction.add_interfaces(set, &members(set, &desired.bridges));
    }
    for chain in chains(guard) {
        transaction.create_chain(&chain);
    }
    transaction.commit(socket)
}

/// A network comes: the table must be there.
pub(crate) fn add(config: &FirewallConfig, bridge: &BridgeConfig, socket: &mut Socket) -> Result<()> {
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    for set in SETS.into_iter().filter(|set| belongs(*set, bridge)) {
        transaction.add_interfaces(set, &[&bridge.name]);
    }
    transaction.commit(socket)
}

/// A network goes.
pub(crate) fn remove(config: &FirewallConfig, bridge: &BridgeConfig, socket: &mut Socket) -> Result<()> {
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    for set in SETS.into_iter().filter(|set| belongs(*set, bridge)) {
        transaction.remove_interfaces(set, &[&bridge.name]);
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
    if let Some(config) = &mut desired.firewall {
        table.clone_into(&mut config.table);
    }
    let fatal = |e: Error| match e {
        Error::NoNftables(_) => e,
        other => Error::NoNftables(other.to_string()),
    };
    let mut socket = Socket::netfilter()?;
    install(&desired, false, &mut socket).map_err(fatal)?;
    let mut transaction = Transaction::on(Family::Inet, table);
    transaction.delete_table();
    transaction.commit(&mut socket).map_err(fatal)
}
