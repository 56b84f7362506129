//! What exists on the host, as far as the plan needs to know.

use ipnet::Ipv4Net;

use crate::desired::Desired;
use crate::error::Result;
use crate::firewall;
use crate::netlink::Socket;
use crate::nft;

/// The host's present state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The link that has the bridge's name.
    pub bridge: Option<ObservedLink>,
    /// Networks that are routed somewhere else than to our bridge.
    pub routes: Vec<Ipv4Net>,
    pub ip_forward: bool,
    /// Our table is there with all its rules.
    pub firewall_complete: bool,
    /// Chains of others that drop forwarded packets: `table/chain`. Our table cannot overrule them.
    pub foreign_drops: Vec<String>,
}

/// A link that has the bridge's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedLink {
    pub index: u32,
    /// `bridge` if it is one.
    pub kind: String,
    pub up: bool,
    pub mtu: u32,
    pub addresses: Vec<Ipv4Net>,
}

/// Looks at the network namespace of the calling thread.
///
/// # Errors
///
/// What netlink says.
pub fn observe(desired: &Desired) -> Result<Observed> {
    let mut nft = desired.firewall.is_some().then(Socket::netfilter).transpose()?;
    observe_with(desired, nft.as_mut())
}

/// As [`observe`], over a netfilter socket that is open already.
pub(crate) fn observe_with(desired: &Desired, nft: Option<&mut Socket>) -> Result<Observed> {
    let mut socket = Socket::route()?;
    let links = socket.links()?;
    let addresses = socket.addresses()?;
    let bridge = links.into_iter().find(|link| link.name == desired.bridge.name).map(|link| ObservedLink {
        index: link.index,
        kind: link.kind,
        up: link.up,
        mtu: link.mtu,
        addresses: addresses.iter().filter(|(index, _)| *index == link.index).map(|(_, net)| *net).collect(),
    });
    let own: Vec<Ipv4Net> = bridge.iter().flat_map(|b| &b.addresses).map(Ipv4Net::trunc).collect();
    let routes = socket.routed_networks()?.into_iter().filter(|route| !own.contains(route)).collect();
    let mut observed = Observed { bridge, routes, ip_forward: ip_forward(), ..Observed::default() };
    if let Some((config, nft)) = desired.firewall.as_ref().zip(nft) {
        let rules = firewall::rule_count(desired, observed.subnet());
        observed.firewall_complete = nft::count_rules(nft, &config.table)? == rules;
        observed.foreign_drops = nft::base_chains(nft)?
            .into_iter()
            .filter(|(table, _, policy)| *table != config.table && *policy == nft::Policy::Drop)
            .map(|(table, chain, _)| format!("{table}/{chain}"))
            .collect();
    }
    Ok(observed)
}

impl Observed {
    /// The subnet of the bridge's first address.
    pub(crate) fn subnet(&self) -> Option<Ipv4Net> {
        self.bridge.as_ref().and_then(|b| b.addresses.first()).map(Ipv4Net::trunc)
    }
}

fn ip_forward() -> bool {
    std::fs::read_to_string(IP_FORWARD).is_ok_and(|text| text.trim() == "1")
}

/// Of the network namespace of whoever opens it.
pub(crate) const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
