//! Options of the bridge driver (`-o`), and what the fabric makes of a network.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{CreateRequest, Pool};
use crate::error::{Error, Result};
use crate::ports::BridgeNetwork;

pub(super) const NAME: &str = "com.docker.network.bridge.name";
pub(super) const ICC: &str = "com.docker.network.bridge.enable_icc";
pub(super) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";
const MODE_IPV4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE_IPV6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
const MTU: &str = "com.docker.network.driver.mtu";
const ENABLE_IPV4: &str = "com.docker.network.enable_ipv4";
const ENABLE_IPV6: &str = "com.docker.network.enable_ipv6";
/// The key in `--aux-address` that names another gateway than the bridge.
const DEFAULT_GATEWAY: &str = "DefaultGatewayIPv4";
/// `IFNAMSIZ`, with the zero.
const IFNAME_MAX: usize = 15;

/// A checked request as a bridge; pools are known to be right.
pub(super) fn bridge(id: &str, request: &CreateRequest) -> Result<BridgeNetwork> {
    let options = &request.options;
    let flag = |key: &str, default: bool| match options.get(key).map(String::as_str) {
        None => Ok(default),
        Some(text) => boolean(text).ok_or_else(|| {
            Error::invalid(format!("invalid value for {key}: {text}: strconv.ParseBool: invalid syntax"))
        }),
    };
    refuse(options)?;
    let bridge = match options.get(NAME).map(String::as_str) {
        None | Some("") => format!("br-{}", &id[..12]),
        Some(name) if name.len() > IFNAME_MAX || name.contains(['/', ' ']) => {
            return Err(Error::invalid(format!("invalid interface name: {name}")));
        }
        Some(name) => name.to_owned(),
    };
    let mtu = options.get(MTU).map(|text| match text.parse::<u32>() {
        Ok(mtu) if mtu == 0 || (68..=65_535).contains(&mtu) => Ok(Some(mtu).filter(|mtu| *mtu > 0)),
        _ => Err(Error::invalid(format!("failed to parse MTU {text:?}: not between 68 and 65535"))),
    });
    let mode = options.get(MODE_IPV4).map_or("nat", String::as_str);
    let (subnet, range, gateway, auxiliary) = match request.pools.first() {
        Some(pool) => addresses(pool)?,
        None => Default::default(),
    };
    Ok(BridgeNetwork {
        id: id.to_owned(),
        bridge,
        subnet,
        range,
        gateway,
        default_gateway: auxiliary.iter().find(|(name, _)| name == DEFAULT_GATEWAY).map(|(_, ip)| *ip),
        auxiliary: auxiliary.into_iter().map(|(_, ip)| ip).collect(),
        internal: request.internal,
        inter_container: flag(ICC, true)?,
        masquerade: flag(MASQUERADE, true)? && mode != "routed",
        bare: flag(INHIBIT, false)?,
        mtu: mtu.transpose()?.flatten(),
    })
}

/// What is not built, by name.
fn refuse(options: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in options {
        let known = match key.as_str() {
            NAME | ICC | MASQUERADE | INHIBIT | MTU | ENABLE_IPV4 | ENABLE_IPV6 => true,
            BINDING => value.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_unspecified()),
            MODE_IPV4 => match value.as_str() {
                "" | "nat" => true,
                "nat-unprotected" | "routed" | "isolated" => false,
                _ => return Err(Error::invalid(format!("unknown gateway mode {value}"))),
            },
            // Without IPv6 it says nothing.
            MODE_IPV6 => true,
            TRUSTED | PREFIX => value.is_empty(),
            // As Docker, which lets drivers' unknown options pass.
            _ => !key.starts_with("com.docker.network."),
        };
        if !known {
            return Err(Error::unsupported(format!("the network option {key}={value} is not built yet")));
        }
    }
    Ok(())
}

type Addresses = (Option<Ipv4Net>, Option<Ipv4Net>, Option<Ipv4Addr>, Vec<(String, Ipv4Addr)>);

fn addresses(pool: &Pool) -> Result<Addresses> {
    fn read<T: std::str::FromStr>(text: &str) -> Result<Option<T>> {
        let bad = |_| Error::invalid(format!("invalid network config:\ninvalid address {text}"));
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(bad) }
    }
    let mut auxiliary = Vec::new();
    for (name, text) in &pool.auxiliary {
        auxiliary.extend(read::<Ipv4Addr>(text)?.map(|ip| (name.clone(), ip)));
    }
    Ok((read(&pool.subnet)?, read(&pool.range)?, read(&pool.gateway)?, auxiliary))
}

/// Go's.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `--ipv6` as an option of the driver.
pub(super) fn wants_ipv6(request: &CreateRequest) -> bool {
    request.ipv6 == Some(true)
        || request.options.get(ENABLE_IPV6).is_some_and(|text| boolean(text) == Some(true))
}

/// `--ipv4=false`, likewise.
pub(super) fn refuses_ipv4(request: &CreateRequest) -> bool {
    request.ipv4 == Some(false)
        || request.options.get(ENABLE_IPV4).is_some_and(|text| boolean(text) == Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(options: &[(&str, &str)]) -> Result<BridgeNetwork> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        bridge(&"0123456789abcdef".repeat(4), &CreateRequest { options, ..CreateRequest::default() })
    }

    #[test]
    fn options_are_honoured_or_refused_by_name() {
        let plain = with(&[]).unwrap();
        assert_eq!(
            (plain.bridge.as_str(), plain.inter_container, plain.mtu),
            ("br-0123456789ab", true, None)
        );
        let said =
            with(&[(NAME, "br7"), (ICC, "false"), (MASQUERADE, "0"), (MTU, "1400"), ("mine", "x")]).unwrap();
        assert_eq!((said.bridge.as_str(), said.inter_container, said.masquerade), ("br7", false, false));
        assert_eq!(said.mtu, Some(1400));
        for (option, text) in [
            ((ICC, "maybe"), "invalid value for com.docker.network.bridge.enable_icc: maybe"),
            ((MTU, "1"), "failed to parse MTU \"1\""),
            ((MODE_IPV4, "odd"), "unknown gateway mode odd"),
            (
                (MODE_IPV4, "routed"),
                "the network option com.docker.network.bridge.gateway_mode_ipv4=routed is not",
            ),
            ((NAME, "a-name-that-is-too-long"), "invalid interface name"),
            (
                ("com.docker.network.other", "1"),
                "the network option com.docker.network.other=1 is not built yet",
            ),
        ] {
            let error = with(&[option]).unwrap_err();
            assert!(error.message.starts_with(text), "{error}");
        }
    }
}
