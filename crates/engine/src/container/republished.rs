//! Published ports that change: what an update asks for, and what that means for a container that runs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::published::{self, Unsaid};
use super::{ContainerSpec, NetworkMode, PortBinding};
use crate::error::{Error, Result};
use crate::ports::{PortMapping, PortProtocol, PortWish, Reach};

pub(crate) type Bindings = BTreeMap<String, Vec<PortBinding>>;

/// What is to be done with a running container's ports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) wishes: Vec<PortWish>,
    /// Of those that it has.
    pub(crate) kept: Vec<PortMapping>,
    pub(crate) removed: Vec<PortMapping>,
}

/// Binds ports more, and lets go of others, in a specification.
pub(crate) fn apply(spec: &mut ContainerSpec, add: &Bindings, remove: &Bindings) -> Result<()> {
    if add.is_empty() && remove.is_empty() {
        return Ok(());
    }
    if matches!(spec.host.network_mode, NetworkMode::Container(_)) {
        return Err(Error::invalid(
            "conflicting options: port publishing and the container type network mode",
        ));
    }
    for (port, bindings) in remove {
        let port = normal(port)?;
        name_exposed(spec, &port);
        let here = spec.host.port_bindings.get_mut(&port).filter(|here| !here.is_empty());
        let Some(here) = here else { return Err(not_published(spec, &port, None)) };
        if bindings.is_empty() {
            here.clear();
        }
        for binding in bindings {
            let Some(at) = here.iter().position(|one| is_meant(binding, one)) else {
                return Err(not_published(spec, &port, Some(binding)));
            };
            here.remove(at);
        }
        spec.host.port_bindings.retain(|_, here| !here.is_empty());
    }
    for (port, bindings) in add {
        let here = spec.host.port_bindings.entry(normal(port)?).or_default();
        for binding in bindings {
            if !here.contains(binding) {
                here.push(binding.clone());
            }
        }
    }
    Ok(())
}

/// A port that `-P` publishes is named like the others, so that it can go without them.
fn name_exposed(spec: &mut ContainerSpec, port: &str) {
    let has =
        |spec: &ContainerSpec, port: &str| spec.host.port_bindings.get(port).is_some_and(|b| !b.is_empty());
    if !spec.host.publish_all_ports || has(spec, port) || !spec.exposed_ports.contains(port) {
        return;
    }
    spec.host.publish_all_ports = false;
    for exposed in spec.exposed_ports.clone() {
        if !has(spec, &exposed) && published::parse(&exposed).is_some() {
            spec.host.port_bindings.insert(exposed, vec![PortBinding::default()]);
        }
    }
}

/// `80` is `80/tcp`.
fn normal(port: &str) -> Result<String> {
    let (number, protocol) = published::parse(port)
        .ok_or_else(|| Error::invalid(format!("invalid port specification: \"{port}\"")))?;
    Ok(format!("{number}/{}", protocol.word()))
}

/// Whether a binding is what somebody calls so: he need not name the address.
fn is_meant(said: &PortBinding, binding: &PortBinding) -> bool {
    said.host_port == binding.host_port && (said.host_ip.is_empty() || said.host_ip == binding.host_ip)
}

fn not_published(spec: &ContainerSpec, port: &str, at: Option<&PortBinding>) -> Error {
    let at = at.map(|at| match at.host_ip.as_str() {
        "" => format!(" at {}", at.host_port),
        ip => format!(" at {ip}:{}", at.host_port),
    });
    let published: Vec<&str> = spec.host.port_bindings.keys().map(String::as_str).collect();
    let has = match published.is_empty() {
        true => "no ports are".to_owned(),
        false => format!("published: {}", published.join(", ")),
    };
    Error::invalid(format!("port {port} is not published{} ({has})", at.unwrap_or_default()))
}

/// From what a running container has to what its specification will wish; `unsaid` is where, if a wish does not say, and
/// `to` where the container is reached.
pub(crate) fn difference(
    spec: &ContainerSpec,
    unsaid: Unsaid,
    to: Reach,
    has: &[PortMapping],
) -> Result<Difference> {
    let mut wishes = published::wishes(spec, unsaid, to)?;
    // Those that name a port first, so that a wish for any does not take theirs.
    wishes.sort_by_key(|wish| wish.host.is_none_or(|(first, last)| first != last));
    let mut free: BTreeMap<(PortProtocol, IpAddr, u16), Vec<u16>> = BTreeMap::new();
    for mapping in has {
        for n in 0..mapping.count {
            let key = (mapping.protocol, mapping.address, mapping.container + n);
            // One that takes no port of the host's will do for any.
            free.entry(key).or_default().push(if mapping.host == 0 { 0 } else { mapping.host + n });
        }
    }
    let mut difference = Difference::default();
    for wish in wishes {
        let given = free.get_mut(&(wish.protocol, wish.address, wish.container));
        let fits =
            |port: &u16| *port == 0 || wish.host.is_none_or(|(first, last)| (first..=last).contains(port));
        let found = given.and_then(|ports| ports.iter().position(fits).map(|at| ports.remove(at)));
        match found {
            Some(host) => difference.kept.push(single(wish.protocol, wish.address, wish.container, host)),
            None => difference.wishes.push(wish),
        }
    }
    for ((protocol, address, container), ports) in free {
        difference.removed.extend(ports.into_iter().map(|host| single(protocol, address, container, host)));
    }
    difference.kept = folded(difference.kept);
    difference.removed = folded(difference.removed);
    Ok(difference)
}

fn single(protocol: PortProtocol, address: IpAddr, container: u16, host: u16) -> PortMapping {
    PortMapping { protocol, address, host, container, count: 1 }
}

/// Ports that lie side by side, here and in the container, as one.
pub(crate) fn folded(mut ports: Vec<PortMapping>) -> Vec<PortMapping> {
    ports.sort_unstable_by_key(|port| (port.protocol, port.address, port.host));
    let mut runs: Vec<PortMapping> = Vec::new();
    for port in ports {
        match runs.last_mut() {
            Some(run)
                if (run.protocol, run.address) == (port.protocol, port.address)
                    && run.host.checked_add(run.count) == Some(port.host)
                    && run.container.checked_add(run.count) == Some(port.container) =>
            {
                run.count += port.count;
            }
            _ => runs.push(port),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: Reach = Reach { ipv4: Some(std::net::Ipv4Addr::LOCALHOST), ipv6: None };
    const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

    fn bindings(all: &[(&str, &str, &str)]) -> Bindings {
        let mut bindings = Bindings::new();
        for (port, host_ip, host_port) in all {
            let list = bindings.entry((*port).to_owned()).or_default();
            list.extend(
                (*host_port != "*").then(|| PortBinding {
                    host_ip: (*host_ip).to_owned(),
                    host_port: (*host_port).to_owned(),
                }),
            );
        }
        bindings
    }

    fn spec(all: &[(&str, &str, &str)]) -> ContainerSpec {
        let mut spec = ContainerSpec::default();
        spec.host.port_bindings = bindings(all);
        spec
    }

    fn text(mappings: &[PortMapping]) -> String {
        let one = |m: &PortMapping| {
            format!("{}:{}->{}x{}/{}", m.address, m.host, m.container, m.count, m.protocol.word())
        };
        mappings.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn tcp(host: u16, container: u16, count: u16) -> PortMapping {
        PortMapping { protocol: PortProtocol::Tcp, address: ANY, host, container, count }
    }

    #[test]
    fn bindings_come_and_go() {
        let mut one = spec(&[("80/tcp", "", "8080"), ("80/tcp", "127.0.0.1", "81"), ("53/udp", "", "53")]);
        apply(
            &mut one,
            &bindings(&[("90", "", "9090"), ("53/udp", "", "53")]),
            &bindings(&[("80/tcp", "", "81")]),
        )
        .unwrap();
        assert_eq!(
            one.host.port_bindings,
            bindings(&[("53/udp", "", "53"), ("80/tcp", "", "8080"), ("90/tcp", "", "9090")])
        );
        apply(&mut one, &Bindings::new(), &bindings(&[("80", "", "*"), ("53/udp", "", "53")])).unwrap();
        assert_eq!(one.host.port_bindings, bindings(&[("90/tcp", "", "9090")]));
        // The same is moved: first what goes.
        apply(&mut one, &bindings(&[("90/tcp", "", "9091")]), &bindings(&[("90/tcp", "", "*")])).unwrap();
        assert_eq!(one.host.port_bindings, bindings(&[("90/tcp", "", "9091")]));
    }

    #[test]
    fn what_is_not_published_cannot_go() {
        let one = spec(&[("80/tcp", "", "8080")]);
        let refused = |remove: &[(&str, &str, &str)]| {
            apply(&mut one.clone(), &Bindings::new(), &bindings(remove)).unwrap_err().message
        };
        assert_eq!(refused(&[("81", "", "*")]), "port 81/tcp is not published (published: 80/tcp)");
        assert_eq!(
            refused(&[("80/tcp", "10.0.0.1", "8080")]),
            "port 80/tcp is not published at 10.0.0.1:8080 (published: 80/tcp)"
        );
        assert_eq!(refused(&[("x", "", "*")]), "invalid port specification: \"x\"");
        let mut shared = spec(&[]);
        shared.host.network_mode = NetworkMode::Container("other".into());
        let error = apply(&mut shared, &bindings(&[("80", "", "80")]), &Bindings::new()).unwrap_err();
        assert_eq!(error.message, "conflicting options: port publishing and the container type network mode");
    }

    #[test]
    fn one_of_those_that_are_exposed_goes_alone() {
        let mut one = spec(&[("7/tcp", "", "7")]);
        one.host.publish_all_ports = true;
        one.exposed_ports = ["80/tcp".to_owned(), "81/tcp".to_owned(), "7/tcp".to_owned()].into();
        apply(&mut one, &Bindings::new(), &bindings(&[("80", "", "*")])).unwrap();
        assert!(!one.host.publish_all_ports);
        assert_eq!(one.host.port_bindings, bindings(&[("7/tcp", "", "7"), ("81/tcp", "", "")]));
    }

    #[test]
    fn what_it_has_is_kept() {
        let has = [tcp(40_000, 80, 1), tcp(9000, 9000, 10)];
        let mut one = spec(&[("80/tcp", "", ""), ("90/tcp", "", "90-99")]);
        for n in (9000..9010).filter(|n| *n != 9004) {
            one.host.port_bindings.extend(bindings(&[(&format!("{n}/tcp"), "", &n.to_string())]));
        }
        let found = difference(&one, Unsaid::default(), TO, &has).unwrap();
        assert_eq!(
            (text(&found.kept).as_str(), text(&found.removed).as_str()),
            (
                "0.0.0.0:9000->9000x4/tcp 0.0.0.0:9005->9005x5/tcp 0.0.0.0:40000->80x1/tcp",
                "0.0.0.0:9004->9004x1/tcp"
            )
        );
        assert_eq!(found.wishes.len(), 1);
        // A wish for any does not take what another names.
        let one = spec(&[("80/tcp", "", ""), ("80/tcp", "", "8080")]);
        let found = difference(&one, Unsaid::default(), TO, &[tcp(8080, 80, 1), tcp(40_000, 80, 1)]).unwrap();
        assert_eq!((found.wishes.len(), text(&found.removed).as_str()), (0, ""));
        let found = difference(&one, Unsaid::default(), TO, &[tcp(8080, 80, 1)]).unwrap();
        assert_eq!((found.wishes.len(), found.wishes[0].host), (1, None));
    }
}
