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
    /// Ports of our bridges, by name: whose each is, and on which network.
    pub(super) ports: HashMap<String, (String, String)>,
}

impl Books {
    pub(super) fn note(&mut self, container: &str, bridge: &str, address: &Address) {
        for ip in address.ips() {
            self.owners.insert((bridge.to_owned(), ip), container.to_owned());
        }
    }

    /// A container's place on a network is behind that port.
    pub(super) fn note_port(&mut self, link: Option<String>, container: &str, network_id: &str) {
        self.ports.extend(link.map(|link| (link, (container.to_owned(), network_id.to_owned()))));
    }

    /// It has none there any more.
    pub(super) fn forget_port(&mut self, container: &str, network_id: &str) {
        self.ports.retain(|_, (of, on)| of != container || on != network_id);
    }
}

/// Those that it has of its network.
pub(super) fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> + use<> {
    let ipv4 = endpoint.ipv4.map(IpAddr::V4);
    ipv4.into_iter().chain(endpoint.ipv6.map(IpAddr::V6))
}
