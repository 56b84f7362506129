//! What should exist on the host, from the engine's configuration.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::pools::AddressPool;

/// One bridge network: the default one as flags and `daemon.json` describe it, or one that a user made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// `docker0`, or the name of `--bridge`; `br-` and twelve digits for a user's.
    pub name: String,
    /// `--bip`: the bridge's own address with the subnet's prefix.
    pub address: Option<Ipv4Net>,
    /// `--fixed-cidr`: the part of the subnet that addresses are given out from.
    pub range: Option<Ipv4Net>,
    /// `--mtu`; `None` is 1500.
    pub mtu: Option<u32>,
    /// `--default-gateway`: another gateway than the bridge.
    pub gateway: Option<Ipv4Addr>,
    /// Addresses that are never given out.
    pub reserved: Vec<Ipv4Addr>,
    /// `--icc`: containers on the bridge may talk to each other.
    pub inter_container: bool,
    /// `--ip-masq`: outgoing packets get the host's address.
    pub masquerade: bool,
    /// Nothing goes in or out.
    pub internal: bool,
    /// The host itself has no address on it (`com.docker.network.bridge.inhibit_ipv4`).
    pub bare: bool,
    /// It is made for its network and goes with it.
    pub owned: bool,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            name: "docker0".to_owned(),
            address: None,
            range: None,
            mtu: None,
            gateway: None,
            reserved: Vec::new(),
            inter_container: true,
            masquerade: true,
            internal: false,
            bare: false,
            owned: false,
        }
    }
}

/// The firewall's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// Name of our table; every engine of a host has its own.
    pub table: String,
    /// `--firewall respect`: the host's own input policy decides who reaches published ports.
    pub respect: bool,
}

impl Default for FirewallConfig {
    fn default() -> Self {
        Self { table: "wharf".to_owned(), respect: false }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The default one, unless `--bridge none`; then those of users.
    pub bridges: Vec<BridgeConfig>,
    /// `None` with `--iptables=false`: the firewall is somebody else's.
    pub firewall: Option<FirewallConfig>,
    /// `--ip-forward`: turn forwarding on if it is off.
    pub ip_forward: bool,
    /// Not `--ip-forward-no-drop`: where we turned forwarding on, this host is no router for anybody but containers.
    pub guard: bool,
    /// Not all bridges are known yet: the table that an earlier engine left stays until they are.
    pub incomplete: bool,
    /// Where the default bridge's subnet comes from when nobody names it, if not from the built-in ranges.
    pub pools: Vec<AddressPool>,
    /// Written on the bridges that are made for users' networks, so that the next engine knows its own.
    pub owner: String,
}

impl Default for Desired {
    fn default() -> Self {
        Self {
            bridges: vec![BridgeConfig::default()],
            firewall: Some(FirewallConfig::default()),
            ip_forward: true,
            guard: true,
            incomplete: false,
            pools: Vec::new(),
            owner: "default".to_owned(),
        }
    }
}

impl Desired {
    /// What stands on a user's bridge as its alias.
    pub(crate) fn mark(&self) -> String {
        format!("wharf: network of engine {}", self.owner)
    }

    /// The same host with one bridge only.
    pub(crate) fn with_only(&self, bridge: BridgeConfig) -> Self {
        Self {
            bridges: vec![bridge],
            firewall: self.firewall.clone(),
            ip_forward: self.ip_forward,
            guard: self.guard,
            incomplete: true,
            pools: self.pools.clone(),
            owner: self.owner.clone(),
        }
    }
}
