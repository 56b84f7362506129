//! From what should be and what is to what must be done. Pure and printable.

use std::fmt;

use ipnet::Ipv4Net;

use crate::desired::{BridgeConfig, Desired};
use crate::error::{Error, Result};
use crate::forward::SharedChain;
use crate::observe::{Observed, ObservedLink};
use crate::pools::{self, AddressPool, Taken};
use crate::respect::Respect;

/// One change. The executor decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    CreateBridge {
        name: String,
        mtu: u32,
        /// Of the subnet, whether or not the bridge gets it.
        address: Ipv4Net,
        /// Whether it goes with its network.
        owned: bool,
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
        address: Ipv4Net,
    },
    AddAddress {
        name: String,
        address: Ipv4Net,
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
    /// Make our table anew, in one transaction.
    ReplaceTable {
        table: String,
        bridges: Vec<String>,
        /// Drop what goes between others' interfaces.
        guard: bool,
    },
    /// In iptables' chain: remove these rules of ours, and stand in for the policy for these bridges.
    AmendForward {
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

/// What is decided about one bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBridge {
    pub name: String,
    /// The bridge's own address with the subnet's prefix.
    pub address: Ipv4Net,
    pub mtu: u32,
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
        let found = observed.bridges.get(&config.name);
        let planned = plan_bridge(config, &desired.pools, found, &observed.routes, &mut steps)?;
        let subnet = planned.address.trunc();
        let overlapping = observed.routes.iter().filter(|route| overlap(route, &subnet));
        warnings.extend(overlapping.map(|route| {
            format!(
                "WARNING: the subnet {subnet} of {} overlaps with this host's route to {route}: what is there may not \
                 be reached any more; choose another with {}",
                config.name,
                if config.owned { "--subnet" } else { "--bip" }
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
    let is_off = !observed.ip_forward && !desired.incomplete;
    let turns_on = is_off && desired.ip_forward;
    if turns_on {
        steps.push(Step::TurnOnForwarding);
    } else if is_off {
        warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
    }
    if let Some(firewall) = &desired.firewall {
        let names: Vec<String> = bridges.iter().map(|bridge| bridge.name.clone()).collect();
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
            });
        }
        steps.extend(amend_forward(&names, &observed.shared));
        for chain in &observed.foreign_drops {
            warnings.extend(names.iter().map(|name| {
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

fn plan_bridge(
    config: &BridgeConfig,
    pools: &[AddressPool],
    found: Option<&ObservedLink>,
    routes: &[Ipv4Net],
    steps: &mut Vec<Step>,
) -> Result<PlannedBridge> {
    let name = &config.name;
    if let Some(link) = found.filter(|link| link.kind != "bridge") {
        let kind = if link.kind.is_empty() { "plain device" } else { &link.kind };
        return Err(Error::NotABridge { name: name.clone(), kind: kind.to_owned() });
    }
    let mtu = config.mtu.or(found.map(|b| b.mtu)).unwrap_or(MTU);
    let existing = found.map_or(&[][..], |b| &b.addresses);
    let address = choose_address(config, pools, existing, routes)?;
    match found {
        None => steps.push(Step::CreateBridge { name: name.clone(), mtu, address, owned: config.owned }),
        Some(link) if link.mtu != mtu => steps.push(Step::SetMtu { name: name.clone(), mtu }),
        Some(_) => {}
    }
    if !config.bare && !existing.contains(&address) {
        // As Docker: the address that was there is not kept beside the configured one.
        steps.extend(existing.first().map(|old| Step::RemoveAddress { name: name.clone(), address: *old }));
        steps.push(Step::AddAddress { name: name.clone(), address });
    }
    if found.is_none_or(|bridge| bridge.hears_routers) {
        steps.push(Step::IgnoreRouters { name: name.clone() });
    }
    if !found.is_some_and(|b| b.up) {
        steps.push(Step::SetUp { name: name.clone() });
    }
    Ok(PlannedBridge { name: name.clone(), address, mtu })
}

/// What is to be done in iptables' chain, if anything.
pub(crate) fn amend_forward(bridges: &[String], shared: &SharedChain) -> Option<Step> {
    let mut remove = shared.stale.clone();
    let lacking: Vec<String> = bridges.iter().filter(|bridge| shared.lacks(bridge)).cloned().collect();
    remove.extend(lacking.iter().filter_map(|bridge| shared.ours.get(bridge)).flatten());
    (!lacking.is_empty() || !remove.is_empty()).then_some(Step::AmendForward { remove, bridges: lacking })
}

/// `--bip`, else the address the bridge has, else the first default pool that no route overlaps.
fn choose_address(
    config: &BridgeConfig,
    pools: &[AddressPool],
    existing: &[Ipv4Net],
    routes: &[Ipv4Net],
) -> Result<Ipv4Net> {
    if let Some(address) = config.address {
        if address.addr() == address.network() || address.addr() == address.broadcast() {
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
    let pools = if pools.is_empty() { &built_in } else { pools };
    pools::choose(pools, &Taken::new(routes.iter().copied())).and_then(first_host).ok_or(Error::NoFreePool)
}

/// The address that the bridge has already. With `--fixed-cidr`, one whose subnet has that range.
fn choose_existing(range: Option<Ipv4Net>, existing: &[Ipv4Net]) -> Option<Ipv4Net> {
    existing.iter().find(|address| range.is_none_or(|range| address.contains(&range.trunc()))).copied()
}

pub(crate) fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

pub(crate) fn first_host(net: Ipv4Net) -> Option<Ipv4Net> {
    Ipv4Net::new(net.hosts().next()?, net.prefix_len()).ok()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBridge { name, mtu, .. } => write!(f, "create bridge {name} with mtu {mtu}"),
            Self::RemoveBridge { name } => write!(f, "remove bridge {name}, whose network is no more"),
            Self::SetMtu { name, mtu } => write!(f, "set mtu of {name} to {mtu}"),
            Self::RemoveAddress { name, address } => write!(f, "remove address {address} from {name}"),
            Self::AddAddress { name, address } => write!(f, "add address {address} to {name}"),
            Self::IgnoreRouters { name } => write!(f, "ignore IPv6 routers on {name}"),
            Self::SetUp { name } => write!(f, "set {name} up"),
            Self::Reconnect { link, bridge, .. } => write!(f, "connect {link} to {bridge}"),
            Self::AskHost => write!(f, "ask the host's input policy about published ports"),
            Self::AskNobody => write!(f, "publish ports whatever the host's input policy"),
            Self::TurnOnForwarding => write!(f, "turn on net.ipv4.ip_forward"),
            Self::ReplaceTable { table, bridges, guard } => {
                write!(f, "replace firewall table inet {table} for {}", bridges.join(", "))?;
                if *guard { write!(f, ", which drops what others forward") } else { Ok(()) }
            }
            Self::AmendForward { remove, bridges } => {
                let words = [
                    (!remove.is_empty()).then(|| format!("remove {} rules", remove.len())),
                    (!bridges.is_empty())
                        .then(|| format!("accept what comes from and goes to {}", bridges.join(", "))),
                ];
                let words: Vec<String> = words.into_iter().flatten().collect();
                write!(f, "in ip filter FORWARD: {}", words.join(", "))
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
mod tests {
    use super::*;
    use crate::forward::ForwardChain;
    use crate::observe::Orphan;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn bridge(addresses: &[&str]) -> ObservedLink {
        let addresses = addresses.iter().map(|a| net(a)).collect();
        ObservedLink {
            index: 3,
            kind: "bridge".into(),
            up: true,
            mtu: 1500,
            addresses,
            hears_routers: false,
            marked: false,
        }
    }

    fn with(bridge: ObservedLink) -> Observed {
        Observed { bridges: [("docker0".to_owned(), bridge)].into(), ..Observed::default() }
    }

    fn text(desired: &Desired, observed: &Observed) -> String {
        plan(desired, observed).unwrap().to_string()
    }

    #[test]
    fn a_fresh_host() {
        assert_eq!(
            text(&Desired::default(), &Observed::default()),
            "create bridge docker0 with mtu 1500\n\
             add address 172.17.0.1/16 to docker0\n\
             ignore IPv6 routers on docker0\n\
             set docker0 up\n\
             turn on net.ipv4.ip_forward\n\
             replace firewall table inet wharf for docker0, which drops what others forward\n"
        );
    }

    #[test]
    fn the_second_start_changes_nothing_that_is_seen() {
        let mut observed = Observed { ip_forward: true, ..with(bridge(&["172.17.0.1/16"])) };
        let replaced = "replace firewall table inet wharf for docker0";
        assert_eq!(text(&Desired::default(), &observed), format!("{replaced}\n"));
        observed.guarded = true;
        assert_eq!(
            text(&Desired::default(), &observed),
            format!("{replaced}, which drops what others forward\n")
        );
        assert_eq!(text(&Desired { guard: false, ..Desired::default() }, &observed), format!("{replaced}\n"));
    }

    #[test]
    fn pools_that_are_routed_elsewhere_are_left_alone() {
        let observed =
            Observed { routes: vec![net("172.17.0.0/16"), net("172.18.4.0/24")], ..Observed::default() };
        assert_eq!(plan(&Desired::default(), &observed).unwrap().bridges[0].address, net("172.19.0.1/16"));
        let observed = Observed { routes: vec![net("128.0.0.0/1")], ..Observed::default() };
        assert!(matches!(plan(&Desired::default(), &observed), Err(Error::NoFreePool)));
    }

    #[test]
    fn an_existing_address_is_used_and_bip_wins() {
        let observed = with(bridge(&["10.9.0.1/24"]));
        let mut desired = Desired { firewall: None, ip_forward: false, ..Desired::default() };
        let kept = plan(&desired, &observed).unwrap();
        assert_eq!(
            (kept.bridges[0].address, kept.to_string().as_str()),
            (net("10.9.0.1/24"), "WARNING: IPv4 forwarding is disabled\n")
        );
        desired.bridges[0].address = Some(net("10.7.0.1/24"));
        assert!(
            text(&desired, &observed)
                .starts_with("remove address 10.9.0.1/24 from docker0\nadd address 10.7.0.1/24 to docker0\n")
        );
        desired.bridges[0].address = Some(net("10.7.0.0/24"));
        assert!(matches!(plan(&desired, &observed), Err(Error::Config(_))));
    }

    #[test]
    fn a_configured_subnet_that_is_routed_elsewhere_is_told() {
        let mut desired = Desired::default();
        desired.bridges[0].address = Some(net("10.7.0.1/24"));
        let observed = Observed { routes: vec![net("10.0.0.0/8")], ..Observed::default() };
        let told = plan(&desired, &observed).unwrap().warnings.concat();
        assert!(
            told.contains("10.7.0.0/24 of docker0 overlaps with this host's route to 10.0.0.0/8"),
            "{told}"
        );
    }

    #[test]
    fn a_range_chooses_the_subnet() {
        let mut desired = Desired::default();
        desired.bridges[0].range = Some(net("10.9.5.0/24"));
        assert_eq!(plan(&desired, &Observed::default()).unwrap().bridges[0].address, net("10.9.5.1/24"));
        let observed = with(bridge(&["172.17.0.1/16", "10.9.0.1/16"]));
        assert_eq!(plan(&desired, &observed).unwrap().bridges[0].address, net("10.9.0.1/16"));
        let observed = with(bridge(&["172.17.0.1/16"]));
        assert_eq!(plan(&desired, &observed).unwrap().bridges[0].address, net("10.9.5.1/24"));
    }

    #[test]
    fn only_a_bridge_will_do() {
        let mut desired = Desired::default();
        desired.bridges[0].name = "br7".into();
        let link = ObservedLink { kind: "dummy".into(), ..bridge(&[]) };
        let observed = Observed { bridges: [("br7".to_owned(), link)].into(), ..Observed::default() };
        assert_eq!(
            plan(&desired, &observed).unwrap_err().to_string(),
            "br7 exists and is a dummy, not a bridge"
        );
    }

    #[test]
    fn ports_without_a_bridge_are_connected() {
        let observed = Observed {
            orphans: vec![Orphan { index: 9, link: "veth7".into(), bridge: "docker0".into() }],
            ..Observed::default()
        };
        assert!(text(&Desired::default(), &observed).contains("\nconnect veth7 to docker0\n"));
    }

    #[test]
    fn a_drop_policy_is_stood_in_for_or_told() {
        let chain =
            ForwardChain { family: "inet", table: "filter".into(), name: "through".into(), drops: true };
        let observed = Observed { foreign_drops: vec![chain], ..Observed::default() };
        let told = plan(&Desired::default(), &observed).unwrap().warnings.concat();
        assert!(told.contains("chain inet filter through drops"), "{told}");
        assert!(told.ends_with("nft add rule inet filter through oifname \"docker0\" accept"), "{told}");

        let step = |drops, ours: &[u64], stale: &[u64]| {
            let shared = SharedChain {
                drops,
                ours: [("docker0".to_owned(), ours.to_vec())].into(),
                stale: stale.into(),
            };
            amend_forward(&["docker0".to_owned()], &shared).map(|step| step.to_string()).unwrap_or_default()
        };
        let accept = "accept what comes from and goes to docker0";
        assert_eq!(step(true, &[], &[]), format!("in ip filter FORWARD: {accept}"));
        assert_eq!(step(true, &[4], &[5, 6]), format!("in ip filter FORWARD: remove 3 rules, {accept}"));
        assert_eq!(step(true, &[4, 5], &[]), "");
        assert_eq!(step(false, &[], &[7]), "in ip filter FORWARD: remove 1 rules");
        assert_eq!(step(false, &[], &[]), "");
    }

    #[test]
    fn a_user_s_bridge_is_made_beside_and_what_has_no_network_goes() {
        let mut desired = Desired::default();
        desired.bridges.push(BridgeConfig {
            name: "br-1".into(),
            address: Some(net("172.18.0.1/16")),
            owned: true,
            ..BridgeConfig::default()
        });
        let mut observed =
            Observed { ip_forward: true, strays: vec!["br-2".into()], ..with(bridge(&["172.17.0.1/16"])) };
        assert_eq!(
            text(&desired, &observed),
            "remove bridge br-2, whose network is no more\n\
             create bridge br-1 with mtu 1500\n\
             add address 172.18.0.1/16 to br-1\n\
             ignore IPv6 routers on br-1\n\
             set br-1 up\n\
             replace firewall table inet wharf for docker0, br-1\n"
        );
        // At the start the records are not read yet: nothing that may be a network's is touched.
        desired.bridges.pop();
        desired.incomplete = true;
        assert_eq!(text(&desired, &observed), "");
        // The host needs no address on it.
        observed.strays.clear();
        let bare = BridgeConfig { bare: true, ..desired.bridges[0].clone() };
        assert_eq!(
            text(&desired.with_only(BridgeConfig { name: "br-3".into(), ..bare }), &observed),
            "create bridge br-3 with mtu 1500\nignore IPv6 routers on br-3\nset br-3 up\n"
        );
    }
}
