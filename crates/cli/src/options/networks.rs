//! `--network` and the flags that say more about it: the mode, and what is asked of each network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::network::{EndpointIpamConfig, EndpointSettings};

use crate::flags::Parsed;

/// One `--network`.
#[derive(Debug, Default)]
struct Attachment {
    target: String,
    settings: EndpointSettings,
}

/// The network mode, and what is asked of each network by name.
pub(crate) fn parse(line: &Parsed) -> Result<(String, BTreeMap<String, EndpointSettings>), String> {
    let mut given = line.list("network");
    given.extend(line.list("net"));
    let mut attachments = given.iter().map(|text| attachment(text)).collect::<Result<Vec<_>, _>>()?;
    let named = !attachments.is_empty();
    if !named {
        attachments.push(Attachment { target: "default".into(), ..Attachment::default() });
    }
    apply_flags(&mut attachments[0], line)?;
    let mode = attachments[0].target.clone();
    let alone = attachments.len() == 1;
    let user_defined = attachments.iter().filter(|one| is_user_defined(&one.target)).count();
    let mixed = user_defined > 0 && user_defined < attachments.len();
    let mut endpoints = BTreeMap::new();
    for Attachment { target, settings } in attachments {
        let settings = checked(&target, settings)?;
        if endpoints.contains_key(&target) {
            return Err(format!("network {target:?} is specified multiple times"));
        }
        if !(named && alone && settings == EndpointSettings::default()) {
            endpoints.insert(target, settings);
        }
    }
    if mixed {
        return Err(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes".into(),
        );
    }
    Ok((mode, endpoints))
}

/// Whether a value of `--network` can be read.
pub(crate) fn value(text: &str) -> Result<(), String> {
    attachment(text).map(drop)
}

/// A name, or `name=n,alias=a,ip=1.2.3.4`.
fn attachment(text: &str) -> Result<Attachment, String> {
    let mut found = Attachment::default();
    if !is_long(text) {
        text.clone_into(&mut found.target);
        return Ok(found);
    }
    let settings = &mut found.settings;
    for field in super::mounts::csv_fields(text)? {
        // Docker does so, also with names.
        let lower = field.to_lowercase();
        let Some((key, value)) = lower.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid field {field}"));
        };
        let value = value.trim();
        match key.trim() {
            "name" => value.clone_into(&mut found.target),
            "alias" => settings.aliases.push(value.to_owned()),
            "ip" => ipam(settings).ipv4_address = address(value)?,
            "ip6" => ipam(settings).ipv6_address = address(value)?,
            "link-local-ip" => {
                let address = address(value)?;
                ipam(settings).link_local_ips.push(address);
            }
            "mac-address" => value.clone_into(&mut settings.mac_address),
            "driver-opt" => {
                let option = value.split_once('=').filter(|(key, _)| !key.is_empty());
                let (key, value) = option.ok_or("invalid key value pair format in driver options")?;
                settings.driver_opts.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            "gw-priority" => {
                settings.gw_priority =
                    value.parse().map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?;
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    match found.target.is_empty() {
        true => Err("network name/id is not specified".into()),
        false => Ok(found),
    }
}

/// Whether there is a `key=value` in it.
fn is_long(text: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    text.as_bytes().windows(3).any(|three| word(three[0]) && three[1] == b'=' && word(three[2]))
}

fn ipam(settings: &mut EndpointSettings) -> &mut EndpointIpamConfig {
    settings.ipam_config.get_or_insert_default()
}

fn address(text: &str) -> Result<String, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("ParseAddr({text:?}): unable to parse IP"))?;
    Ok(address.to_string())
}

/// `--ip`, `--network-alias` and the like are about the first network.
fn apply_flags(first: &mut Attachment, line: &Parsed) -> Result<(), String> {
    let both = |flag: &str, field: &str| {
        Err(format!("conflicting options: cannot specify both {flag} and per-network {field}"))
    };
    let mut aliases = line.list("network-alias");
    aliases.extend(line.list("net-alias"));
    let (ipv4, ipv6) = (line.text("ip").trim(), line.text("ip6").trim());
    let (mac, local) = (line.text("mac-address"), line.list("link-local-ip"));
    let settings = &mut first.settings;
    let given = settings.ipam_config.clone().unwrap_or_default();
    match () {
        () if !settings.aliases.is_empty() && !aliases.is_empty() => return both("--network-alias", "alias"),
        () if !given.ipv4_address.is_empty() && !ipv4.is_empty() => return both("--ip", "IPv4 address"),
        () if !given.ipv6_address.is_empty() && !ipv6.is_empty() => return both("--ip6", "IPv6 address"),
        () if !settings.mac_address.is_empty() && !mac.is_empty() => {
            return both("--mac-address", "MAC address");
        }
        () if !given.link_local_ips.is_empty() && !local.is_empty() => {
            return both("--link-local-ip", "link-local IP addresses");
        }
        () => {}
    }
    if !aliases.is_empty() {
        settings.aliases = aliases;
    }
    if is_user_defined(&first.target) && !first.target.is_empty() {
        settings.links = line.list("link");
    }
    if !ipv4.is_empty() {
        ipam(settings).ipv4_address = address(ipv4)?;
    }
    if !ipv6.is_empty() {
        ipam(settings).ipv6_address = address(ipv6)?;
    }
    if !local.is_empty() {
        ipam(settings).link_local_ips = local;
    }
    if !mac.is_empty() {
        mac.clone_into(&mut settings.mac_address);
    }
    Ok(())
}

/// What Docker's client refuses by itself.
fn checked(target: &str, mut settings: EndpointSettings) -> Result<EndpointSettings, String> {
    if target.trim().is_empty() {
        return Err("no name set for network".into());
    }
    if !is_user_defined(target) && !settings.aliases.is_empty() {
        return Err("network-scoped aliases are only supported for user-defined networks".into());
    }
    if !settings.mac_address.is_empty() {
        let mac = settings.mac_address.trim();
        if !is_mac(mac) {
            return Err(format!("{} is not a valid mac address", settings.mac_address));
        }
        let mac = mac.to_ascii_lowercase().replace('-', ":");
        settings.mac_address = mac;
    }
    Ok(settings)
}

fn is_user_defined(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// 6, 8 or 20 bytes in hexadecimal, as `00:00:5e:00`, `00-00-5e-00` or `0000.5e00`.
fn is_mac(text: &str) -> bool {
    let (separator, digits) = match text.chars().find(|c| !c.is_ascii_hexdigit()) {
        Some('.') => ('.', 4),
        Some(other @ (':' | '-')) => (other, 2),
        _ => return false,
    };
    let groups: Vec<&str> = text.split(separator).collect();
    matches!(groups.len() * digits / 2, 6 | 8 | 20)
        && groups.iter().all(|group| group.len() == digits && group.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_forms_are_read() {
        let read = attachment("name=Net,alias=a,alias=b,ip=10.0.0.9,mac-address=02:00:00:00:00:01").unwrap();
        assert_eq!((read.target.as_str(), read.settings.aliases.len()), ("net", 2));
        assert_eq!(read.settings.ipam_config.unwrap().ipv4_address, "10.0.0.9");
        assert_eq!(read.settings.mac_address, "02:00:00:00:00:01");
        for (text, said) in [
            ("alias=a", "network name/id is not specified"),
            ("name=a,ip=x", "ParseAddr(\"x\"): unable to parse IP"),
            ("name=a,foo=b", "invalid field key foo"),
            ("name=a,foo", "invalid field foo"),
            ("name=a,gw-priority=x", "invalid gw-priority (x): invalid syntax"),
            ("name=a,driver-opt=x", "invalid key value pair format in driver options"),
        ] {
            assert_eq!(attachment(text).unwrap_err(), said, "{text}");
        }
        assert_eq!(attachment("name=").unwrap().target, "name=");
    }

    #[test]
    fn hardware_addresses_are_checked() {
        let with = |mac: &str| EndpointSettings { mac_address: mac.into(), ..EndpointSettings::default() };
        assert_eq!(checked("bridge", with("02-42-AC-11-00-0f")).unwrap().mac_address, "02:42:ac:11:00:0f");
        assert_eq!(checked("bridge", with("bad")).unwrap_err(), "bad is not a valid mac address");
    }

    #[test]
    fn hardware_addresses_have_three_lengths() {
        for good in ["92:d0:c6:0a:29:33", "92-D0-C6-0A-29-33", "92d0.c60a.2933", "02:00:5e:10:00:00:00:01"] {
            assert!(is_mac(good), "{good}");
        }
        for bad in ["bogus", "92:d0:c6:0a:29", "92:d0:c6:0a:29:3", "92d0c60a2933", "92:d0-c6:0a:29:33"] {
            assert!(!is_mac(bad), "{bad}");
        }
    }
}
