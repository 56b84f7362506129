//! From what should be and what is to what must be done. Pure and printable.

use std::fmt;

use ipnet::Ipv4Net;

use crate::desired::{Desired, default_pools};
use crate::error::{Error, Result};
use crate::observe::Observed;

/// One change. The executor decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    CreateBridge {
        name: String,
        mtu: u32,
    },
    SetMtu {
        name: String,
        mtu: u32,
    },
    AddAddress {
        name: String,
        address: Ipv4Net,
    },
    SetUp {
        name: String,
    },
    TurnOnForwarding,
    /// Make our table anew, in one transaction.
    ReplaceTable {
        table: String,
        bridge: String,
        subnet: Ipv4Net,
    },
}

/// What to do, and what will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// The bridge's own address with the subnet's prefix.
    pub address: Ipv4Net,
    pub mtu: u32,
    /// What the user should know and we cannot mend.
    pub warnings: Vec<String>,
}

/// MTU of a bridge for which the user names none.
const MTU: u32 = 1500;

/// Computes the plan.
///
/// # Errors
///
/// A configuration that cannot be fulfilled on this host.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan> {
    let config = &desired.bridge;
    let name = &config.name;
    let mut steps = Vec::new();
    if let Some(link) = observed.bridge.as_ref().filter(|link| link.kind != "bridge") {
        let kind = if link.kind.is_empty() { "plain device" } else { &link.kind };
        return Err(Error::NotABridge { name: name.clone(), kind: kind.to_owned() });
    }
    let mtu = config.mtu.or(observed.bridge.as_ref().map(|b| b.mtu)).unwrap_or(MTU);
    match &observed.bridge {
        None if config.is_users => return Err(Error::NoSuchBridge(name.clone())),
        None => steps.push(Step::CreateBridge { name: name.clone(), mtu }),
        Some(link) if link.mtu != mtu && !config.is_users => {
            steps.push(Step::SetMtu { name: name.clone(), mtu });
        }
        Some(_) => {}
    }
    let existing = observed.bridge.as_ref().map_or(&[][..], |b| &b.addresses);
    let address = choose_address(desired, existing, &observed.routes)?;
    if !existing.contains(&address) {
        steps.push(Step::AddAddress { name: name.clone(), address });
    }
    if !observed.bridge.as_ref().is_some_and(|b| b.up) {
        steps.push(Step::SetUp { name: name.clone() });
    }
    let mut warnings = Vec::new();
    if !observed.ip_forward {
        if desired.ip_forward {
            steps.push(Step::TurnOnForwarding);
        } else {
            warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
        }
    }
    if let Some(firewall) = &desired.firewall {
        if !observed.firewall_complete || observed.subnet() != Some(address.trunc()) {
            steps.push(Step::ReplaceTable {
                table: firewall.table.clone(),
                bridge: name.clone(),
                subnet: address.trunc(),
            });
        }
        for chain in &observed.foreign_drops {
            warnings.push(format!(
                "WARNING: the firewall chain {chain} drops forwarded packets by policy: containers on {name} reach \
                 other networks only if its rules accept them"
            ));
        }
    }
    Ok(Plan { steps, address, mtu, warnings })
}

/// `--bip`, else the address the bridge has, else the first default pool that no route overlaps.
fn choose_address(desired: &Desired, existing: &[Ipv4Net], routes: &[Ipv4Net]) -> Result<Ipv4Net> {
    let config = &desired.bridge;
    if let Some(address) = config.address {
        if address.addr() == address.network() || address.addr() == address.broadcast() {
            return Err(Error::Config(format!("bip {address} is not the address of a host in its network")));
        }
        return Ok(address);
    }
    if let Some(address) = existing.first() {
        return Ok(*address);
    }
    if config.is_users {
        return Err(Error::NoAddressOnBridge(config.name.clone()));
    }
    let overlaps = |a: &Ipv4Net, b: &Ipv4Net| a.contains(&b.network()) || b.contains(&a.network());
    default_pools()
        .find(|pool| !routes.iter().any(|route| overlaps(pool, route)))
        .and_then(|pool| Ipv4Net::new(pool.hosts().next()?, pool.prefix_len()).ok())
        .ok_or(Error::NoFreePool)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBridge { name, mtu } => write!(f, "create bridge {name} with mtu {mtu}"),
            Self::SetMtu { name, mtu } => write!(f, "set mtu of {name} to {mtu}"),
            Self::AddAddress { name, address } => write!(f, "add address {address} to {name}"),
            Self::SetUp { name } => write!(f, "set {name} up"),
            Self::TurnOnForwarding => write!(f, "turn on net.ipv4.ip_forward"),
            Self::ReplaceTable { table, bridge, subnet } => {
                write!(f, "replace firewall table inet {table} for {bridge} ({subnet})")
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
    use crate::observe::ObservedLink;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn bridge(addresses: &[&str]) -> ObservedLink {
        let addresses = addresses.iter().map(|a| net(a)).collect();
        ObservedLink { index: 3, kind: "bridge".into(), up: true, mtu: 1500, addresses }
    }

    #[test]
    fn a_fresh_host() {
        let text = plan(&Desired::default(), &Observed::default()).unwrap().to_string();
        assert_eq!(
            text,
            "create bridge docker0 with mtu 1500\n\
             add address 172.17.0.1/16 to docker0\n\
             set docker0 up\n\
             turn on net.ipv4.ip_forward\n\
             replace firewall table inet wharf for docker0 (172.17.0.0/16)\n"
        );
    }

    #[test]
    fn the_second_start_does_nothing() {
        let observed = Observed {
            bridge: Some(bridge(&["172.17.0.1/16"])),
            ip_forward: true,
            firewall_complete: true,
            ..Observed::default()
        };
        assert_eq!(plan(&Desired::default(), &observed).unwrap().steps, []);
    }

    #[test]
    fn pools_that_are_routed_elsewhere_are_left_alone() {
        let observed =
            Observed { routes: vec![net("172.17.0.0/16"), net("172.18.4.0/24")], ..Observed::default() };
        assert_eq!(plan(&Desired::default(), &observed).unwrap().address, net("172.19.0.1/16"));
        let observed = Observed { routes: vec![net("128.0.0.0/1")], ..Observed::default() };
        assert!(matches!(plan(&Desired::default(), &observed), Err(Error::NoFreePool)));
    }

    #[test]
    fn an_existing_address_is_used_and_bip_wins() {
        let observed = Observed { bridge: Some(bridge(&["10.9.0.1/24"])), ..Observed::default() };
        let mut desired = Desired { firewall: None, ip_forward: false, ..Desired::default() };
        let kept = plan(&desired, &observed).unwrap();
        assert_eq!(
            (kept.address, kept.to_string().as_str()),
            (net("10.9.0.1/24"), "WARNING: IPv4 forwarding is disabled\n")
        );
        desired.bridge.address = Some(net("10.7.0.1/24"));
        assert!(
            plan(&desired, &observed)
                .unwrap()
                .to_string()
                .starts_with("add address 10.7.0.1/24 to docker0\n")
        );
        desired.bridge.address = Some(net("10.7.0.0/24"));
        assert!(matches!(plan(&desired, &observed), Err(Error::Config(_))));
    }

    #[test]
    fn a_bridge_of_the_user_s_must_be_there() {
        let mut desired = Desired::default();
        (desired.bridge.name, desired.bridge.is_users) = ("br7".into(), true);
        assert_eq!(
            plan(&desired, &Observed::default()).unwrap_err().to_string(),
            "bridge br7 does not exist"
        );
        let mut link = bridge(&[]);
        link.kind = "dummy".into();
        let observed = Observed { bridge: Some(link), ..Observed::default() };
        assert_eq!(
            plan(&desired, &observed).unwrap_err().to_string(),
            "br7 exists and is a dummy, not a bridge"
        );
    }

    #[test]
    fn foreign_drop_policies_are_told() {
        let observed = Observed { foreign_drops: vec!["filter/FORWARD".into()], ..Observed::default() };
        assert!(
            plan(&Desired::default(), &observed).unwrap().to_string().contains("chain filter/FORWARD drops")
        );
    }
}
