//! The engine's words for a network and `net`'s.

use std::fmt::Write as _;

use engine::Class;
use engine::ports::{
    BridgeNetwork, Endpoint, EndpointRequest, GatewayMode, Ipv6Network, IpvlanFlag, IpvlanMode, MacvlanMode,
    NetworkError, OverKind, OverNetwork, Reach,
};
use net::{Address, BridgeConfig, IpNet, Ipv4Net, Ipv6Net, Mac, Place};

/// What interfaces of containers are called, with a number.
pub(super) const PREFIX: &str = "eth";

/// A user's network as `net` makes it.
pub(super) fn config(network: &BridgeNetwork) -> BridgeConfig {
    // `0.0.0.0/28` is any of that size.
    let (any, named) = (network.subnet.filter(is_any), network.subnet.filter(|subnet| !is_any(subnet)));
    let network = &BridgeNetwork { subnet: named, ..network.clone() };
    let prefix = network.subnet.map(|subnet| subnet.prefix_len());
    let first = network.range.filter(|range| Some(range.trunc()) != network.subnet.map(|s| s.trunc()));
    // As Docker: without a gateway the bridge has the first address, of the range if there is one.
    let gateway = network.gateway.or_else(|| match first {
        Some(range) if network.over.is_none() => Some(range.network()),
        _ => network.subnet.and_then(|subnet| subnet.hosts().next()),
    });
    let address = gateway.zip(prefix).and_then(|(ip, prefix)| Ipv4Net::new(ip, prefix).ok());
    BridgeConfig {
        name: network.bridge.clone(),
        ipv4: !network.without_ipv4,
        address,
        size: any.map(|subnet| subnet.prefix_len()),
        range: network.range,
        mtu: network.mtu,
        // Without a bridge it is the router of the world there.
        gateway: if network.over.is_some() { network.gateway } else { network.default_gateway },
        reserved: network.auxiliary.clone(),
        mode: mode(network.mode),
        ipv6: network.ipv6.as_ref().map(|ipv6| config6(ipv6, network.over.is_some())),
        inter_container: network.inter_container,
        masquerade: network.masquerade,
        internal: network.internal,
        bare: network.bare,
        trusted: network.trusted.clone(),
        owned: true,
        over: network.over.as_ref().map(over),
    }
}

fn is_any(subnet: &Ipv4Net) -> bool {
    subnet.addr().is_unspecified()
}

fn config6(network: &Ipv6Network, is_over: bool) -> net::Ipv6Config {
    let is_any = |subnet: &Ipv6Net| subnet.addr().is_unspecified();
    let (any, named) = (network.subnet.filter(is_any), network.subnet.filter(|subnet| !is_any(subnet)));
    let network = &Ipv6Network { subnet: named, ..network.clone() };
    let prefix = network.subnet.map(|subnet| subnet.prefix_len());
    let first = network.range.filter(|range| Some(range.trunc()) != network.subnet.map(|s| s.trunc()));
    // The subnet's own address is every router's.
    let next = |ip: std::net::Ipv6Addr| std::net::Ipv6Addr::from(u128::from(ip).saturating_add(1));
    let gateway = network.gateway.or_else(|| match (first, network.subnet) {
        (Some(range), Some(subnet)) if !is_over && range.network() != subnet.network() => {
            Some(range.network())
        }
        (_, subnet) => subnet.map(|subnet| next(subnet.network())),
    });
    // One that is of the link only is somebody else's: the bridge has the first address then.
    let of_link = gateway.filter(|ip| ip.is_unicast_link_local());
    let own = if of_link.is_some() { network.subnet.map(|subnet| next(subnet.network())) } else { gateway };
    net::Ipv6Config {
        address: own.zip(prefix).and_then(|(ip, prefix)| Ipv6Net::new(ip, prefix).ok()),
        size: any.map(|subnet| subnet.prefix_len()),
        range: network.range,
        gateway: if is_over { network.gateway } else { network.default_gateway.or(of_link) },
        reserved: network.auxiliary.clone(),
        mode: mode(network.mode),
    }
}

fn over(over: &OverNetwork) -> net::Over {
    let kind = match over.kind {
        OverKind::Macvlan(mode) => net::OverKind::Macvlan(match mode {
            MacvlanMode::Bridge => net::MacvlanMode::Bridge,
            MacvlanMode::Private => net::MacvlanMode::Private,
            MacvlanMode::Vepa => net::MacvlanMode::Vepa,
            MacvlanMode::Passthru => net::MacvlanMode::Passthru,
        }),
        OverKind::Ipvlan(mode, flag) => {
            let mode = match mode {
                IpvlanMode::L2 => net::IpvlanMode::L2,
                IpvlanMode::L3 => net::IpvlanMode::L3,
                IpvlanMode::L3s => net::IpvlanMode::L3s,
            };
            let flag = match flag {
                IpvlanFlag::Bridge => net::IpvlanFlag::Bridge,
                IpvlanFlag::Private => net::IpvlanFlag::Private,
                IpvlanFlag::Vepa => net::IpvlanFlag::Vepa,
            };
            net::OverKind::Ipvlan(mode, flag)
        }
    };
    net::Over { parent: over.parent.clone(), dummy: over.dummy, kind }
}

fn mode(mode: GatewayMode) -> net::GatewayMode {
    match mode {
        GatewayMode::Nat => net::GatewayMode::Nat,
        GatewayMode::NatUnprotected => net::GatewayMode::NatUnprotected,
        GatewayMode::Routed => net::GatewayMode::Routed,
        GatewayMode::Isolated => net::GatewayMode::Isolated,
    }
}

pub(super) fn reach(reach: Reach) -> net::Reach {
    net::Reach { ipv4: reach.ipv4, ipv6: reach.ipv6 }
}

/// With the prefixes that such addresses have.
pub(super) fn link_local(request: &EndpointRequest) -> Vec<IpNet> {
    let net = |ip: &std::net::IpAddr| IpNet::new(*ip, if ip.is_ipv4() { 16 } else { 64 }).ok();
    request.link_local.iter().filter_map(net).collect()
}

pub(super) fn place(request: &EndpointRequest) -> Result<Place, NetworkError> {
    let mac: Option<Mac> = request.mac.as_deref().map(str::parse).transpose().map_err(convert)?;
    Ok(Place {
        ipv4: request.ipv4,
        ipv6: request.ipv6,
        mac,
        is_gateway: request.is_gateway,
        is_gateway6: request.is_gateway6,
    })
}

pub(super) fn endpoint(
    request: &EndpointRequest,
    address: &Address,
    interface: &str,
) -> Result<Endpoint, NetworkError> {
    Ok(Endpoint {
        network: request.network.clone(),
        network_id: request.network_id.clone(),
        endpoint_id: random_id()?,
        mac: address.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        ipv4: address.ipv4.map(|net| net.addr()),
        ipv4_prefix: address.ipv4.map_or(0, |net| net.prefix_len()),
        gateway: address.leads_to,
        ipv6: address.ipv6.map(|net| net.addr()),
        ipv6_prefix: address.ipv6.map_or(0, |net| net.prefix_len()),
        gateway6: address.leads_to6,
        is_gateway: request.is_gateway,
        is_gateway6: request.is_gateway6,
        interface: interface.to_owned(),
        dns_names: request.dns_names.clone(),
    })
}

pub(super) fn refused(error: net::Error, request: &EndpointRequest) -> NetworkError {
    match error {
        // As Docker, which names the network.
        net::Error::AddressesExhausted { family, .. } => NetworkError {
            class: Class::Internal,
            message: format!(
                "no available {family} addresses on this network's address pools: {} ({})",
                request.network, request.network_id
            ),
        },
        other => convert(other),
    }
}

pub(super) fn convert(error: net::Error) -> NetworkError {
    let class = match &error {
        net::Error::PoolOverlaps { .. } | net::Error::AddressInUse(_) => Class::Forbidden,
        net::Error::NoFreePool(_) | net::Error::AddressOutside { .. } => Class::Invalid,
        net::Error::BridgeTaken(_) | net::Error::ParentTaken { .. } => Class::Forbidden,
        net::Error::NoParent(_) | net::Error::NoMaster { .. } => Class::Invalid,
        net::Error::NoSuchNetwork(_) => Class::NotFound,
        other if other.is_permanent() => Class::Unsupported,
        _ => Class::Internal,
    };
    NetworkError { class, message: error.to_string() }
}

/// 32 random bytes in hex, Docker's form of an id.
pub(super) fn random_id() -> Result<String, NetworkError> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| NetworkError { class: Class::Internal, message: format!("get random bytes: {e}") })?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}

/// What the interfaces of these are called: as it was wished, the others by number, each network's prefix for itself.
pub(super) fn interfaces(requests: &[EndpointRequest]) -> Vec<String> {
    let wished: Vec<_> = requests.iter().filter_map(|request| request.interface.clone()).collect();
    let mut given: Vec<String> = Vec::with_capacity(requests.len());
    for request in requests {
        let prefix = request.prefix.as_deref().unwrap_or(PREFIX);
        let mut numbered = (0..).map(|i| format!("{prefix}{i}"));
        let name = match &request.interface {
            Some(name) => Some(name.clone()),
            None => numbered.find(|name| !wished.contains(name) && !given.contains(name)),
        };
        given.extend(name);
    }
    given
}
