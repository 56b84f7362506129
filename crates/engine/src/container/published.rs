//! `-p`, `-P` and `--expose`: which of a container's ports the host is to have, from the specification.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ContainerSpec;
use crate::error::{Error, Result};
use crate::ports::{PortProtocol, PortWish, Reach};

/// Where a port is published that names no address, of either version of IP. One address for it is Docker's rule for
/// both: any of IPv4 means any of IPv6 as well, and a certain one means none of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsaid {
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
}

impl Default for Unsaid {
    fn default() -> Self {
        Self { ipv4: Some(Ipv4Addr::UNSPECIFIED), ipv6: Some(Ipv6Addr::UNSPECIFIED) }
    }
}

impl Unsaid {
    /// From what is said for the network that leads out by IPv4, and for that by IPv6.
    pub(crate) fn new(ipv4: Option<IpAddr>, ipv6: Option<IpAddr>) -> Self {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let ipv4 = match ipv4.unwrap_or(any) {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let ipv6 = match ipv6.unwrap_or(any) {
            IpAddr::V6(address) => Some(address),
            any if any.is_unspecified() => Some(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(_) => None,
        };
        Self { ipv4, ipv6 }
    }

    fn addresses(self, to: Reach) -> Vec<IpAddr> {
        let ipv4 = self.ipv4.filter(|_| to.ipv4.is_some()).map(IpAddr::V4);
        let ipv6 = self.ipv6.filter(|_| to.ipv6.is_some()).map(IpAddr::V6);
        ipv4.into_iter().chain(ipv6).collect()
    }
}

/// What is to be published; `unsaid` is where, if a wish does not say, and `to` what the container has.
///
/// # Errors
///
/// Docker's, of a port or a range that is none; an address of a version that the container does not have.
pub(crate) fn wishes(spec: &ContainerSpec, unsaid: Unsaid, to: Reach) -> Result<Vec<PortWish>> {
    let mut wishes = Vec::new();
    let unsaid = unsaid.addresses(to);
    let host = &spec.host;
    // Docker has its proxy carry it from the one version to the other.
    let nowhere = |container: u16, protocol: PortProtocol| {
        Error::invalid(format!(
            "cannot publish port {container}/{}: the address that ports are published at on its network (--ip, or \
             host_binding_ipv4) is of a version of IP that the container does not have; say one with -p",
            protocol.word()
        ))
    };
    let leads_out = to.ipv4.is_some() || to.ipv6.is_some();
    for (port, bindings) in &host.port_bindings {
        let (container, protocol) = parse(port).ok_or_else(|| invalid(port))?;
        for binding in bindings {
            let range = match binding.host_port.as_str() {
                "" => None,
                text => range(text).ok_or_else(|| invalid(text))?,
            };
            let said: IpAddr;
            let addresses = match binding.host_ip.as_str() {
                "" if unsaid.is_empty() && leads_out => return Err(nowhere(container, protocol)),
                "" => &unsaid[..],
                text => {
                    said = text.parse().map_err(|_| {
                        Error::invalid(format!("invalid JSON: ParseAddr(\"{text}\"): unable to parse IP"))
                    })?;
                    std::slice::from_ref(&said)
                }
            };
            let wish = |address: &IpAddr| PortWish { container, protocol, host: range, address: *address };
            wishes.extend(addresses.iter().map(wish));
        }
    }
    if host.publish_all_ports {
        let unbound = |port: &&String| host.port_bindings.get(*port).is_none_or(Vec::is_empty);
        for port in exposed(spec).into_iter().filter(unbound) {
            // One with a protocol that cannot be published is only a note.
            let Some((container, protocol)) = parse(port) else { continue };
            if unsaid.is_empty() && leads_out {
                return Err(nowhere(container, protocol));
            }
            let wish = |address: &IpAddr| PortWish { container, protocol, host: None, address: *address };
            wishes.extend(unsaid.iter().map(wish));
        }
    }
    let lacks = |wish: &&PortWish| if wish.address.is_ipv4() { to.ipv4.is_none() } else { to.ipv6.is_none() };
    if let Some(wish) = wishes.iter().find(lacks) {
        let version = if wish.address.is_ipv4() { "IPv4" } else { "IPv6" };
        return Err(Error::invalid(format!(
            "cannot publish port {}/{} at {}: the container is on no network that leads out and has {version}",
            wish.container,
            wish.protocol.word(),
            wish.address
        )));
    }
    Ok(wishes)
}

/// Whether there is sense in what is to be published, before it is known which networks the container will be on.
///
/// # Errors
///
/// Docker's, of a port or a range that is none.
pub(crate) fn check(spec: &ContainerSpec) -> Result<()> {
    let anywhere = Reach { ipv4: Some(Ipv4Addr::UNSPECIFIED), ipv6: Some(Ipv6Addr::UNSPECIFIED) };
    wishes(spec, Unsaid::default(), anywhere).map(drop)
}

/// The ports that others are told of: `80/tcp` ...
pub(crate) fn exposed(spec: &ContainerSpec) -> BTreeSet<&String> {
    spec.exposed_ports.iter().chain(spec.host.port_bindings.keys()).collect()
}

fn invalid(port: &str) -> Error {
    Error::invalid(format!("invalid port specification: \"{port}\""))
}

/// `80/tcp`.
pub(crate) fn parse(text: &str) -> Option<(u16, PortProtocol)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => PortProtocol::Tcp,
        "udp" => PortProtocol::Udp,
        "sctp" => PortProtocol::Sctp,
        _ => return None,
    };
    digits(number).filter(|number| *number != 0).map(|number| (number, protocol))
}

/// `80`, `8000-8010`; `Some(None)` is any, which Docker writes as 0, too.
fn range(text: &str) -> Option<Option<(u16, u16)>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (digits(first)?, digits(last)?);
    match (first, last) {
        (0, 0) => Some(None),
        (0, _) => None,
        _ => (first <= last).then_some(Some((first, last))),
    }
}

/// Without a sign.
fn digits(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::PortBinding;

    fn spec(bindings: &[(&str, &str, &str)], exposed: &[&str], all: bool) -> ContainerSpec {
        let mut spec = ContainerSpec::default();
        for (port, host_ip, host_port) in bindings {
            let list = spec.host.port_bindings.entry((*port).to_owned()).or_default();
            list.push(PortBinding { host_ip: (*host_ip).to_owned(), host_port: (*host_port).to_owned() });
        }
        spec.exposed_ports = exposed.iter().map(|port| (*port).to_owned()).collect();
        spec.host.publish_all_ports = all;
        spec
    }

    fn text(spec: &ContainerSpec) -> String {
        text_to(spec, Reach { ipv4: Some(Ipv4Addr::LOCALHOST), ipv6: None })
    }

    fn text_to(spec: &ContainerSpec, to: Reach) -> String {
        let one = |wish: &PortWish| {
            let (first, last) = wish.host.unwrap_or_default();
            format!("{}:{first}-{last}:{}/{}", wish.address, wish.container, wish.protocol.word())
        };
        match wishes(spec, Unsaid::default(), to) {
            Ok(wishes) => wishes.iter().map(one).collect::<Vec<_>>().join(" "),
            Err(error) => error.message,
        }
    }

    #[test]
    fn bindings_are_wishes() {
        let all = [("80/tcp", "", "8080"), ("80/tcp", "127.0.0.1", ""), ("53/udp", "", "5000-5010")];
        assert_eq!(
            text(&spec(&all, &["99/tcp"], false)),
            "0.0.0.0:5000-5010:53/udp 0.0.0.0:8080-8080:80/tcp 127.0.0.1:0-0:80/tcp"
        );
        assert_eq!(
            text(&spec(&all[..1], &["99/tcp", "80/tcp", "7/sctp"], true)),
            "0.0.0.0:8080-8080:80/tcp 0.0.0.0:0-0:7/sctp 0.0.0.0:0-0:99/tcp"
        );
        assert_eq!(text(&spec(&[("80/tcp", "", "0")], &[], false)), "0.0.0.0:0-0:80/tcp");
    }

    #[test]
    fn what_is_none_is_refused_in_docker_s_words() {
        for (binding, said) in [
            (("0/tcp", "", ""), "invalid port specification: \"0/tcp\""),
            (("80/foo", "", ""), "invalid port specification: \"80/foo\""),
            (("80/tcp", "", "x"), "invalid port specification: \"x\""),
            (("80/tcp", "", "+80"), "invalid port specification: \"+80\""),
            (("80/tcp", "", "90-80"), "invalid port specification: \"90-80\""),
            (("80/tcp", "x", ""), "invalid JSON: ParseAddr(\"x\"): unable to parse IP"),
            (
                ("80/tcp", "::1", ""),
                "cannot publish port 80/tcp at ::1: the container is on no network that leads out and has IPv6",
            ),
        ] {
            assert_eq!(text(&spec(&[binding], &[], false)), said);
        }
    }

    #[test]
    fn an_address_of_a_version_that_is_not_there_is_told() {
        let six = Unsaid::new("::1".parse().ok(), None);
        let to = Reach { ipv4: Some(Ipv4Addr::LOCALHOST), ipv6: None };
        let said = |spec: &ContainerSpec, to| wishes(spec, six, to).map(|wishes| wishes.len());
        let told = "cannot publish port 80/tcp: the address that ports are published at on its network (--ip, or \
                    host_binding_ipv4) is of a version of IP that the container does not have; say one with -p";
        assert_eq!(said(&spec(&[("80/tcp", "", "")], &[], false), to).unwrap_err().message, told);
        assert_eq!(said(&spec(&[], &["80/tcp"], true), to).unwrap_err().message, told);
        assert_eq!(said(&spec(&[("80/tcp", "127.0.0.1", "")], &[], false), to).unwrap(), 1);
        let nowhere = Reach { ipv4: None, ipv6: None };
        assert_eq!(said(&spec(&[("80/tcp", "", "")], &[], false), nowhere).unwrap(), 0, "as Docker");
    }

    #[test]
    fn a_network_s_own_address_is_where_nothing_is_said() {
        let both = Reach { ipv4: Some(Ipv4Addr::LOCALHOST), ipv6: Some(Ipv6Addr::LOCALHOST) };
        let at = |binding: &str| {
            let binding = binding.parse().ok();
            Unsaid::new(binding, binding).addresses(both).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(at("0.0.0.0"), ["0.0.0.0", "::"]);
        assert_eq!(at("127.0.0.1"), ["127.0.0.1"]);
        assert_eq!((at("::"), at("::1")), (vec!["::".to_owned()], vec!["::1".to_owned()]));
        assert_eq!(Unsaid::new(None, "::1".parse().ok()).addresses(both).len(), 2);
    }

    #[test]
    fn who_has_ipv6_is_published_at_both() {
        let both = Reach { ipv4: Some(Ipv4Addr::LOCALHOST), ipv6: Some(Ipv6Addr::LOCALHOST) };
        let all = spec(&[("80/tcp", "", "8080"), ("81/tcp", "::1", "")], &["99/tcp"], true);
        assert_eq!(
            text_to(&all, both),
            "0.0.0.0:8080-8080:80/tcp :::8080-8080:80/tcp ::1:0-0:81/tcp 0.0.0.0:0-0:99/tcp :::0-0:99/tcp"
        );
        let six = Reach { ipv4: None, ..both };
        assert_eq!(text_to(&spec(&[("80/tcp", "", "")], &[], false), six), ":::0-0:80/tcp");
        let refused = text_to(&spec(&[("80/tcp", "127.0.0.1", "")], &[], false), six);
        assert!(refused.contains("at 127.0.0.1: the container is on no network that leads out and has IPv4"));
    }
}
