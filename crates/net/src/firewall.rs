//! Our nftables table: what is in it.
//!
//! ```text
//! table inet wharf {
//!     set bridges { type ifname; elements = { "docker0" } }
//!     chain forward { type filter hook forward priority filter; policy accept;
//!         ct state established,related accept
//!         iifname @bridges oifname != @bridges accept
//!         iifname "docker0" oifname "docker0" accept       (drop with --icc=false)
//!         oifname @bridges drop                            (nothing reaches a container uninvited)
//!     }
//!     chain postrouting { type nat hook postrouting priority srcnat; policy accept;
//!         ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
//!     }
//! }
//! ```
//!
//! Where we turned forwarding on, the policy of `forward` is to drop: this host was no router, and becomes one for
//! containers only. That is remembered in the table itself, as the switch outlives the engine, too.
//!
//! Published ports, isolation between networks and links come as elements of maps beside the set; the number of
//! rules does not grow with containers.

use ipnet::Ipv4Net;

use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::forward::ForwardChain;
use crate::netlink::Socket;
use crate::nft::{self, Chain, Family, Hook, Match, Policy, Rule, Transaction};

const BRIDGES: &str = "bridges";
const FORWARD: &str = "forward";
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SRCNAT: i32 = 100;

fn chains(desired: &Desired, subnet: Ipv4Net, guard: bool) -> Vec<Chain> {
    let Some(config) = &desired.firewall else { return Vec::new() };
    let bridge = || desired.bridge.name.clone();
    let between = [Match::InputIs(bridge()), Match::OutputIs(bridge())];
    let forward = vec![
        Rule::accept([Match::Established]),
        Rule::accept([Match::InputIn(BRIDGES), Match::OutputNotIn(BRIDGES)]),
        if desired.bridge.inter_container { Rule::accept(between) } else { Rule::drop(between) },
        Rule::drop([Match::OutputIn(BRIDGES)]),
    ];
    let mut postrouting = Vec::new();
    if config.masquerade {
        postrouting.push(Rule::masquerade([Match::SourceIn(subnet), Match::OutputIsNot(bridge())]));
    }
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

/// Whether the table is there with all its rules.
pub(crate) fn is_complete(desired: &Desired, socket: &mut Socket) -> Result<bool> {
    let Some(config) = &desired.firewall else { return Ok(true) };
    // The subnet changes what a rule says, and nothing in the number of them.
    let wanted: usize =
        chains(desired, Ipv4Net::default(), false).iter().map(|chain| chain.rules.len()).sum();
    Ok(nft::count_rules(socket, Family::Inet, &config.table)? == wanted)
}

/// Whether `table` drops what goes between others' interfaces.
pub(crate) fn is_guarding(forward: &[ForwardChain], table: &str) -> bool {
    forward.iter().any(|chain| {
        (chain.family, chain.table.as_str(), chain.name.as_str()) == (Family::Inet.word(), table, FORWARD)
            && chain.drops
    })
}

/// Makes the table anew, in the calling thread's network namespace. Nobody sees it missing.
pub(crate) fn install(desired: &Desired, subnet: Ipv4Net, guard: bool, socket: &mut Socket) -> Result<()> {
    let Some(config) = &desired.firewall else { return Ok(()) };
    let mut transaction = Transaction::on(Family::Inet, &config.table);
    // Made first so that there is one to delete.
    transaction.create_table();
    transaction.delete_table();
    transaction.create_table();
    transaction.create_interface_set(BRIDGES, 1, &[&desired.bridge.name]);
    for chain in chains(desired, subnet, guard) {
        transaction.create_chain(&chain);
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
    install(&desired, Ipv4Net::default(), false, &mut socket).map_err(fatal)?;
    let mut transaction = Transaction::on(Family::Inet, table);
    transaction.delete_table();
    transaction.commit(&mut socket).map_err(fatal)
}
