//! What a value has to be beyond its shape, in the words that Docker's parser has for it: the same for a flag and for
//! the file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use net::{IpNet, Ipv6Net};

use super::Config;
use super::options::{Kind, Option_};

/// Names that are Docker's own.
const RESERVED: [&str; 3] = ["com.docker.", "io.docker.", "org.dockerproject."];
const DOMAIN_BYTES_MAX: usize = 254;

/// One text of an option.
pub(super) fn check(option: &Option_, text: &str) -> Result<(), String> {
    match (option.kind, option.name()) {
        (Kind::Address, _) => address(text),
        (Kind::Addresses, _) => match text.parse::<IpAddr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("ParseAddr({text:?}): unable to parse IP")),
        },
        (_, "dns-search") => domain(text),
        (_, "label") => label(text),
        _ => Ok(()),
    }
}

/// An empty one is none.
fn address(text: &str) -> Result<(), String> {
    match text.trim() {
        "" => Ok(()),
        trimmed => trimmed.parse::<IpAddr>().map(drop).map_err(|_| format!("failed to parse IP: {text:?}")),
    }
}

/// `.` stands for none at all.
fn domain(text: &str) -> Result<(), String> {
    let text = text.trim();
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_domain = name.contains(|c: char| c.is_ascii_alphabetic())
        && name.len() <= DOMAIN_BYTES_MAX
        && name.split('.').all(label);
    match text == "." || is_domain {
        true => Ok(()),
        false => Err(format!("{text} is not a valid domain")),
    }
}

fn label(text: &str) -> Result<(), String> {
    let lower = text.to_lowercase();
    if RESERVED.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(format!(
            "label {text} is not allowed: the namespaces com.docker.*, io.docker.*, and org.dockerproject.* are \
             reserved for internal use"
        ));
    }
    match text.contains('=') {
        true => Ok(()),
        false => Err(format!("bad attribute format: {text}")),
    }
}

impl Config {
    /// Each key once.
    ///
    /// # Errors
    /// A key with two values.
    pub(crate) fn labels(&self) -> Result<Vec<String>, String> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let labels = self.list("label");
        for (key, value) in labels.iter().filter_map(|label| label.split_once('=')) {
            if let Some(other) = all.insert(key.to_owned(), value.to_owned()).filter(|other| other != value) {
                return Err(format!("conflict labels for {key}={value} and {key}={other}"));
            }
        }
        Ok(all.into_iter().map(|(key, value)| format!("{key}={value}")).collect())
    }

    /// What `host-gateway` in `--add-host` stands for: at most one address of each version.
    ///
    /// # Errors
    /// Two of one.
    pub(crate) fn host_gateways(&self) -> Result<Vec<IpAddr>, String> {
        let all: Vec<IpAddr> =
            self.list("host-gateway-ip").iter().filter_map(|text| text.parse().ok()).collect();
        for (ipv4, name) in [(true, "IPv4"), (false, "IPv6")] {
            if all.iter().filter(|address| address.is_ipv4() == ipv4).count() > 1 {
                return Err(format!("only one {name} host gateway IP address can be specified"));
            }
        }
        Ok(all)
    }

    /// Options that are about IPv6 of the default network, which has none.
    pub(crate) fn without_ipv6(&self) -> Vec<&'static str> {
        let of_ipv6 = ["bip6", "fixed-cidr-v6", "default-gateway-v6"].into_iter();
        match self.flag("ipv6", false) {
            true => Vec::new(),
            false => of_ipv6.filter(|name| self.text(name).is_some()).collect(),
        }
    }

    /// What the values of the default network say together.
    pub(super) fn check_default_network(&self) -> Result<(), String> {
        if self.number("mtu").is_some_and(|mtu| mtu < 0) {
            return Err(format!("invalid default MTU: {}", self.number("mtu").unwrap_or_default()));
        }
        if !self.flag("icc", true) {
            for (rules, is_needed) in [("iptables", true), ("ip6tables", self.flag("ipv6", false))] {
                if is_needed && !self.flag(rules, true) {
                    return Err(format!(
                        "You specified --{rules}=false with --icc=false. ICC=false uses {rules} to function. Please \
                         set --icc or --{rules} to true"
                    ));
                }
            }
        }
        // Docker refuses any bridge beside an address; Wharf gives it to the bridge that it makes.
        for flag in ["bip", "bip6"] {
            if self.text("bridge") == Some("none") && self.text(flag).is_some() {
                return Err(format!(
                    "You specified -b & --{flag}, mutually exclusive options. Please specify only one"
                ));
            }
        }
        if let Some(text) = self.text("fixed-cidr-v6") {
            ipv6_subnet(text).map_err(|why| format!("invalid fixed-cidr-v6: {why}"))?;
        }
        match self.text("firewall-backend") {
            None | Some("nftables") => {}
            Some("iptables") => {
                return Err("firewall-backend iptables: Wharf's rules are nftables, which go together with those that \
                            others make with iptables; leave it out"
                    .into());
            }
            Some(_) => {
                return Err(
                    "invalid firewall-backend: allowed values are \"iptables\" and \"nftables\"".into()
                );
            }
        }
        self.host_gateways()?;
        self.labels()?;
        Ok(())
    }
}

fn ipv6_subnet(text: &str) -> Result<(), String> {
    let subnet: IpNet = text.parse().map_err(|_| format!("{text:?} is not a subnet"))?;
    let IpNet::V6(subnet) = subnet else { return Err(format!("'{subnet}' is not a valid IPv6 subnet")) };
    let link_local: Ipv6Net = "fe80::/64".parse().map_err(|_| String::new())?;
    if subnet.addr().is_multicast() {
        return Err(format!("multicast subnet '{subnet}' is not allowed"));
    }
    // Docker lets that very prefix pass: the bridge has an address of it anyway. Containers would get none that leads out.
    match subnet.contains(&link_local) || link_local.contains(&subnet) {
        true => Err(format!("'{subnet}' clashes with the Link-Local prefix 'fe80::/64'")),
        false => Ok(()),
    }
}
