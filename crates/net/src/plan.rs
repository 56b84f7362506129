//! From what should be and what is to what must be done. Pure and printable.

use std::fmt;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::desired::{BridgeConfig, Desired, GatewayMode, Ipv6Config, Over};
use crate::error::{Error, Result};
use crate::forward::SharedChain;
use crate::ipam::edges;
use crate::mac::{Mac, mac_from_ipv4, mac_from_ipv6};
use crate::observe::{Observed, ObservedLink};
use crate::pools::{self, AddressPool, Taken};
use crate::respect::Respect;
use crate::version::Version;

/// One change. The executor decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    CreateBridge {
        name: String,
        mtu: u32,
        /// Always the same: containers know it, also when the bridge is made again.
        mac: Mac,
        /// Whether it goes with its network.
        owned: bool,
    },
    /// A link that leads nowhere, for containers' interfaces to lie over.
    CreateDummy {
        name: String,
    },
    /// A link for what `parent` hears of a VLAN.
    CreateVlan {
        name: String,
        parent: String,
        id: u16,
    },
    /// Of a network that is no more.
    RemoveBridge {
        name: String,
    },
    SetMtu {
        name: String,
        mtu: u32,
    },
    RemoveAddress {
        name: String,
        address: IpNet,
    },
    AddAddress {
        name: String,
        address: IpNet,
    },
    SwitchOnIpv6 {
        name: String,
    },
    /// Whoever in a container says to be an IPv6 router is not believed by the host.
    IgnoreRouters {
        name: String,
    },
    SetUp {
        name: String,
    },
    /// Make a container's link a port of the bridge again.
    Reconnect {
        index: u32,
        link: String,
        bridge: String,
    },
    TurnOnForwarding,
    /// Have the host's input policy decide about published ports.
    AskHost,
    /// No more.
    AskNobody,
    /// Who forwards IPv6 hears no routers any more, unless he is told to: this host's own way out stays.
    KeepHearing {
        name: String,
    },
    TurnOnForwarding6,
    /// Make our table anew, in one transaction.
    ReplaceTable {
        table: String,
        bridges: Vec<String>,
        /// Drop what goes between others' interfaces.
        guard: bool,
        /// The same of IPv6.
        guard6: bool,
    },
    /// In iptables' chain: remove these rules of ours, and stand in for the policy for these bridges.
    AmendForward {
        ipv6: bool,
        remove: Vec<u64>,
        bridges: Vec<String>,
    },
}

/// What to do, and what will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// In the order of the bridges that were asked for.
    pub bridges: Vec<PlannedBridge>,
    /// What the user should know and we cannot mend.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Whether there is something for the reaper.
    pub(crate) fn removes_bridges(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::RemoveBridge { .. }))
    }
}

/// What is decided about one bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBridge {
    pub name: String,
    /// The bridge's own address with the subnet's prefix.
    pub address: Option<Ipv4Net>,
    pub address6: Option<Ipv6Net>,
    pub mtu: u32,
}

impl PlannedBridge {
    pub(crate) fn subnets(&self) -> impl Iterator<Item = IpNet> + use<> {
        let ipv4 = self.address.map(|address| IpNet::V4(address.trunc()));
        ipv4.into_iter().chain(self.address6.map(|address| IpNet::V6(address.trunc())))
    }
}

/// MTU of a bridge for which the user names none.
const MTU: u32 = 1500;

/// Computes the plan.
///
/// # Errors
///
/// A configuration that cannot be fulfilled on this host.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan> {
    let mut steps = Vec::new();
    let mut warnings = Vec::new();
    let mut bridges = Vec::new();
    if !desired.incomplete {
        steps.extend(observed.strays.iter().map(|name| Step::RemoveBridge { name: name.clone() }));
    }
    for config in &desired.bridges {
        let found = observed.bridges.get(config.link());
        if let Some(over) = &config.over {
            bridges.push(plan_over(config, over, found, &mut steps)?);
            continue;
        }
        let planned = plan_bridge(config, &desired.pools, found, &observed.routes, &mut steps)?;
        let both =
            planned.subnets().flat_map(|subnet| observed.routes.iter().map(move |route| (subnet, route)));
        warnings.extend(both.filter(|(subnet, route)| overlap(route, subnet)).map(|(subnet, route)| {
            let flag = match subnet {
                _ if config.owned => "--subnet",
                IpNet::V4(_) => "--bip",
                IpNet::V6(_) => "--bip6",
            };
            format!(
                "WARNING: the subnet {subnet} of {} overlaps with this host's route to {route}: what is there may not \
                 be reached any more; choose another with {flag}",
                config.name,
            )
        }));
        bridges.push(planned);
    }
    steps.extend(observed.orphans.iter().map(|orphan| Step::Reconnect {
        index: orphan.index,
        link: orphan.link.clone(),
        bridge: orphan.bridge.clone(),
    }));
    // Nobody's packets are forwarded before the firewall stands.
    let forwards = desired.bridges.is_empty() || desired.bridges.iter().any(|bridge| bridge.over.is_none());
    let is_off = !observed.ip_forward && !desired.incomplete && forwards;
    let turns_on = is_off && desired.ip_forward;
    if turns_on {
        steps.push(Step::TurnOnForwarding);
    } else if is_off {
        warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
    }
    let mut plan = Plan { steps, bridges, warnings };
    let turns_on6 = !desired.incomplete && turn_on_ipv6(desired.ip_forward, observed, &mut plan);
    let Plan { mut steps, bridges, mut warnings } = plan;
    if let Some(firewall) = &desired.firewall {
        let real = || desired.bridges.iter().filter(|bridge| bridge.over.is_none());
        let names: Vec<String> = real().map(|bridge| bridge.name.clone()).collect();
        if !desired.incomplete {
            steps.extend(match (firewall.respect, observed.respect) {
                (true, Respect::Absent | Respect::Partly) => Some(Step::AskHost),
                (false, Respect::Partly | Respect::Whole) => Some(Step::AskNobody),
                _ => None,
            });
            // Always: nobody sees it missing, and that it is the same cannot be seen more cheaply.
            steps.push(Step::ReplaceTable {
                table: firewall.table.clone(),
                bridges: names.clone(),
                guard: desired.guard && (turns_on || observed.guarded),
                guard6: desired.guard && (turns_on6 || observed.guarded6),
            });
        }
        let with_ipv6 = real().filter(|bridge| bridge.ipv6.is_some());
        let with_ipv6: Vec<String> = with_ipv6.map(|bridge| bridge.name.clone()).collect();
        steps.extend(amend_forward(false, &names, &observed.shared));
        steps.extend(amend_forward(true, &with_ipv6, &observed.shared6));
        for chain in &observed.foreign_drops {
            let through_it = if chain.is_of_ipv6() { &with_ipv6 } else { &names };
            warnings.extend(through_it.iter().map(|name| {
                format!(
                    "WARNING: the firewall chain {chain} drops forwarded packets by policy: containers on {name} reach \
                     other networks only if its rules accept them: {}",
                    chain.remedy(name)
                )
            }));
        }
    }
    Ok(Plan { steps, bridges, warnings })
}

/// What has this host forward IPv6, for the first network with it. Whether it is needed.
pub(crate) fn turn_on_ipv6(wanted: bool, observed: &Observed, plan: &mut Plan) -> bool {
    if observed.ipv6_forward != Some(false) {
        return false;
    }
    if !wanted {
        plan.warnings.push("WARNING: IPv6 forwarding is disabled".to_owned());
        return false;
    }
    plan.steps.extend(observed.hearing.iter().map(|name| Step::KeepHearing { name: name.clone() }));
    plan.steps.push(Step::TurnOnForwarding6);
    true
}

fn plan_bridge(
    config: &BridgeConfig,
    pools: &[AddressPool],
    found: Option<&ObservedLink>,
    routes: &[IpNet],
    steps: &mut Vec<Step>,
) -> Result<PlannedBridge> {
    let name = &config.name;
    if let Some(link) = found.filter(|link| link.kind != "bridge") {
        let kind = if link.kind.is_empty() { "plain device" } else { &link.kind };
        return Err(Error::NotABridge { name: name.clone(), kind: kind.to_owned() });
    }
    let mtu = config.mtu.or(found.map(|b| b.mtu)).unwrap_or(MTU);
    let existing = found.map_or(&[][..], |b| &b.addresses);
    let existing6 = found.map_or(&[][..], |b| &b.addresses6);
    let address = config.ipv4.then(|| choose_address(config, pools, existing, routes)).transpose()?;
    let ipv6 = config.ipv6.as_ref();
    let address6 = ipv6.map(|ipv6| choose_address6(ipv6, pools, existing6, routes)).transpose()?;
    match found {
        None => {
            let mac = address.map(|address| mac_from_ipv4(address.addr()));
            let mac = mac.or_else(|| address6.map(|address| mac_from_ipv6(address.addr())));
            let mac =
                mac.ok_or_else(|| Error::Config(format!("network {name} has neither IPv4 nor IPv6")))?;
            steps.push(Step::CreateBridge { name: name.clone(), mtu, mac, owned: config.owned });
        }
        Some(link) if link.mtu != mtu => steps.push(Step::SetMtu { name: name.clone(), mtu }),
        Some(_) => {}
    }
    // As Docker: the address that was there is not kept beside the configured one.
    let give = |existing: Option<IpNet>, address: IpNet| {
        let old = existing.map(|address| Step::RemoveAddress { name: name.clone(), address });
        old.into_iter().chain([Step::AddAddress { name: name.clone(), address }])
    };
    let own = address.filter(|_| !config.bare && config.mode != GatewayMode::Isolated);
    if let Some(address) = own.filter(|address| !existing.contains(address)) {
        steps.extend(give(existing.first().map(|old| IpNet::V4(*old)), address.into()));
    }
    let own6 = address6.filter(|_| ipv6.is_some_and(|ipv6| ipv6.mode != GatewayMode::Isolated));
    if own6.is_some() && found.is_none_or(|link| link.without_ipv6) {
        steps.push(Step::SwitchOnIpv6 { name: name.clone() });
    }
    if let Some(address) = own6.filter(|address| !existing6.contains(address)) {
        steps.extend(give(existing6.first().map(|old| IpNet::V6(*old)), address.into()));
    }
    if found.is_none_or(|bridge| bridge.hears_routers) {
        steps.push(Step::IgnoreRouters { name: name.clone() });
    }
    if !found.is_some_and(|b| b.up) {
        steps.push(Step::SetUp { name: name.clone() });
    }
    Ok(PlannedBridge { name: name.clone(), address, address6, mtu })
}

/// A network over one of the host's links.
fn plan_over(
    config: &BridgeConfig,
    over: &Over,
    found: Option<&ObservedLink>,
    steps: &mut Vec<Step>,
) -> Result<PlannedBridge> {
    let name = over.parent.clone();
    let is_planned = |step: &Step| match step {
        Step::CreateDummy { name } | Step::CreateVlan { name, .. } => *name == over.parent,
        _ => false,
    };
    if found.is_none() && !steps.iter().any(is_planned) {
        steps.push(match vlan(&name)? {
            _ if over.dummy => Step::CreateDummy { name: name.clone() },
            Some((parent, id)) => Step::CreateVlan { name: name.clone(), parent, id },
            None => return Err(Error::NoParent(name)),
        });
    }
    if !found.is_some_and(|link| link.up) {
        steps.push(Step::SetUp { name });
    }
    let mtu = config.mtu.or(found.map(|link| link.mtu)).unwrap_or(MTU);
    let missing = || Error::Config(format!("network {} has no subnet", config.name));
    if config.ipv4 && config.address.is_none() || config.ipv6.is_some() && config.address6().is_none() {
        return Err(missing());
    }
    let address = config.address.filter(|_| config.ipv4);
    Ok(PlannedBridge { name: config.name.clone(), address, address6: config.address6(), mtu })
}

/// `eth0.10`: the link, and the number of the VLAN.
fn vlan(name: &str) -> Result<Option<(String, u16)>> {
    let Some((parent, id)) = name.rsplit_once('.') else { return Ok(None) };
    match id.parse::<u16>() {
        Ok(id) if (1..=4094).contains(&id) => Ok(Some((parent.to_owned(), id))),
        Ok(id) => Err(Error::Config(format!("vlan id must be between 1-4094, received: {id}"))),
        Err(_) => Ok(None),
    }
}

/// What is to be done in iptables' chain, if anything.
pub(crate) fn amend_forward(ipv6: bool, bridges: &[String], shared: &SharedChain) -> Option<Step> {
    let mut remove = shared.stale.clone();
    let lacking: Vec<String> = bridges.iter().filter(|bridge| shared.lacks(bridge)).cloned().collect();
    remove.extend(lacking.iter().filter_map(|bridge| shared.ours.get(bridge)).flatten());
    (!lacking.is_empty() || !remove.is_empty()).then_some(Step::AmendForward {
        ipv6,
        remove,
        bridges: lacking,
    })
}

/// `--bip`, else the address the bridge has, else the first default pool that no route overlaps.
fn choose_address(
    config: &BridgeConfig,
    pools: &[AddressPool],
    existing: &[Ipv4Net],
    routes: &[IpNet],
) -> Result<Ipv4Net> {
    if let Some(address) = config.address {
        if edges(address).is_some_and(|edges| edges.contains(&address.addr())) {
            return Err(Error::Config(format!("bip {address} is not the address of a host in its network")));
        }
        return Ok(address);
    }
    if let Some(address) = choose_existing(config.range, existing) {
        return Ok(address);
    }
    if let Some(range) = config.range {
        return first_host(range).ok_or_else(|| Error::Config(format!("fixed-cidr {range} has no host")));
    }
    let built_in = pools::for_default_bridge();
    let has_own = pools.iter().any(|pool| pool.version() == Version::V4);
    let pools = if has_own { pools } else { &built_in };
    match pools::choose(pools, &Taken::new(Version::V4, routes.iter().copied()), None) {
        Some(IpNet::V4(subnet)) => first_host(subnet).ok_or(Error::NoFreePool("IPv4")),
        _ => Err(Error::NoFreePool("IPv4")),
    }
}

/// `--bip6`, else as that.
fn choose_address6(
    config: &Ipv6Config,
    pools: &[AddressPool],
    existing: &[Ipv6Net],
    routes: &[IpNet],
) -> Result<Ipv6Net> {
    if let Some(address) = config.address {
        if address.addr() == address.network() {
            return Err(Error::Config(format!("bip6 {address} is not the address of a host in its network")));
        }
        return Ok(address);
    }
    let fits = |address: &&Ipv6Net| config.range.is_none_or(|range| address.contains(&range.trunc()));
    if let Some(address) = existing.iter().find(fits) {
        return Ok(*address);
    }
    if let Some(range) = config.range {
        return first_host6(range).ok_or_else(|| Error::Config(format!("fixed-cidr-v6 {range} has no host")));
    }
    match pools::choose(pools, &Taken::new(Version::V6, routes.iter().copied()), None) {
        Some(IpNet::V6(subnet)) => first_host6(subnet).ok_or(Error::NoFreePool("IPv6")),
        _ => Err(Error::NoFreePool("IPv6")),
    }
}

/// The address that the bridge has already. With `--fixed-cidr`, one whose subnet has that range.
fn choose_existing(range: Option<Ipv4Net>, existing: &[Ipv4Net]) -> Option<Ipv4Net> {
    existing.iter().find(|address| range.is_none_or(|range| address.contains(&range.trunc()))).copied()
}

pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

pub(crate) fn first_host(net: Ipv4Net) -> Option<Ipv4Net> {
    Ipv4Net::new(net.hosts().next()?, net.prefix_len()).ok()
}

pub(crate) fn first_host6(net: Ipv6Net) -> Option<Ipv6Net> {
    let first = u128::from(net.network()).checked_add(1)?;
    Ipv6Net::new(first.into(), net.prefix_len())
        .ok()
        .filter(|first| net.prefix_len() < 127 && net.contains(&first.addr()))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBridge { name, mtu, .. } => write!(f, "create bridge {name} with mtu {mtu}"),
            Self::CreateDummy { name } => write!(f, "create dummy {name}"),
            Self::CreateVlan { name, parent, id } => {
                write!(f, "create {name}, which is VLAN {id} of {parent}")
            }
            Self::RemoveBridge { name } => write!(f, "remove bridge {name}, whose network is no more"),
            Self::SetMtu { name, mtu } => write!(f, "set mtu of {name} to {mtu}"),
            Self::RemoveAddress { name, address } => write!(f, "remove address {address} from {name}"),
            Self::AddAddress { name, address } => write!(f, "add address {address} to {name}"),
            Self::SwitchOnIpv6 { name } => write!(f, "switch on IPv6 on {name}"),
            Self::IgnoreRouters { name } => write!(f, "ignore IPv6 routers on {name}"),
            Self::SetUp { name } => write!(f, "set {name} up"),
            Self::Reconnect { link, bridge, .. } => write!(f, "connect {link} to {bridge}"),
            Self::AskHost => write!(f, "ask the host's input policy about published ports"),
            Self::AskNobody => write!(f, "publish ports whatever the host's input policy"),
            Self::TurnOnForwarding => write!(f, "turn on net.ipv4.ip_forward"),
            Self::KeepHearing { name } => write!(f, "go on hearing IPv6 routers by {name}"),
            Self::TurnOnForwarding6 => write!(f, "turn on net.ipv6.conf.all.forwarding"),
            Self::ReplaceTable { table, bridges, guard, guard6 } => {
                write!(f, "replace firewall table inet {table} for {}", bridges.join(", "))?;
                match (guard, guard6) {
                    (true, _) => write!(f, ", which drops what others forward"),
                    (false, true) => write!(f, ", which drops what others forward of IPv6"),
                    (false, false) => Ok(()),
                }
            }
            Self::AmendForward { ipv6, remove, bridges } => {
                let words = [
                    (!remove.is_empty()).then(|| format!("remove {} rules", remove.len())),
                    (!bridges.is_empty())
                        .then(|| format!("accept what comes from and goes to {}", bridges.join(", "))),
                ];
                let words: Vec<String> = words.into_iter().flatten().collect();
                let family = if *ipv6 { "ip6" } else { "ip" };
                write!(f, "in {family} filter FORWARD: {}", words.join(", "))
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "{warning}"))
    }
}

#[cfg(test)]
mod tests;
