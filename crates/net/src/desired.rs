//! What should exist on the host, from the engine's configuration.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The default bridge, as flags and `daemon.json` describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// `docker0`, or the name of `--bridge`.
    pub name: String,
    /// `--bip`: the bridge's own address with the subnet's prefix.
    pub address: Option<Ipv4Net>,
    /// `--fixed-cidr`: the part of the subnet that addresses are given out from.
    pub range: Option<Ipv4Net>,
    /// `--mtu`; `None` is 1500.
    pub mtu: Option<u32>,
    /// `--default-gateway`: another gateway than the bridge.
    pub gateway: Option<Ipv4Addr>,
    /// `--icc`: containers on the bridge may talk to each other.
    pub inter_container: bool,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            name: "docker0".to_owned(),
            address: None,
            range: None,
            mtu: None,
            gateway: None,
            inter_container: true,
        }
    }
}

/// The firewall's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// Name of our table; every engine of a host has its own.
    pub table: String,
    /// `--ip-masq`: outgoing packets get the host's address.
    pub masquerade: bool,
}

impl Default for FirewallConfig {
    fn default() -> Self {
        Self { table: "wharf".to_owned(), masquerade: true }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    pub bridge: BridgeConfig,
    /// `None` with `--iptables=false`: the firewall is somebody else's.
    pub firewall: Option<FirewallConfig>,
    /// `--ip-forward`: turn forwarding on if it is off.
    pub ip_forward: bool,
    /// Not `--ip-forward-no-drop`: where we turned forwarding on, this host is no router for anybody but containers.
    pub guard: bool,
}

impl Default for Desired {
    fn default() -> Self {
        Self {
            bridge: BridgeConfig::default(),
            firewall: Some(FirewallConfig::default()),
            ip_forward: true,
            guard: true,
        }
    }
}

/// The subnets tried for a bridge without `--bip`, in Docker's order.
pub(crate) fn default_pools() -> impl Iterator<Item = Ipv4Net> {
    let class_b = (17..32).map(|n| (Ipv4Addr::new(172, n, 0, 0), 16));
    let class_c = (0..16).map(|n| (Ipv4Addr::new(192, 168, n * 16, 0), 20));
    class_b.chain(class_c).filter_map(|(network, prefix)| Ipv4Net::new(network, prefix).ok())
}
