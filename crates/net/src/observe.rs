//! What exists on the host, as far as the plan needs to know.

use std::fs;

use ipnet::Ipv4Net;

use crate::desired::Desired;
use crate::error::Result;
use crate::firewall;
use crate::forward::{self, ForwardChain, SharedChain};
use crate::netlink::Socket;
use crate::sandbox;

/// The host's present state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The link that has the bridge's name.
    pub bridge: Option<ObservedLink>,
    /// Index and name of our containers' links on the host that are in no bridge: somebody removed it.
    pub orphans: Vec<(u32, String)>,
    /// Networks that are routed somewhere else than to our bridge.
    pub routes: Vec<Ipv4Net>,
    pub ip_forward: bool,
    /// Our table, as an earlier start made it, drops what goes between others' interfaces.
    pub guarded: bool,
    /// The chain that iptables keeps for everybody.
    pub shared: SharedChain,
    /// Chains of others that drop forwarded packets by policy. Our table cannot overrule them.
    pub foreign_drops: Vec<ForwardChain>,
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
    /// The host would believe whoever on the bridge says to be an IPv6 router.
    pub hears_routers: bool,
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
    let name = &desired.bridge.name;
    let mut socket = Socket::route()?;
    let links = socket.links()?;
    let addresses = socket.addresses()?;
    let mark = sandbox::mark(name);
    let orphans = links.iter().filter(|link| link.master.is_none() && link.alias.as_ref() == Some(&mark));
    let orphans = orphans.map(|link| (link.index, link.name.clone())).collect();
    let bridge = links.iter().find(|link| link.name == *name).map(|link| ObservedLink {
        index: link.index,
        kind: link.kind.clone(),
        up: link.up,
        mtu: link.mtu,
        addresses: addresses.iter().filter(|(index, _)| *index == link.index).map(|(_, net)| *net).collect(),
        hears_routers: read(&accept_ra(name)).is_some_and(|text| text != "0"),
    });
    let own: Vec<Ipv4Net> = bridge.iter().flat_map(|b| &b.addresses).map(Ipv4Net::trunc).collect();
    let routes = socket.routed_networks()?.into_iter().filter(|route| !own.contains(route)).collect();
    let ip_forward = read(IP_FORWARD).as_deref() == Some("1");
    let mut observed = Observed { bridge, orphans, routes, ip_forward, ..Observed::default() };
    if let Some((config, nft)) = desired.firewall.as_ref().zip(nft) {
        let chains = forward::chains(nft)?;
        observed.guarded = firewall::is_guarding(&chains, &config.table);
        observed.shared =
            forward::shared(nft, &chains, name, |bridge| links.iter().any(|l| l.name == bridge))?;
        let foreign = |chain: &ForwardChain| chain.drops && chain.table != config.table && !chain.is_shared();
        observed.foreign_drops = chains.into_iter().filter(foreign).collect();
    }
    Ok(observed)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Of the network namespace of whoever opens it.
pub(crate) const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// The same of one link.
pub(crate) fn accept_ra(link: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{link}/accept_ra")
}
