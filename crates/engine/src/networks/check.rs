//! What is wrong with a request for a network, in Docker's words; and what is not built yet, refused by name.

use std::net::IpAddr;

use ipnet::IpNet;

use super::options::{refuses_ipv4, wants_ipv6};
use super::{CreateRequest, Pool, config_only};
use crate::error::{Error, Result};

pub(super) const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];

pub(super) fn check(request: &CreateRequest) -> Result<()> {
    let name = &request.name;
    if name.trim().is_empty() {
        return Err(Error::invalid("invalid network name: name is empty"));
    }
    // `default` is another word for the default bridge.
    if PREDEFINED.contains(&name.as_str()) || name == "default" {
        return Err(Error::forbidden(format!("operation is not permitted on predefined {name} network")));
    }
    if name.starts_with("container:") || name.contains('/') {
        return Err(Error::invalid(format!("invalid network name: {name}")));
    }
    match request.driver.as_str() {
        "" | "bridge" | "macvlan" | "ipvlan" => {}
        driver @ ("host" | "null") => {
            let text = format!("only one instance of \"{driver}\" network is allowed");
            return Err(Error::forbidden(text));
        }
        "overlay" => {
            return Err(Error::no_swarm_manager());
        }
        driver => {
            let text = format!(
                "could not find plugin {driver} in v1 plugin registry: plugin \"{driver}\" not found"
            );
            return Err(Error::not_found(text));
        }
    }
    match () {
        () if request.ingress => {
            Err(Error::unsupported("an ingress network needs Swarm, which is not part of Wharf"))
        }
        () if !matches!(request.scope.as_str(), "" | "local") => {
            Err(Error::unsupported("networks of a Swarm are not part of Wharf"))
        }
        () if !matches!(request.ipam_driver.as_str(), "" | "default") => {
            let driver = &request.ipam_driver;
            Err(Error::not_found(format!(
                "could not find plugin {driver} in v1 plugin registry: plugin \"{driver}\" not found"
            )))
        }
        () => config_only::check(request),
    }
}

/// The same of what may have come from another network's configuration.
pub(super) fn check_configuration(request: &CreateRequest) -> Result<()> {
    match () {
        () if refuses_ipv4(request) && !wants_ipv6(request) => {
            Err(Error::invalid("IPv4 or IPv6 must be enabled"))
        }
        () if [false, true]
            .iter()
            .any(|ipv6| request.pools.iter().filter(|p| p.is_ipv6() == *ipv6).count() > 1) =>
        {
            match request.driver.as_str() {
                "" | "bridge" => Err(Error::invalid("bridge driver doesn't support multiple subnets")),
                driver => Err(Error::unsupported(format!(
                    "several subnets of one version of IP on a network of driver {driver} are not built yet"
                ))),
            }
        }
        () => pools(request),
    }
}

fn pools(request: &CreateRequest) -> Result<()> {
    let mut wrong = Vec::new();
    // As Docker: what is said of a version that the network does not have is not looked at.
    let is_had = |pool: &&Pool| if pool.is_ipv6() { wants_ipv6(request) } else { !refuses_ipv4(request) };
    for pool in request.pools.iter().filter(is_had) {
        if pool.subnet.is_empty() {
            if !pool.range.is_empty() || !pool.gateway.is_empty() || !pool.auxiliary.is_empty() {
                wrong.push("every ip-range or gateway must have a corresponding subnet".to_owned());
            }
            continue;
        }
        match pool.subnet.parse::<IpNet>() {
            Err(_) => wrong.push(format!("invalid subnet {}: invalid CIDR block notation", pool.subnet)),
            Ok(subnet) => within(pool, subnet, &mut wrong),
        }
    }
    if wrong.is_empty() {
        return request.pools.iter().filter(is_had).try_for_each(distinct);
    }
    let wrong = match &wrong[..] {
        [one] => one.clone(),
        several => format!("* {}", several.join("\n* ")),
    };
    Err(Error::invalid(format!("invalid network config:\n{wrong}")))
}

/// Nobody gets the addresses that a subnet has for itself, and no two the same.
fn distinct(pool: &Pool) -> Result<()> {
    let Ok(subnet) = pool.subnet.parse::<IpNet>() else { return Ok(()) };
    let mut taken = nobodys(subnet);
    let mut take = |text: &str| {
        let address = text.parse::<IpAddr>().ok().filter(|address| subnet.contains(address));
        let is_free = address.is_none_or(|address| !taken.contains(&address));
        taken.extend(address);
        is_free
    };
    if !take(&pool.gateway) {
        let text = format!("failed to allocate gateway ({}): Address already in use", pool.gateway);
        return Err(Error::forbidden(text));
    }
    match pool.auxiliary.iter().find(|(_, text)| !take(text)) {
        Some((name, text)) => Err(Error::internal(format!(
            "failed to allocate secondary ip address ({name}:{text}): Address already in use"
        ))),
        None => Ok(()),
    }
}

/// The addresses that a subnet has for itself.
pub(super) fn nobodys(subnet: IpNet) -> Vec<IpAddr> {
    match subnet {
        // Two hosts, and nothing else (RFC 3021).
        IpNet::V4(subnet) if subnet.prefix_len() == 31 => Vec::new(),
        IpNet::V4(_) => vec![subnet.network(), subnet.broadcast()],
        IpNet::V6(_) => vec![subnet.network()],
    }
}

fn within(pool: &Pool, subnet: IpNet, wrong: &mut Vec<String>) {
    if subnet.trunc() != subnet {
        wrong.push(format!("invalid subnet {subnet}: it should be {}", subnet.trunc()));
    }
    let (least, most, version) = match subnet {
        IpNet::V4(_) => (8, 31, "IPv4"),
        IpNet::V6(_) => (1, 126, "IPv6"),
    };
    if subnet.addr().is_ipv6() && subnet.addr().is_multicast() {
        wrong.push(format!("invalid subnet {subnet}: multicast subnet '{subnet}' is not allowed"));
    }
    let says_more = !pool.range.is_empty() || !pool.gateway.is_empty() || !pool.auxiliary.is_empty();
    if subnet.addr().is_unspecified() && says_more {
        return wrong.push(format!(
            "invalid subnet {subnet}: it is any of that size, in which no ip-range, gateway or auxiliary address can be named"
        ));
    }
    let is_of_another = |address: IpAddr| address.is_ipv4() != subnet.addr().is_ipv4();
    if !(least..=most).contains(&subnet.prefix_len()) {
        wrong.push(format!("invalid subnet {subnet}: the prefix must be between {least} and {most}"));
    }
    if !pool.range.is_empty() {
        match pool.range.parse::<IpNet>() {
            Err(_) => wrong.push(format!("invalid ip-range {}: invalid CIDR block notation", pool.range)),
            Ok(range) if is_of_another(range.addr()) => {
                wrong.push(format!("invalid ip-range {range}: parent subnet is an {version} block"));
            }
            Ok(range) => {
                let of = |what: &str| format!("invalid ip-range {range}: {what}");
                if range.prefix_len() < subnet.prefix_len() {
                    wrong.push(of(&format!("CIDR block is bigger than its parent subnet {subnet}")));
                }
                if range.trunc() != range {
                    wrong.push(of(&format!("it should be {}", range.trunc())));
                }
                if !subnet.contains(&range) && !range.contains(&subnet) {
                    wrong.push(of(&format!("parent subnet {subnet} doesn't contain ip-range")));
                }
            }
        }
    }
    let mut address = |what: String, text: &str| match text.parse::<IpAddr>() {
        _ if text.is_empty() => {}
        Err(_) => wrong.push(format!("{what}: invalid address")),
        Ok(ip) if is_of_another(ip) => wrong.push(format!("{what}: parent subnet is an {version} block")),
        // A router's address of the link is heard on every subnet.
        Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => {}
        Ok(ip) if !subnet.contains(&ip) => {
            wrong.push(format!("{what}: parent subnet {subnet} doesn't contain this address"));
        }
        Ok(_) => {}
    };
    address(format!("invalid gateway {}", pool.gateway), &pool.gateway);
    for (name, text) in &pool.auxiliary {
        address(format!("invalid auxiliary address {name}"), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn said(change: impl FnOnce(&mut CreateRequest)) -> (Class, String) {
        let mut request = CreateRequest { name: "n".into(), ..CreateRequest::default() };
        change(&mut request);
        let error = check(&request).and_then(|()| check_configuration(&request)).unwrap_err();
        (error.class, error.message)
    }

    fn pool(subnet: &str, range: &str, gateway: &str) -> Vec<Pool> {
        let (subnet, range, gateway) = (subnet.to_owned(), range.to_owned(), gateway.to_owned());
        vec![Pool { subnet, range, gateway, ..Pool::default() }]
    }

    #[test]
    fn refusals_are_docker_s() {
        assert_eq!(
            said(|r| r.name = "host".into()),
            (Class::Forbidden, "operation is not permitted on predefined host network".into())
        );
        assert_eq!(
            said(|r| r.driver = "null".into()),
            (Class::Forbidden, "only one instance of \"null\" network is allowed".into())
        );
        assert_eq!(said(|r| r.driver = "nope".into()).0, Class::NotFound);
        assert_eq!(said(|r| r.ipv4 = Some(false)).1, "IPv4 or IPv6 must be enabled");
        let six = |subnet, range, gateway| {
            let refused = said(|r| (r.ipv6, r.pools) = (Some(true), pool(subnet, range, gateway))).1;
            refused.trim_start_matches("invalid network config:\n").to_owned()
        };
        assert_eq!(six("fd00::1/64", "", ""), "invalid subnet fd00::1/64: it should be fd00::/64");
        assert_eq!(
            six("fd00::/64", "10.0.0.0/24", ""),
            "invalid ip-range 10.0.0.0/24: parent subnet is an IPv6 block"
        );
        assert_eq!(
            six("fd00::/64", "", "fd01::1"),
            "invalid gateway fd01::1: parent subnet fd00::/64 doesn't contain this address"
        );
        assert_eq!(
            six("fd00::/127", "", ""),
            "invalid subnet fd00::/127: the prefix must be between 1 and 126"
        );
        assert_eq!(
            six("ff02::/64", "", ""),
            "invalid subnet ff02::/64: multicast subnet 'ff02::/64' is not allowed"
        );
        for (pools, text) in [
            (
                pool("0.0.0.0/28", "", "0.0.0.1"),
                "invalid subnet 0.0.0.0/28: it is any of that size, in which no ip-range, gateway or auxiliary address can be named",
            ),
            (pool("10.0.0.0", "", ""), "invalid subnet 10.0.0.0: invalid CIDR block notation"),
            (pool("10.0.0.1/24", "", ""), "invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24"),
            (
                pool("10.0.0.0/24", "10.0.0.0/16", ""),
                "invalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24",
            ),
            (
                pool("10.0.0.0/24", "10.0.1.0/25", ""),
                "invalid ip-range 10.0.1.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range",
            ),
            (
                pool("10.0.0.0/24", "", "10.0.1.1"),
                "invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address",
            ),
        ] {
            assert_eq!(said(|r| r.pools = pools).1, format!("invalid network config:\n{text}"));
        }
        for gateway in ["10.0.0.0", "10.0.0.255"] {
            let text = format!("failed to allocate gateway ({gateway}): Address already in use");
            assert_eq!(said(|r| r.pools = pool("10.0.0.0/24", "", gateway)), (Class::Forbidden, text));
        }
        for (gateway, auxiliary) in [("10.0.0.1", "a=10.0.0.1"), ("", "b=10.0.0.3 a=10.0.0.3")] {
            let mut pools = pool("10.0.0.0/24", "", gateway);
            let named = |word: &str| word.split_once('=').map(|(name, ip)| (name.to_owned(), ip.to_owned()));
            pools[0].auxiliary = auxiliary.split(' ').filter_map(named).collect();
            let (class, text) = said(|r| r.pools = pools);
            let is_told = text.starts_with("failed to allocate secondary ip address (")
                && text.ends_with("): Address already in use");
            assert!(class == Class::Internal && is_told, "{text}");
        }
        let two = said(|r| r.pools = pool("10.0.0.1/24", "", "10.0.1.1")).1;
        assert!(two.starts_with("invalid network config:\n* invalid subnet 10.0.0.1/24"), "{two}");
    }
}
