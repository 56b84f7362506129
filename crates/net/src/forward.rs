//! Other programs' chains through which forwarded packets go as well as through ours.
//!
//! A packet passes all base chains of a hook, and a drop in any of them is final: an accept in our table overrules
//! nobody. Two cases:
//!
//! - `ip filter FORWARD` is iptables' chain (and `ip6 filter FORWARD` that of ip6tables). Every program that speaks iptables (ufw, Docker, libvirt, the
//!   administrator) has its rules in it; that is what it is for. If its policy is to drop, two rules of ours stand at its
//!   *end*, in place of the policy: whatever somebody else's rule says about our containers' packets holds.
//! - Any other table is its maker's alone. We touch nothing in it and say what to do.
//!
//! What may reach a container is decided by our own table in both cases.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Result;
use crate::netlink::Socket;
use crate::nft::{self, BaseChain, Family, Match, Policy, Rule, Transaction};
use crate::version::Version;

const TABLE: &str = "filter";
const CHAIN: &str = "FORWARD";
/// How many rules stand for one bridge: one for each direction.
const RULES: usize = 2;

/// A base chain at the forward hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardChain {
    pub family: &'static str,
    pub table: String,
    pub name: String,
    /// By policy.
    pub drops: bool,
}

impl ForwardChain {
    /// Whether it is iptables'.
    pub(crate) fn is_shared(&self) -> bool {
        Version::BOTH.iter().any(|version| self.is_shared_of(*version))
    }

    fn is_shared_of(&self, version: Version) -> bool {
        (self.family, self.table.as_str(), self.name.as_str()) == (family(version).word(), TABLE, CHAIN)
    }

    /// Whether it sees IPv6 and nothing else.
    pub(crate) fn is_of_ipv6(&self) -> bool {
        self.family == Family::Ip6.word()
    }

    /// What lets the containers of a bridge through, in `nft`'s language.
    pub fn remedy(&self, bridge: &str) -> String {
        let rule = |key: &str| format!("nft add rule {self} {key} \"{bridge}\" accept");
        format!("{}; {}", rule("iifname"), rule("oifname"))
    }
}

impl fmt::Display for ForwardChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.family, self.table, self.name)
    }
}

/// iptables' chain, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedChain {
    /// By policy.
    pub drops: bool,
    /// Handles of our rules, by bridge.
    pub ours: BTreeMap<String, Vec<u64>>,
    /// Handles of our rules for bridges that are no more.
    pub stale: Vec<u64>,
}

impl SharedChain {
    /// Whether our two rules are needed for a bridge and not there.
    pub(crate) fn lacks(&self, bridge: &str) -> bool {
        self.drops && self.ours.get(bridge).map_or(0, Vec::len) != RULES
    }
}

/// Whether a table is iptables'.
pub(crate) fn is_table(of: Family, table: &str) -> bool {
    Version::BOTH.iter().any(|version| (of, table) == (family(*version), TABLE))
}

fn family(version: Version) -> Family {
    match version {
        Version::V4 => Family::Ip,
        Version::V6 => Family::Ip6,
    }
}

/// All chains at the forward hook.
pub(crate) fn chains(nft: &mut Socket) -> Result<Vec<ForwardChain>> {
    let convert = |BaseChain { family, table, name, policy }: BaseChain| ForwardChain {
        family: family.word(),
        table,
        name,
        drops: policy == Policy::Drop,
    };
    Ok(nft::forward_chains(nft)?.into_iter().map(convert).collect())
}

/// What stands in iptables' chain for our bridges, and for those that are no more.
pub(crate) fn shared(
    nft: &mut Socket,
    chains: &[ForwardChain],
    version: Version,
    is_there: impl Fn(&str) -> bool,
) -> Result<SharedChain> {
    let Some(chain) = chains.iter().find(|chain| chain.is_shared_of(version)) else {
        return Ok(SharedChain::default());
    };
    let mut shared = SharedChain { drops: chain.drops, ..SharedChain::default() };
    for (handle, comment) in nft::commented_rules(nft, family(version), TABLE, CHAIN)? {
        match comment.strip_prefix(PREFIX) {
            Some(of) if is_there(of) => shared.ours.entry(of.to_owned()).or_default().push(handle),
            Some(_) => shared.stale.push(handle),
            None => {}
        }
    }
    Ok(shared)
}

/// The comment by which our rules are known; iptables shows it, too.
const PREFIX: &str = "wharf: ";

/// Removes rules from iptables' chain, and adds those of `bridges` at its end.
pub(crate) fn amend(nft: &mut Socket, version: Version, remove: &[u64], bridges: &[String]) -> Result<()> {
    let mut transaction = Transaction::on(family(version), TABLE);
    for handle in remove {
        transaction.delete_rule(CHAIN, *handle);
    }
    for bridge in bridges {
        let comment = format!("{PREFIX}{bridge}");
        for direction in [Match::InputIs(bridge.clone()), Match::OutputIs(bridge.clone())] {
            transaction.append_rule(CHAIN, &Rule::accept([direction]), Some(&comment));
        }
    }
    transaction.commit(nft)
}
