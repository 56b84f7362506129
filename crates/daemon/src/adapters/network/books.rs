//! Which container has which address, so that a late second release cannot free somebody else's.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::ports::Endpoint;
use net::Address;

#[derive(Debug, Default)]
pub(super) struct Books {
    /// Bridge by network id.
    pub(super) bridges: HashMap<String, String>,
    /// Which container has an address on a bridge, so that a late second release cannot free somebody else's.
    pub(super) owners: HashMap<(String, IpAddr), String>,
}

impl Books {
    pub(super) fn note(&mut self, container: &str, bridge: &str, address: &Address) {
        for ip in address.ips() {
            self.owners.insert((bridge.to_owned(), ip), container.to_owned());
        }
    }
}

/// Those that it has of its network.
pub(super) fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> + use<> {
    let ipv4 = endpoint.ipv4.map(IpAddr::V4);
    ipv4.into_iter().chain(endpoint.ipv6.map(IpAddr::V6))
}
