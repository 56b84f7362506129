//! Network namespaces with addresses, and networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use ipnet::{Ipv4Net, Ipv6Net};

use super::BoxFuture;

/// A container's place on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Network name (`bridge`) and 64-digit id.
    pub network: String,
    pub network_id: String,
    pub endpoint_id: String,
    pub mac: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv4_prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub ipv6_prefix: u8,
    pub gateway6: Option<Ipv6Addr>,
    /// The container's default route goes this way, and what it publishes comes in here.
    pub is_gateway: bool,
    /// The same of IPv6, which another network may have.
    pub is_gateway6: bool,
    /// `eth0` ...
    pub interface: String,
    /// What it is called on a user-defined network: name, aliases, short id.
    pub dns_names: Vec<String>,
}

/// Where a container is reached from outside: its addresses on the networks that its default routes go to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
}

impl Reach {
    pub fn of(endpoints: &[Endpoint]) -> Self {
        Self {
            ipv4: endpoints.iter().find(|endpoint| endpoint.is_gateway).and_then(|endpoint| endpoint.ipv4),
            ipv6: endpoints.iter().find(|endpoint| endpoint.is_gateway6).and_then(|endpoint| endpoint.ipv6),
        }
    }

    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// A network namespace ready to be joined.
#[derive(Debug)]
pub struct Sandbox {
    pub netns: OwnedFd,
    /// 64 hex digits.
    pub sandbox_id: String,
    /// As they were asked for, in that order.
    pub endpoints: Vec<Endpoint>,
}

/// What a container's network namespace is to have beside loopback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxRequest {
    /// In the order of their interfaces (`eth0`, `eth1` ...). None of them: `--network none`.
    pub endpoints: Vec<EndpointRequest>,
    /// Of importance on users' networks.
    pub names: NameRules,
}

/// What a container on users' networks may ask for names, beside those of others there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameRules {
    /// Asked in place of the host's.
    pub servers: Vec<IpAddr>,
    /// A name without a dot that no container has is not asked for elsewhere.
    pub keeps_bare_names: bool,
    /// What only this one calls others: alias and name.
    pub links: Vec<(String, String)>,
}

/// A running container and its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub container: String,
    pub pid: u32,
    pub endpoints: Vec<Endpoint>,
    pub rules: NameRules,
}

/// One of its places on networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointRequest {
    /// Name and id of the network.
    pub network: String,
    pub network_id: String,
    pub mac: Option<String>,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    /// Addresses more, of its own link only.
    pub link_local: Vec<IpAddr>,
    /// The default route goes this way.
    pub is_gateway: bool,
    /// The same of IPv6.
    pub is_gateway6: bool,
    pub dns_names: Vec<String>,
    /// The interface's name; `None`: the next `ethN`.
    pub interface: Option<String>,
    /// What stands in place of `eth` on this network.
    pub prefix: Option<String>,
    /// Settings of that interface: where under `/proc/sys`, and what.
    pub sysctls: Vec<(String, String)>,
}

impl EndpointRequest {
    /// Nothing of the interface itself is asked for.
    pub fn is_plain(&self) -> bool {
        self.interface.is_none()
            && self.prefix.is_none()
            && self.sysctls.is_empty()
            && self.link_local.is_empty()
    }
}

/// A transport with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortProtocol {
    Tcp,
    Udp,
    Sctp,
}

impl PortProtocol {
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A container's port that is to be reached at an address of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortWish {
    pub container: u16,
    pub protocol: PortProtocol,
    /// First and last of those that will do; `None`: any.
    pub host: Option<(u16, u16)>,
    pub address: IpAddr,
}

/// Published ports that lie side by side, on the host and in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortMapping {
    pub protocol: PortProtocol,
    pub address: IpAddr,
    /// The first on the host, the first in the container, and how many there are. On the host 0: the container is
    /// reached at its own address.
    pub host: u16,
    pub container: u16,
    pub count: u16,
}

/// What wishes came to.
#[derive(Debug, Default)]
pub struct PublishedPorts {
    pub mappings: Vec<PortMapping>,
    /// Keeps the ports from everybody else as long as it is open.
    pub holder: Option<OwnedFd>,
}

/// What a network's addresses are to the world outside (`com.docker.network.bridge.gateway_mode_ipv4`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    #[default]
    Nat,
    NatUnprotected,
    Routed,
    Isolated,
}

/// What a bridge network has of IPv6; as the fields of [`BridgeNetwork`].
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Ipv6Network {
    pub subnet: Option<Ipv6Net>,
    pub range: Option<Ipv6Net>,
    pub gateway: Option<Ipv6Addr>,
    pub default_gateway: Option<Ipv6Addr>,
    pub auxiliary: Vec<Ipv6Addr>,
    pub mode: GatewayMode,
}

/// A network whose containers' interfaces lie over one of the host's, in place of a bridge.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OverNetwork {
    /// The host's interface: made, where there is none, if it is called as a VLAN of another.
    pub parent: String,
    /// The parent is the network's own, and leads nowhere.
    #[serde(default)]
    pub dummy: bool,
    pub kind: OverKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverKind {
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlag),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    Bridge,
    Private,
    Vepa,
    Passthru,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    L2,
    L3,
    L3s,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanFlag {
    Bridge,
    Private,
    Vepa,
}

/// A bridge network as the fabric makes it. What is not said is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct BridgeNetwork {
    pub id: String,
    /// Name of the interface on the host.
    pub bridge: String,
    /// It has no IPv4: what follows of it says nothing.
    pub without_ipv4: bool,
    pub subnet: Option<Ipv4Net>,
    /// The part of the subnet that addresses are given out from.
    pub range: Option<Ipv4Net>,
    /// The bridge's own address.
    pub gateway: Option<Ipv4Addr>,
    /// What containers get as their gateway, if it is not the bridge.
    pub default_gateway: Option<Ipv4Addr>,
    /// Addresses that are never given out.
    pub auxiliary: Vec<Ipv4Addr>,
    pub mode: GatewayMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Network>,
    pub internal: bool,
    pub inter_container: bool,
    pub masquerade: bool,
    /// The host has no address on it.
    pub bare: bool,
    pub mtu: Option<u32>,
    /// Interfaces of the host's by which published ports are reached at containers' own addresses, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// At which of the host's addresses a port is published that names none; not said: at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<IpAddr>,
    /// What containers' interfaces are called in place of `eth`, before their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<OverNetwork>,
}

/// A network failure, with the object in its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NetworkError {
    pub class: crate::error::Class,
    pub message: String,
}

/// What `network ls`/`inspect` and `info` show of the default bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Of the default network, the same after a restart.
    pub network_id: String,
    /// `None` with `--bridge none`.
    pub bridge: Option<String>,
    pub subnet: Option<String>,
    /// Where addresses are given out, if it was said (`--fixed-cidr`).
    pub range: Option<String>,
    /// The bridge's own.
    pub address: Option<IpAddr>,
    /// The containers', which is another one with `--default-gateway`.
    pub gateway: Option<IpAddr>,
    pub subnet6: Option<String>,
    pub range6: Option<String>,
    pub address6: Option<IpAddr>,
    pub gateway6: Option<IpAddr>,
    pub mtu: u32,
    pub inter_container: bool,
    pub masquerade: bool,
    pub firewall_backend: String,
    /// Published ports are reached only as far as the host's own input policy lets them be.
    pub respects_host: bool,
    pub warnings: Vec<String>,
}

/// Told of interfaces that are gone, each by the container's and the network's id.
pub type TellLost = Box<dyn Fn(Vec<(String, String)>) + Send + Sync>;

/// Network namespaces with addresses. Sandboxes are prepared ahead, so `take` normally costs nothing.
pub trait NetworkFabric: Send + Sync + fmt::Debug {
    /// A create happened: have a sandbox ready soon. Returns at once.
    fn prepare(&self);
    fn take<'a>(
        &'a self,
        container: &'a str,
        request: &'a SandboxRequest,
    ) -> BoxFuture<'a, Result<Sandbox, NetworkError>>;
    /// Give addresses and names back after the container ended. Idempotent.
    fn release<'a>(&'a self, container: &'a str, endpoints: &'a [Endpoint]) -> BoxFuture<'a, ()>;
    /// At boot, before the first `take`: these networks there are, and these running containers own these endpoints;
    /// everything else of ours goes.
    fn reconcile(
        &self,
        networks: Vec<BridgeNetwork>,
        running: Vec<(String, Vec<Endpoint>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>>;
    /// Makes a network, and answers it with all that was chosen.
    fn add_network<'a>(
        &'a self,
        network: &'a BridgeNetwork,
    ) -> BoxFuture<'a, Result<BridgeNetwork, NetworkError>>;
    /// Idempotent. `Forbidden` while somebody has an address on it.
    fn remove_network<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Gives a running container an interface more; the default route stays where it is.
    fn connect<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        request: &'a EndpointRequest,
    ) -> BoxFuture<'a, Result<Endpoint, NetworkError>>;
    /// Takes an interface away from a running container, and its address back.
    fn disconnect<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Lets a running container's default routes go through this endpoint: those for which it is the gateway.
    fn route_via<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Has ports of the host's lead to a container: all that it wishes, or none.
    fn publish<'a>(
        &'a self,
        container: &'a str,
        to: Reach,
        wishes: Vec<PortWish>,
    ) -> BoxFuture<'a, Result<PublishedPorts, NetworkError>>;
    /// Takes ports of the host's, all that are wished or none, and holds them; they lead nowhere yet.
    fn reserve_ports(
        &self,
        _to: Reach,
        _wishes: Vec<PortWish>,
    ) -> BoxFuture<'_, Result<PublishedPorts, NetworkError>> {
        Box::pin(std::future::ready(Ok(PublishedPorts::default())))
    }
    /// What was reserved is not going to be used.
    fn give_up_ports(&self, _mappings: Vec<PortMapping>) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// These ports, which are the container's or reserved, lead to it from now on, and no others: all at once, or it stays
    /// as it was.
    fn set_ports<'a>(
        &'a self,
        _container: &'a str,
        _to: Reach,
        _mappings: Vec<PortMapping>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Something that holds ports which are a container's already, as far as nobody has them.
    fn hold_ports(
        &self,
        _mappings: Vec<PortMapping>,
    ) -> BoxFuture<'_, Result<Option<OwnedFd>, NetworkError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// Its ports lead nowhere from now on. Before [`NetworkFabric::release`], as the address may be given to another
    /// then. Idempotent.
    fn unpublish<'a>(&'a self, container: &'a str) -> BoxFuture<'a, ()>;
    /// From this address on the default bridge these ports of others on it may be reached, where containers are kept
    /// apart; in place of what was open to the container before.
    fn open_links<'a>(
        &'a self,
        container: &'a str,
        from: Option<Ipv4Addr>,
        to: Vec<(Ipv4Addr, Vec<(u16, PortProtocol)>)>,
    ) -> BoxFuture<'a, ()>;
    /// What a running container is called, and what it may ask, from now on. It is told so before its process is there,
    /// too, by [`NetworkFabric::take`].
    fn name(&self, named: Named) -> BoxFuture<'_, Result<(), NetworkError>>;
    /// At boot, after [`NetworkFabric::reconcile`]: these running containers have names, and nobody else has any.
    fn adopt_names(&self, running: Vec<Named>) -> BoxFuture<'_, Result<(), NetworkError>>;
    /// At boot, after [`NetworkFabric::reconcile`]: these running containers have these ports, and nobody else has any.
    fn adopt_ports(
        &self,
        running: Vec<(String, Reach, Vec<PortMapping>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>>;
    /// An address of a server that this host knows by its name.
    fn look_up<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<IpAddr, NetworkError>>;
    fn facts(&self) -> NetworkFacts;
    /// Whom to tell, from whichever thread, what had to be put back because somebody had taken it away: a line for each
    /// thing.
    fn on_repair(&self, _tell: Box<dyn Fn(Vec<String>) + Send + Sync>) {}
    /// Whom to tell, from whichever thread, which containers' interfaces are gone. The container may have ended.
    fn on_lost(&self, _tell: TellLost) {}
    /// The engine ends: what was put off is done now, as far as that takes seconds only.
    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// Gives a running container an interface back that somebody has removed, as it was. Whether it had gone.
    fn reconnect<'a>(
        &'a self,
        _container: &'a str,
        _pid: u32,
        _request: &'a EndpointRequest,
    ) -> BoxFuture<'a, Result<bool, NetworkError>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}
