//! Published ports in the words of the engine and of `net`.

use engine::ports::{PortMapping, PortProtocol, PortWish};

pub(super) fn wish(wish: PortWish) -> net::PortWish {
    let PortWish { container, protocol, host, address } = wish;
    net::PortWish { container, protocol: net_protocol(protocol), host, address }
}

pub(super) fn mapping(mapping: net::PortMapping) -> PortMapping {
    let net::PortMapping { protocol, address, host, container, count } = mapping;
    let protocol = match protocol {
        net::Protocol::Tcp => PortProtocol::Tcp,
        net::Protocol::Udp => PortProtocol::Udp,
        net::Protocol::Sctp => PortProtocol::Sctp,
    };
    PortMapping { protocol, address, host, container, count }
}

pub(super) fn net_mapping(mapping: PortMapping) -> net::PortMapping {
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
