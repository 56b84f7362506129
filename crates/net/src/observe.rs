//! What exists on the host, as far as the plan needs to know.

use std::collections::BTreeMap;
use std::fs;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::desired::Desired;
use crate::error::Result;
use crate::firewall;
use crate::forward::{self, ForwardChain, SharedChain};
use crate::netlink::Socket;
use crate::netlink::route::Link;
use crate::reaper;
use crate::respect::{self, Respect};
use crate::sandbox;
use crate::version::Version;

/// The host's present state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The links that have the bridges' names.
    pub bridges: BTreeMap<String, ObservedLink>,
    /// Our containers' links on the host that are in no bridge: somebody removed it.
    pub orphans: Vec<Orphan>,
    /// Bridges that an engine with our mark made, for networks that are no more.
    pub strays: Vec<String>,
    /// There are some that are out of use, and only wait to be removed.
    pub retired: bool,
    /// Networks that are routed somewhere else than to our bridges.
    pub routes: Vec<IpNet>,
    pub ip_forward: bool,
    /// The same of IPv6; `None` where the kernel has none.
    pub ipv6_forward: Option<bool>,
    /// Links that hear IPv6's routers as long as this host is none.
    pub hearing: Vec<String>,
    /// Our table, as an earlier start made it, drops what goes between others' interfaces.
    pub guarded: bool,
    /// The same of IPv6.
    pub guarded6: bool,
    /// The chain that iptables keeps for everybody.
    pub shared: SharedChain,
    /// What there is of `--firewall respect`.
    pub respect: Respect,
    /// The same of IPv6.
    pub shared6: SharedChain,
    /// Chains of others that drop forwarded packets by policy. Our table cannot overrule them.
    pub foreign_drops: Vec<ForwardChain>,
}

/// A link that has a bridge's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedLink {
    pub index: u32,
    /// `bridge` if it is one.
    pub kind: String,
    pub up: bool,
    pub mtu: u32,
    pub addresses: Vec<Ipv4Net>,
    pub addresses6: Vec<Ipv6Net>,
    /// IPv6 is switched off on it.
    pub without_ipv6: bool,
    /// The host would believe whoever on the bridge says to be an IPv6 router.
    pub hears_routers: bool,
    /// An engine with our mark made it for a network.
    pub marked: bool,
}

impl ObservedLink {
    fn networks(&self) -> impl Iterator<Item = IpNet> + '_ {
        let ipv4 = self.addresses.iter().map(|net| IpNet::V4(net.trunc()));
        ipv4.chain(self.addresses6.iter().map(|net| IpNet::V6(net.trunc())))
    }
}

/// A container's link on the host, and the bridge it should be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub index: u32,
    pub link: String,
    pub bridge: String,
}

/// Looks at the network namespace of the calling thread.
///
/// # Errors
///
/// What netlink says.
pub fn observe(desired: &Desired) -> Result<Observed> {
    let mut nft = desired.firewall.is_some().then(Socket::netfilter).transpose()?;
    observe_with(desired, &mut Socket::route()?, nft.as_mut())
}

/// As [`observe`], over sockets that are open already.
pub(crate) fn observe_with(
    desired: &Desired,
    socket: &mut Socket,
    nft: Option<&mut Socket>,
) -> Result<Observed> {
    let links = socket.links()?;
    let addresses = socket.addresses()?;
    let mark = desired.mark();
    let mut observed =
        Observed { ip_forward: read(IP_FORWARD).as_deref() == Some("1"), ..Observed::default() };
    // The rest is of importance with IPv6 only.
    if desired.bridges.iter().any(|bridge| bridge.ipv6.is_some() && bridge.over.is_none()) {
        observed.ipv6_forward = read(IPV6_FORWARD).map(|text| text == "1");
        if observed.ipv6_forward == Some(false) {
            let hears = |name: &&str| read(&accept_ra(name)).as_deref() == Some("1");
            // Ports of a bridge hear nothing, and our bridges are told not to.
            let is_own = |link: &Link| link.alias.as_ref() == Some(&mark);
            let names = links.iter().filter(|link| link.master.is_none() && !is_own(link));
            let names = names.map(|link| link.name.as_str()).filter(|name| *name != "lo");
            observed.hearing = names.chain(["default"]).filter(hears).map(str::to_owned).collect();
        }
    }
    for link in &links {
        let marked = link.alias.as_ref() == Some(&mark);
        if marked && reaper::is_retired(&link.name) {
            observed.retired = true;
            continue;
        }
        if !desired.bridges.iter().any(|bridge| bridge.link() == link.name) {
            observed.strays.extend(marked.then(|| link.name.clone()));
            continue;
        }
        let own = addresses.iter().filter(|(index, _)| *index == link.index).map(|(_, net)| *net);
        let found = ObservedLink {
            index: link.index,
            kind: link.kind.clone(),
            up: link.up,
            mtu: link.mtu,
            addresses: own
                .clone()
                .filter_map(|net| if let IpNet::V4(net) = net { Some(net) } else { None })
                .collect(),
            addresses6: own
                .filter_map(|net| if let IpNet::V6(net) = net { Some(net) } else { None })
                .collect(),
            without_ipv6: read(&disable_ipv6(&link.name)).is_some_and(|text| text != "0"),
            hears_routers: read(&accept_ra(&link.name)).is_some_and(|text| text != "0"),
            marked,
        };
        observed.bridges.insert(link.name.clone(), found);
    }
    let marks: BTreeMap<String, &str> =
        desired.bridges.iter().map(|bridge| (sandbox::mark(&bridge.name), bridge.name.as_str())).collect();
    for link in links.iter().filter(|link| link.master.is_none()) {
        if let Some(bridge) = link.alias.as_ref().and_then(|alias| marks.get(alias)) {
            let (index, link, bridge) = (link.index, link.name.clone(), (*bridge).to_owned());
            observed.orphans.push(Orphan { index, link, bridge });
        }
    }
    let ours = observed.bridges.values().filter(|link| link.kind == "bridge");
    let own: Vec<IpNet> = ours.flat_map(ObservedLink::networks).collect();
    observed.routes = socket.routed_networks()?.into_iter().filter(|route| !own.contains(route)).collect();
    if let Some((config, nft)) = desired.firewall.as_ref().zip(nft) {
        let chains = forward::chains(nft)?;
        observed.respect = respect::observe(desired, socket, nft)?;
        observed.guarded = firewall::is_guarding(&chains, &config.table, firewall::FORWARD);
        observed.guarded6 = firewall::is_guarding(&chains, &config.table, firewall::FORWARD6);
        let is_there = |bridge: &str| links.iter().any(|link| link.name == bridge);
        observed.shared = forward::shared(nft, &chains, Version::V4, is_there)?;
        observed.shared6 = forward::shared(nft, &chains, Version::V6, is_there)?;
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

pub(crate) const IPV6_FORWARD: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

pub(crate) fn disable_ipv6(link: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6")
}

/// Whether a link hears routers: `1` if this host is none, `2` in any case.
pub(crate) fn accept_ra(link: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{link}/accept_ra")
}
