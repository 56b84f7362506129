//! What should exist on the host, from the engine's configuration.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::pools::AddressPool;

/// What a network's addresses of one family are to the world outside
/// (`com.docker.network.bridge.gateway_mode_ipv4`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayMode {
    /// Hidden behind the host's.
    #[default]
    Nat,
    /// The same on the way out; on the way in whoever has a route reaches every port.
    NatUnprotected,
    /// Known to others. Who has a route reaches the published ports, by the container's address.
    Routed,
    /// The host itself has no address there.
    Isolated,
}

impl GatewayMode {
    fn hides(self) -> bool {
        matches!(self, Self::Nat | Self::NatUnprotected)
    }
}

/// In place of a bridge: interfaces of containers lie over one of the host's, and the world behind it is their network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// The host's interface. One that is not there is made, and goes with its network: `eth0.10` is VLAN 10 over `eth0`.
    pub parent: String,
    /// It is nobody's but the network's: one without a world.
    pub dummy: bool,
    pub kind: OverKind,
}

/// How they lie over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverKind {
    /// Each with a hardware address of its own.
    Macvlan(MacvlanMode),
    /// All with their parent's.
    Ipvlan(IpvlanMode, IpvlanFlag),
}

/// `IFLA_MACVLAN_MODE`: whom a container reaches of those beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    Private,
    Vepa,
    Bridge,
    Passthru,
}

/// `IFLA_IPVLAN_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    L2,
    L3,
    L3s,
}

/// `IFLA_IPVLAN_FLAGS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanFlag {
    Bridge,
    Private,
    Vepa,
}

impl OverKind {
    /// There are no neighbours: everything goes to the link.
    pub(crate) fn is_routed(self) -> bool {
        matches!(self, Self::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _))
    }
}

/// What a bridge network has of IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipv6Config {
    /// As those of [`BridgeConfig`].
    pub address: Option<Ipv6Net>,
    pub size: Option<u8>,
    pub range: Option<Ipv6Net>,
    pub gateway: Option<Ipv6Addr>,
    pub reserved: Vec<Ipv6Addr>,
    pub mode: GatewayMode,
}

/// One bridge network: the default one as flags and `daemon.json` describe it, or one that a user made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// `docker0`, or the name of `--bridge`; `br-` and twelve digits for a user's.
    pub name: String,
    /// It has addresses of IPv4: those that follow are of it.
    pub ipv4: bool,
    /// `--bip`: the bridge's own address with the subnet's prefix.
    pub address: Option<Ipv4Net>,
    /// The prefix of the subnet that is chosen where no address is said; `None`: as the pools say.
    pub size: Option<u8>,
    /// `--fixed-cidr`: the part of the subnet that addresses are given out from.
    pub range: Option<Ipv4Net>,
    /// `--mtu`; `None` is 1500.
    pub mtu: Option<u32>,
    /// `--default-gateway`: another gateway than the bridge.
    pub gateway: Option<Ipv4Addr>,
    /// Addresses that are never given out.
    pub reserved: Vec<Ipv4Addr>,
    pub mode: GatewayMode,
    /// `--ipv6`.
    pub ipv6: Option<Ipv6Config>,
    /// `--icc`: containers on the bridge may talk to each other.
    pub inter_container: bool,
    /// `--ip-masq`: outgoing packets get the host's address.
    pub masquerade: bool,
    /// Nothing goes in or out.
    pub internal: bool,
    /// The host itself has no address on it (`com.docker.network.bridge.inhibit_ipv4`).
    pub bare: bool,
    /// From these interfaces of the host's published ports are reached at the containers' own addresses, too
    /// (`com.docker.network.bridge.trusted_host_interfaces`).
    pub trusted: Vec<String>,
    /// It is made for its network and goes with it.
    pub owned: bool,
    /// There is no bridge: the name is the network's only.
    pub over: Option<Over>,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            name: "docker0".to_owned(),
            ipv4: true,
            address: None,
            size: None,
            range: None,
            mtu: None,
            gateway: None,
            reserved: Vec::new(),
            mode: GatewayMode::Nat,
            ipv6: None,
            inter_container: true,
            masquerade: true,
            internal: false,
            bare: false,
            trusted: Vec::new(),
            owned: false,
            over: None,
        }
    }
}

impl BridgeConfig {
    /// The host's link that it needs.
    pub(crate) fn link(&self) -> &str {
        self.over.as_ref().map_or(&self.name, |over| &over.parent)
    }

    pub(crate) fn address6(&self) -> Option<Ipv6Net> {
        self.ipv6.as_ref()?.address
    }

    /// Its subnets, with the bridge's own addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpNet> + use<> {
        let ipv4 = self.address.filter(|_| self.ipv4).map(IpNet::V4);
        ipv4.into_iter().chain(self.address6().map(IpNet::V6))
    }

    /// What its containers send of IPv4 gets the host's address.
    pub(crate) fn hides(&self) -> bool {
        self.ipv4 && self.masquerade && !self.internal && self.mode.hides()
    }

    /// The same of IPv6.
    pub(crate) fn hides6(&self) -> bool {
        self.masquerade && !self.internal && self.ipv6.as_ref().is_some_and(|ipv6| ipv6.mode.hides())
    }

    /// How others reach its addresses of the family that this one is of.
    pub(crate) fn mode_of(&self, address: std::net::IpAddr) -> GatewayMode {
        match (address, &self.ipv6) {
            (std::net::IpAddr::V6(_), Some(ipv6)) => ipv6.mode,
            _ => self.mode,
        }
    }

    /// The firewall has to know more of it than that it is there.
    pub(crate) fn is_special(&self) -> bool {
        self.over.is_none()
            && (self.ipv6.is_some()
                || !matches!(self.mode, GatewayMode::Nat | GatewayMode::Isolated)
                || self.trusts())
    }

    /// Somebody outside is trusted with its containers' own addresses.
    pub(crate) fn trusts(&self) -> bool {
        !self.trusted.is_empty() && !self.internal && self.over.is_none()
    }
}

/// The firewall's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// Name of our table; every engine of a host has its own.
    pub table: String,
    /// `--firewall respect`: the host's own input policy decides who reaches published ports.
    pub respect: bool,
    /// Not `--ip6tables=false`: IPv6 is in it, too.
    pub ipv6: bool,
    /// `--allow-direct-routing`: whoever has a route reaches published ports at the containers' own addresses, too.
    pub direct: bool,
    /// `--bridge-accept-fwmark`: what has it reaches containers whatever is published.
    pub accept: Option<FirewallMark>,
}

/// Bits of a packet's mark, and which of them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirewallMark {
    pub mark: u32,
    pub mask: u32,
}

impl Default for FirewallConfig {
    fn default() -> Self {
        Self { table: "wharf".to_owned(), respect: false, ipv6: true, direct: false, accept: None }
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
