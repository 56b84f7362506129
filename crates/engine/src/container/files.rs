//! The three files every container gets bound over its own: hosts, hostname, resolv.conf.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::NetworkMode;
use super::links::Linked;
use super::oci_spec::Joined;
use super::resolv_conf::{self, Whom};
use crate::error::{Error, Result};
use crate::networks::names;
use crate::ports::Endpoint;
use crate::records::Record;
use crate::settings::Settings;

/// Where they are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) hosts: PathBuf,
    pub(crate) hostname: PathBuf,
    pub(crate) resolv_conf: PathBuf,
}

const LOCAL: &str = "127.0.0.1\tlocalhost\n";
const LOCAL_IPV6: &str = "::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
                          ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
/// With these set to 1, loopback has no IPv6.
const IPV6_SWITCHES: [&str; 2] = ["net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.lo.disable_ipv6"];

pub(crate) fn write(
    settings: &Settings,
    record: &Record,
    directory: &Path,
    joined: &Joined,
    gateways: &[IpAddr],
    linked: &[Linked],
) -> Result<Files> {
    // Who shares a network shares its names.
    if let Some(other) = &joined.network {
        return Ok(Files {
            hosts: other.hosts_path.clone(),
            hostname: other.hostname_path.clone(),
            resolv_conf: other.resolv_conf_path.clone(),
        });
    }
    let files = Files {
        hosts: directory.join("hosts"),
        hostname: directory.join("hostname"),
        resolv_conf: directory.join("resolv.conf"),
    };
    // In place: a running container has them bound by inode.
    let put = |path: &Path, text: &str| {
        std::fs::write(path, text)
            .map_err(|error| Error::internal(format!("write {}: {error}", path.display())))
    };
    put(&files.hostname, &format!("{}\n", record.spec.hostname))?;
    put(&files.hosts, &hosts(settings, record, gateways, linked)?)?;
    put(&files.resolv_conf, &resolv_conf(settings, record))?;
    Ok(files)
}

fn hosts(settings: &Settings, record: &Record, gateways: &[IpAddr], linked: &[Linked]) -> Result<String> {
    let host = &record.spec.host;
    // With names of its own it is not a copy of the host's file, whose lines would come first.
    if host.network_mode == NetworkMode::Host && host.extra_hosts.is_empty() {
        return Ok(std::fs::read_to_string("/etc/hosts").unwrap_or_default());
    }
    let mut text = LOCAL.to_owned();
    if !IPV6_SWITCHES.iter().any(|switch| host.sysctls.get(*switch).is_some_and(|value| value == "1")) {
        text.push_str(LOCAL_IPV6);
    }
    for entry in &host.extra_hosts {
        let (name, address) = entry
            .split_once(':')
            .or_else(|| entry.split_once('='))
            .ok_or_else(|| Error::invalid(format!("bad format for add-host: \"{entry}\"")))?;
        if address != "host-gateway" {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            text.push_str(&format!("{address}\t{name}\n"));
            continue;
        }
        let said = &settings.host_gateways;
        let addresses = if said.is_empty() { gateways } else { said };
        if addresses.is_empty() {
            return Err(Error::invalid("unable to derive the IP value for host-gateway"));
        }
        text.extend(addresses.iter().map(|address| format!("{address}\t{name}\n")));
    }
    text.extend(linked.iter().map(Linked::hosts_line));
    let both = |endpoint: &Endpoint| [endpoint.ipv4.map(IpAddr::V4), endpoint.ipv6.map(IpAddr::V6)];
    for address in record.endpoints.iter().flat_map(both).flatten() {
        let (host, domain) = (&record.spec.hostname, &record.spec.domainname);
        let full = if domain.is_empty() { host.clone() } else { format!("{host}.{domain}") };
        // The name with its domain, wherever that was said, and the bare one.
        let bare = full.split_once('.').map(|(bare, _)| format!(" {bare}")).unwrap_or_default();
        text.push_str(&format!("{address}\t{full}{bare}\n"));
    }
    Ok(text)
}

/// What was asked for, of the container or of the engine.
pub(crate) fn asked(settings: &Settings, record: &Record) -> resolv_conf::Asked {
    let host = &record.spec.host;
    let pick =
        |own: &[String], default: &[String]| if own.is_empty() { default.to_vec() } else { own.to_vec() };
    resolv_conf::Asked {
        servers: pick(&host.dns, &settings.dns),
        search: pick(&host.dns_search, &settings.dns_search),
        options: pick(&host.dns_options, &settings.dns_options),
    }
}

fn resolv_conf(settings: &Settings, record: &Record) -> String {
    let whom = match record.spec.host.network_mode {
        NetworkMode::Host => Whom::HostsOwn,
        _ if names::are_asked_here(&record.endpoints) => Whom::Us,
        _ if record.endpoints.iter().any(|endpoint| endpoint.is_gateway6) => Whom::HostsReachableIpv6,
        _ => Whom::HostsReachable,
    };
    resolv_conf::text(&asked(settings, record), whom)
}

/// For a container that has come to its first network on which others have names. A file that was changed since the
/// start is its user's.
pub(crate) fn rewrite_resolv_conf(settings: &Settings, record: &Record, directory: &Path) -> Result<()> {
    let path = directory.join("resolv.conf");
    let failed = |error| Error::internal(format!("write {}: {error}", path.display()));
    let changed = std::fs::metadata(&path).and_then(|file| file.modified()).map_err(failed)?;
    let changed = jiff::Timestamp::try_from(changed).map_err(|error| Error::internal(error.to_string()))?;
    if record.started_at.is_none_or(|started| changed > started) {
        return Ok(());
    }
    // In place: the container has it bound by inode.
    std::fs::write(&path, resolv_conf(settings, record)).map_err(failed)
}
