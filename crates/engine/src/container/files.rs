//! The three files every container gets bound over its own: hosts, hostname, resolv.conf.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::NetworkMode;
use super::oci_spec::Joined;
use crate::error::{Error, Result};
use crate::records::Record;
use crate::settings::Settings;

/// Where they are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) hosts: PathBuf,
    pub(crate) hostname: PathBuf,
    pub(crate) resolv_conf: PathBuf,
}

/// Servers for a machine whose own are all on its loopback (as Docker).
const FALLBACK_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

pub(crate) fn write(
    settings: &Settings,
    record: &Record,
    directory: &Path,
    joined: &Joined,
    gateway: Option<IpAddr>,
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
    put(&files.hosts, &hosts(settings, record, gateway)?)?;
    put(&files.resolv_conf, &resolv_conf(settings, record))?;
    Ok(files)
}

fn hosts(settings: &Settings, record: &Record, gateway: Option<IpAddr>) -> Result<String> {
    let host_mode = record.spec.host.network_mode == NetworkMode::Host;
    let mut text = match host_mode {
        true => std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
        false => String::from(
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
        ),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in &record.spec.host.extra_hosts {
        let (name, address) = entry
            .split_once(':')
            .or_else(|| entry.split_once('='))
            .ok_or_else(|| Error::invalid(format!("bad format for add-host: \"{entry}\"")))?;
        let address = match address {
            "host-gateway" => settings
                .host_gateway
                .or(gateway)
                .map(|ip| ip.to_string())
                .ok_or_else(|| Error::invalid("unable to derive the IP value for host-gateway"))?,
            other => other.trim_start_matches('[').trim_end_matches(']').to_owned(),
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    if let Some(address) = record.endpoint.as_ref().and_then(|endpoint| endpoint.ipv4) {
        let (host, domain) = (&record.spec.hostname, &record.spec.domainname);
        match domain.is_empty() {
            true => text.push_str(&format!("{address}\t{host}\n")),
            false => text.push_str(&format!("{address}\t{host}.{domain} {host}\n")),
        }
    }
    Ok(text)
}

fn resolv_conf(settings: &Settings, record: &Record) -> String {
    let host = &record.spec.host;
    let pick =
        |own: &[String], default: &[String]| if own.is_empty() { default.to_vec() } else { own.to_vec() };
    let asked_servers = pick(&host.dns, &settings.dns);
    let asked_search = pick(&host.dns_search, &settings.dns_search);
    let asked_options = pick(&host.dns_options, &settings.dns_options);
    let host_file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let host_mode = host.network_mode == NetworkMode::Host;
    if host_mode && asked_servers.is_empty() && asked_search.is_empty() && asked_options.is_empty() {
        return host_file;
    }
    let of = |key: &'static str| {
        host_file.lines().filter_map(move |line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(key)).then(|| words.map(str::to_owned).collect::<Vec<_>>())
        })
    };
    let mut servers = asked_servers;
    if servers.is_empty() {
        servers = of("nameserver").flatten().filter(|server| host_mode || !is_loopback(server)).collect();
        if servers.is_empty() && host.network_mode == NetworkMode::Bridge {
            servers = FALLBACK_SERVERS.map(str::to_owned).to_vec();
        }
    }
    let search = match asked_search.is_empty() {
        true => of("search").next_back().unwrap_or_default(),
        // `--dns-search .` means none.
        false if asked_search == ["."] => Vec::new(),
        false => asked_search,
    };
    let options = if asked_options.is_empty() { of("options").flatten().collect() } else { asked_options };
    let mut text = String::new();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

/// The host's own resolver is not reachable from the container's namespace.
fn is_loopback(server: &str) -> bool {
    server.split('%').next().unwrap_or_default().parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
