//! The engine's words for a network and `net`'s.

use std::fmt::Write as _;

use engine::Class;
use engine::ports::{BridgeNetwork, Endpoint, EndpointRequest, NetworkError};
use net::{Address, BridgeConfig, Mac, Place};

/// A user's network as `net` makes it.
pub(super) fn config(network: &BridgeNetwork) -> BridgeConfig {
    let prefix = network.subnet.map(|subnet| subnet.prefix_len());
    let first = network.range.filter(|range| Some(range.trunc()) != network.subnet.map(|s| s.trunc()));
    // As Docker: without a gateway the bridge has the first address, of the range if there is one.
    let gateway = network.gateway.or_else(|| match first {
        Some(range) => Some(range.network()),
        None => network.subnet.and_then(|subnet| subnet.hosts().next()),
    });
    let address = gateway.zip(prefix).and_then(|(ip, prefix)| net::Ipv4Net::new(ip, prefix).ok());
    BridgeConfig {
        name: network.bridge.clone(),
        address,
        range: network.range,
        mtu: network.mtu,
        gateway: network.default_gateway,
        reserved: network.auxiliary.clone(),
        inter_container: network.inter_container,
        masquerade: network.masquerade,
        internal: network.internal,
        bare: network.bare,
        owned: true,
    }
}

pub(super) fn place(request: &EndpointRequest) -> Result<Place, NetworkError> {
    let mac: Option<Mac> = request.mac.as_deref().map(str::parse).transpose().map_err(convert)?;
    Ok(Place { ipv4: request.ipv4, mac, is_gateway: request.is_gateway })
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
        mac: address.mac.to_string(),
        ipv4: Some(address.ipv4.addr()),
        ipv4_prefix: address.ipv4.prefix_len(),
        gateway: address.leads_to,
        is_gateway: request.is_gateway,
        interface: interface.to_owned(),
        dns_names: request.dns_names.clone(),
    })
}

pub(super) fn refused(error: net::Error, request: &EndpointRequest) -> NetworkError {
    match error {
        // As Docker, which names the network.
        net::Error::AddressesExhausted(_) => NetworkError {
            class: Class::Internal,
            message: format!(
                "no available IPv4 addresses on this network's address pools: {} ({})",
                request.network, request.network_id
            ),
        },
        other => convert(other),
    }
}

pub(super) fn convert(error: net::Error) -> NetworkError {
    let class = match &error {
        net::Error::PoolOverlaps { .. } | net::Error::AddressInUse(_) => Class::Forbidden,
        net::Error::NoFreePool | net::Error::AddressOutside { .. } => Class::Invalid,
        net::Error::BridgeTaken(_) => Class::Forbidden,
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

/// What the interfaces of these are called: as it was wished, the others by number.
pub(super) fn interfaces(requests: &[EndpointRequest]) -> Vec<String> {
    let wished: Vec<_> = requests.iter().filter_map(|request| request.interface.clone()).collect();
    let mut numbered = (0..).map(|i| format!("eth{i}")).filter(|name| !wished.contains(name));
    requests.iter().filter_map(|request| request.interface.clone().or_else(|| numbered.next())).collect()
}
