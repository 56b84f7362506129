//! Options of the bridge driver (`-o`), and what the fabric makes of a network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use super::{CreateRequest, Pool};
use crate::error::{Error, Result};
use crate::ports::{BridgeNetwork, GatewayMode, Ipv6Network};

pub(super) const NAME: &str = "com.docker.network.bridge.name";
pub(super) const ICC: &str = "com.docker.network.bridge.enable_icc";
pub(super) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";
const MODE_IPV4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE_IPV6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
pub(super) const MTU: &str = "com.docker.network.driver.mtu";
pub(super) const ENABLE_IPV4: &str = "com.docker.network.enable_ipv4";
pub(super) const ENABLE_IPV6: &str = "com.docker.network.enable_ipv6";
/// The key in `--aux-address` that names another gateway than the bridge.
pub(super) const DEFAULT_GATEWAY: &str = "DefaultGatewayIPv4";
pub(super) const DEFAULT_GATEWAY6: &str = "DefaultGatewayIPv6";
/// `IFNAMSIZ`, without the zero.
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
    let mtu = mtu(options)?;
    let pool = |ipv6: bool| request.pools.iter().find(|pool| pool.is_ipv6() == ipv6);
    let without_ipv4 = refuses_ipv4(request);
    let ipv4 = addresses(pool(false).filter(|_| !without_ipv4), DEFAULT_GATEWAY)?;
    let ipv6 = wants_ipv6(request).then(|| {
        let said = addresses(pool(true), DEFAULT_GATEWAY6)?;
        Ok::<_, Error>(Ipv6Network {
            subnet: said.subnet,
            range: said.range,
            gateway: said.gateway,
            default_gateway: said.default_gateway,
            auxiliary: said.auxiliary,
            mode: mode(request, MODE_IPV6)?,
        })
    });
    Ok(BridgeNetwork {
        id: id.to_owned(),
        bridge,
        without_ipv4,
        subnet: ipv4.subnet,
        range: ipv4.range,
        gateway: ipv4.gateway,
        default_gateway: ipv4.default_gateway,
        auxiliary: ipv4.auxiliary,
        mode: mode(request, MODE_IPV4)?,
        ipv6: ipv6.transpose()?,
        internal: request.internal,
        inter_container: flag(ICC, true)?,
        masquerade: flag(MASQUERADE, true)?,
        bare: flag(INHIBIT, false)?,
        mtu,
        trusted: trusted(options)?,
        binding: binding(options)?,
        interface_prefix: prefix(options)?,
        over: None,
    })
}

/// At which of the host's addresses a port is published that names none.
fn binding(options: &BTreeMap<String, String>) -> Result<Option<IpAddr>> {
    let read = |text: &String| {
        text.parse().map_err(|_| Error::invalid(format!("failed to parse {BINDING} value: {text} (nil ip)")))
    };
    options.get(BINDING).map(read).transpose()
}

/// Interfaces of the host's: `eth1:tun0`. One that is not there yet may come.
fn trusted(options: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let text = options.get(TRUSTED).map_or("", String::as_str);
    let names = text.split(':').filter(|name| !name.is_empty()).map(|name| match is_interface(name) {
        true => Ok(name.to_owned()),
        false => {
            Err(Error::invalid(format!("failed to parse {TRUSTED} value: {text} (no interface: {name:?})")))
        }
    });
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// What stands before the numbers of containers' interfaces.
fn prefix(options: &BTreeMap<String, String>) -> Result<Option<String>> {
    let Some(prefix) = options.get(PREFIX).filter(|prefix| !prefix.is_empty()) else { return Ok(None) };
    // With the number it is still one.
    if is_interface(prefix) && prefix.len() < IFNAME_MAX - 2 && !prefix.starts_with('.') {
        return Ok(Some(prefix.clone()));
    }
    Err(Error::invalid(format!(
        "invalid {PREFIX} {prefix:?}: at most {} characters, no '/', ':' or space",
        IFNAME_MAX - 3
    )))
}

fn is_interface(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= IFNAME_MAX
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
}

pub(super) fn mtu(options: &BTreeMap<String, String>) -> Result<Option<u32>> {
    let Some(text) = options.get(MTU) else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(mtu) if mtu == 0 || (68..=65_535).contains(&mtu) => Ok(Some(mtu).filter(|mtu| *mtu > 0)),
        _ => Err(Error::invalid(format!("failed to parse MTU {text:?}: not between 68 and 65535"))),
    }
}

/// What is not built, by name.
fn refuse(options: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in options {
        let known = match key.as_str() {
            NAME | ICC | MASQUERADE | INHIBIT | MTU | ENABLE_IPV4 | ENABLE_IPV6 => true,
            BINDING | MODE_IPV4 | MODE_IPV6 | TRUSTED | PREFIX => true,
            // As Docker, which lets drivers' unknown options pass.
            _ => !key.starts_with("com.docker.network."),
        };
        if !known {
            return Err(Error::unsupported(format!("the network option {key}={value} is not built yet")));
        }
    }
    Ok(())
}

/// What the addresses of one version are to others.
fn mode(request: &CreateRequest, key: &str) -> Result<GatewayMode> {
    let mode = match request.options.get(key).map_or("", String::as_str) {
        "" | "nat" => GatewayMode::Nat,
        "nat-unprotected" => GatewayMode::NatUnprotected,
        "routed" => GatewayMode::Routed,
        "isolated" => GatewayMode::Isolated,
        other => return Err(Error::invalid(format!("unknown gateway mode {other}"))),
    };
    if mode == GatewayMode::Isolated && !request.internal {
        return Err(Error::invalid(format!(
            "gateway mode 'isolated' can only be used for an internal network ({key})"
        )));
    }
    Ok(mode)
}

/// What a pool says, of one version.
pub(super) struct Said<N, A> {
    pub(super) subnet: Option<N>,
    pub(super) range: Option<N>,
    pub(super) gateway: Option<A>,
    default_gateway: Option<A>,
    pub(super) auxiliary: Vec<A>,
}

pub(super) fn addresses<N: FromStr, A: FromStr + Copy>(
    pool: Option<&Pool>,
    default_gateway: &str,
) -> Result<Said<N, A>> {
    fn read<T: FromStr>(text: &str) -> Result<Option<T>> {
        let bad = |_| Error::invalid(format!("invalid network config:\ninvalid address {text}"));
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(bad) }
    }
    let nothing = Pool::default();
    let pool = pool.unwrap_or(&nothing);
    let mut said = Said {
        subnet: read(&pool.subnet)?,
        range: read(&pool.range)?,
        gateway: read(&pool.gateway)?,
        default_gateway: None,
        auxiliary: Vec::new(),
    };
    for (name, text) in &pool.auxiliary {
        let address = read::<A>(text)?;
        if name == default_gateway {
            said.default_gateway = address;
        }
        said.auxiliary.extend(address);
    }
    Ok(said)
}

/// Go's.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Which versions of IP a network has, `--ipv4` and `--ipv6`, may be said as options of the driver as well. A flag counts
/// more, and then the option is not shown.
pub(super) fn versions(mut request: CreateRequest) -> Result<CreateRequest> {
    for (key, said) in [(ENABLE_IPV4, &mut request.ipv4), (ENABLE_IPV6, &mut request.ipv6)] {
        if said.is_some() {
            request.options.remove(key);
            continue;
        }
        let read = |text: &String| {
            boolean(text).ok_or_else(|| Error::invalid(format!("driver-opt {key:?} is not a valid bool")))
        };
        *said = request.options.get(key).map(read).transpose()?;
    }
    Ok(request)
}

pub(super) fn wants_ipv6(request: &CreateRequest) -> bool {
    request.ipv6 == Some(true)
}

pub(super) fn refuses_ipv4(request: &CreateRequest) -> bool {
    request.ipv4 == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(options: &[(&str, &str)]) -> Result<BridgeNetwork> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        bridge(&"0123456789abcdef".repeat(4), &CreateRequest { options, ..CreateRequest::default() })
    }

    #[test]
    fn versions_of_ip_are_said_by_flag_or_option() {
        let of = |ipv6: Option<bool>, option: &str| {
            let options = [(ENABLE_IPV6.to_owned(), option.to_owned())].into();
            versions(CreateRequest { ipv6, options, ..CreateRequest::default() })
        };
        assert!(wants_ipv6(&of(None, "1").unwrap()));
        let said = of(Some(false), "true").unwrap();
        assert!(!wants_ipv6(&said) && said.options.is_empty());
        let error = of(None, "x").unwrap_err();
        assert_eq!(error.message, "driver-opt \"com.docker.network.enable_ipv6\" is not a valid bool");
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
        assert_eq!((plain.binding, plain.trusted.len(), plain.interface_prefix), (None, 0, None));
        let said = with(&[(BINDING, "127.0.0.1"), (TRUSTED, "tun0:eth1:tun0"), (PREFIX, "net")]).unwrap();
        assert_eq!(
            (said.binding, said.trusted),
            ("127.0.0.1".parse().ok(), vec!["eth1".into(), "tun0".into()])
        );
        assert_eq!(said.interface_prefix.as_deref(), Some("net"));
        for (option, text) in [
            ((ICC, "maybe"), "invalid value for com.docker.network.bridge.enable_icc: maybe"),
            ((MTU, "1"), "failed to parse MTU \"1\""),
            ((MODE_IPV4, "odd"), "unknown gateway mode odd"),
            ((MODE_IPV4, "isolated"), "gateway mode 'isolated' can only be used for an internal network"),
            ((NAME, "a-name-that-is-too-long"), "invalid interface name"),
            (
                (BINDING, "here"),
                "failed to parse com.docker.network.bridge.host_binding_ipv4 value: here (nil ip)",
            ),
            (
                (TRUSTED, "eth0:a b"),
                "failed to parse com.docker.network.bridge.trusted_host_interfaces value: eth0",
            ),
            ((PREFIX, "a/b"), "invalid com.docker.network.container_iface_prefix \"a/b\""),
            ((PREFIX, "0123456789abc"), "invalid com.docker.network.container_iface_prefix"),
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
