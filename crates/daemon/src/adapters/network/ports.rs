//! Published ports in the words of the engine and of `net`.

use engine::ports::{PortMapping, PortProtocol, PortWish, PublishedPorts};

use super::{Inner, Network};

/// So many ports are published where it is called: in less time than it takes to give them to another thread.
const FEW_PORTS: usize = 32;

impl Network {
    pub(super) async fn publish_at(
        &self,
        container: &str,
        to: net::Reach,
        wishes: Vec<PortWish>,
    ) -> net::Result<PublishedPorts> {
        let owner = container.to_owned();
        self.with_ports(wishes, move |inner, wishes| inner.fabric.publish(&owner, to, wishes)).await
    }

    pub(super) async fn reserve(&self, to: net::Reach, wishes: Vec<PortWish>) -> net::Result<PublishedPorts> {
        self.with_ports(wishes, move |inner, wishes| inner.fabric.reserve_ports(to, wishes)).await
    }

    async fn with_ports(
        &self,
        wishes: Vec<PortWish>,
        act: impl FnOnce(&Inner, &[net::PortWish]) -> net::Result<net::PublishedPorts> + Send + 'static,
    ) -> net::Result<PublishedPorts> {
        let few = wishes.len() <= FEW_PORTS;
        let wishes: Vec<_> = wishes.into_iter().map(wish).collect();
        let act = move |inner: &Inner| act(inner, &wishes);
        let done = if few { act(&self.inner) } else { self.blocking(act).await };
        done.map(published)
    }
}

fn wish(wish: PortWish) -> net::PortWish {
    let PortWish { container, protocol, host, address } = wish;
    net::PortWish { container, protocol: net_protocol(protocol), host, address }
}

fn published(published: net::PublishedPorts) -> PublishedPorts {
    let mappings = published.mappings.into_iter().map(mapping).collect();
    PublishedPorts { mappings, holder: published.holder }
}

fn mapping(mapping: net::PortMapping) -> PortMapping {
    let net::PortMapping { protocol, address, host, container, count } = mapping;
    let protocol = match protocol {
        net::Protocol::Tcp => PortProtocol::Tcp,
        net::Protocol::Udp => PortProtocol::Udp,
        net::Protocol::Sctp => PortProtocol::Sctp,
    };
    PortMapping { protocol, address, host, container, count }
}

pub(super) fn net_mappings(mappings: Vec<PortMapping>) -> Vec<net::PortMapping> {
    mappings.into_iter().map(net_mapping).collect()
}

fn net_mapping(mapping: PortMapping) -> net::PortMapping {
    let PortMapping { protocol, address, host, container, count } = mapping;
    net::PortMapping { protocol: net_protocol(protocol), address, host, container, count }
}

pub(super) fn net_protocol(protocol: PortProtocol) -> net::Protocol {
    match protocol {
        PortProtocol::Tcp => net::Protocol::Tcp,
        PortProtocol::Udp => net::Protocol::Udp,
        PortProtocol::Sctp => net::Protocol::Sctp,
    }
}
