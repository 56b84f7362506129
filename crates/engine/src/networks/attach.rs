//! Which networks a container is to be on, and as what: for its start, and for one that is connected while it runs.

use std::net::IpAddr;

use crate::container::published::Unsaid;
use crate::container::{EndpointSpec, NetworkMode};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::ports::{Endpoint, EndpointRequest, NameRules, SandboxRequest};
use crate::records::Record;

use super::{Network, endpoint_options};

/// What a container's network namespace is to have. `None`: it has none of its own.
pub(crate) fn sandbox_request(core: &Core, record: &Record) -> Result<Option<SandboxRequest>> {
    if record.spec.network_disabled {
        return Ok(Some(SandboxRequest::default()));
    }
    let first = match &record.spec.host.network_mode {
        NetworkMode::Host | NetworkMode::Container(_) => return Ok(None),
        NetworkMode::None => return Ok(Some(SandboxRequest::default())),
        NetworkMode::Bridge => "bridge",
        NetworkMode::Named(name) => name.as_str(),
    };
    let default = EndpointSpec::default();
    let spec = &record.spec;
    // The default network is not said again by those who want nothing of it.
    let said = spec.endpoints.iter().map(|(name, spec)| (name.as_str(), spec));
    let unsaid = (spec.endpoints.is_empty() && !spec.without_networks).then_some((first, &default));
    let mut endpoints = Vec::new();
    for (name, spec) in said.chain(unsaid) {
        let request = match core.networks.find(name) {
            Ok(network) => request(record, &network, spec)?,
            // As in Docker, who says no more than that is on no network with `--bridge none`.
            Err(_) if name == "bridge" && core.ports.network.facts().bridge.is_none() => continue,
            Err(_) if name == "bridge" => {
                EndpointRequest { network: name.to_owned(), ..EndpointRequest::default() }
            }
            Err(error) => return Err(error),
        };
        endpoints.push((request, spec.gw_priority));
    }
    for (at, (request, _)) in endpoints.iter().enumerate() {
        has_own_name(
            request,
            endpoints[..at].iter().map(|(other, _)| (&other.network, other.interface.as_ref())),
        )?;
    }
    // The one that was named first has `eth0`; the others follow by name.
    let is_first = |request: &EndpointRequest| {
        request.network == first || (!request.network_id.is_empty() && request.network_id.starts_with(first))
    };
    endpoints.sort_by_key(|(request, _)| (!is_first(request), request.network.clone()));
    for version in [Version::V4, Version::V6] {
        let all = endpoints.iter().map(|(request, priority)| (request.network.as_str(), *priority));
        let Some(at) = gateway(core, version, all) else { continue };
        match version {
            Version::V4 => endpoints[at].0.is_gateway = true,
            Version::V6 => endpoints[at].0.is_gateway6 = true,
        }
    }
    let endpoints: Vec<_> = endpoints.into_iter().map(|(request, _)| request).collect();
    let mut names = NameRules::default();
    if endpoints.iter().any(|endpoint| !endpoint.dns_names.is_empty()) {
        names = super::names::rules(core, record);
    }
    Ok(Some(SandboxRequest { endpoints, names }))
}

/// One place, checked.
pub(crate) fn request(record: &Record, network: &Network, spec: &EndpointSpec) -> Result<EndpointRequest> {
    if network.config_only {
        return Err(Error::forbidden(format!(
            "cannot create endpoint on configuration-only network {}",
            network.name
        )));
    }
    let mut wrong = Vec::new();
    let bridge = network.bridge.as_ref();
    let within4 = |ip| bridge.and_then(|bridge| bridge.subnet).is_some_and(|subnet| subnet.contains(&ip));
    let within6 = |ip| {
        bridge.and_then(|bridge| bridge.ipv6.as_ref()?.subnet).is_some_and(|subnet| subnet.contains(&ip))
    };
    let asked = [
        spec.ipv4.map(|ip| (IpAddr::V4(ip), within4(ip))),
        spec.ipv6.map(|ip| (IpAddr::V6(ip), within6(ip))),
    ];
    for (ip, is_within) in asked.into_iter().flatten().filter(|_| network.is_user_defined()) {
        if !network.chosen_subnet && !network.chosen_subnet6 {
            wrong.push(
                "user-specified IP address is supported only when connecting to networks with user-configured subnets"
                    .to_owned(),
            );
        } else if !is_within || !(if ip.is_ipv4() { network.chosen_subnet } else { network.chosen_subnet6 }) {
            wrong.push(format!("no configured subnet contains IP address {ip}"));
        }
    }
    if !spec.aliases.is_empty() && !network.is_user_defined() {
        wrong.push("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    let interface = endpoint_options::interface(&spec.driver_opts).map_err(|why| wrong.push(why));
    let sysctls = endpoint_options::sysctls(&spec.driver_opts).map_err(|why| wrong.push(why));
    if !wrong.is_empty() {
        let text = format!(
            "invalid config for network {}: invalid endpoint settings:\n{}",
            network.name,
            wrong.join("\n")
        );
        return Err(Error::invalid(text));
    }
    Ok(EndpointRequest {
        network: network.name.clone(),
        network_id: network.id.clone(),
        mac: Some(spec.mac.clone()).filter(|mac| !mac.is_empty()),
        ipv4: spec.ipv4,
        ipv6: spec.ipv6,
        link_local: spec.link_local.clone(),
        is_gateway: false,
        is_gateway6: false,
        dns_names: if network.is_user_defined() { dns_names(record, spec) } else { Vec::new() },
        interface: interface.unwrap_or_default(),
        prefix: bridge.and_then(|bridge| bridge.interface_prefix.clone()),
        sysctls: sysctls.unwrap_or_default(),
    })
}

/// No two interfaces of a container can be called the same; the others are told by network and name.
pub(crate) fn has_own_name<'a>(
    request: &EndpointRequest,
    mut others: impl Iterator<Item = (&'a String, Option<&'a String>)>,
) -> Result<()> {
    let Some(name) = &request.interface else { return Ok(()) };
    match others.find(|(_, other)| *other == Some(name)) {
        None => Ok(()),
        Some((network, _)) => Err(Error::invalid(format!(
            "invalid config for network {}: invalid endpoint settings:\nthe interface name \"{name}\" is that on \
             network {network}",
            request.network
        ))),
    }
}

/// At which of the host's addresses a container's ports are published that name none: by what the networks say that
/// they come in by, and for the default one the engine's settings.
pub(crate) fn unsaid(core: &Core, endpoints: &[Endpoint]) -> Unsaid {
    let binding = |is_gateway: fn(&Endpoint) -> bool| {
        let endpoint = endpoints.iter().find(|endpoint| is_gateway(endpoint))?;
        let network =
            core.networks.find(&endpoint.network_id).ok().filter(|network| network.is_user_defined());
        match network {
            Some(network) => network.bridge.as_ref().and_then(|bridge| bridge.binding),
            None => Some(core.settings().publish_address),
        }
    };
    Unsaid::new(binding(|endpoint| endpoint.is_gateway), binding(|endpoint| endpoint.is_gateway6))
}

/// What others on a user's network know it by.
pub(crate) fn dns_names(record: &Record, spec: &EndpointSpec) -> Vec<String> {
    let mut names = vec![record.name.clone()];
    names.extend(spec.aliases.iter().cloned());
    names.push(record.id[..12.min(record.id.len())].to_owned());
    names.push(record.spec.hostname.clone());
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    names
}

/// Of IP: each has a default route of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

/// Which of these networks the default route goes through: the highest priority, then the first name. One that is
/// internal leads nowhere.
fn gateway<'a>(
    core: &Core,
    version: Version,
    networks: impl Iterator<Item = (&'a str, i64)>,
) -> Option<usize> {
    let has = |network: &Network| match version {
        Version::V4 => !network.without_ipv4,
        Version::V6 => network.ipv6,
    };
    let leads_out = |name: &str| match core.networks.find(name) {
        Ok(network) => !network.internal && has(&network),
        Err(_) => version == Version::V4,
    };
    networks
        .enumerate()
        .filter(|(_, (name, _))| leads_out(name))
        .min_by_key(|(_, (name, priority))| (std::cmp::Reverse(*priority), *name))
        .map(|(at, _)| at)
}

/// The same among those that a running container has.
pub(crate) fn gateway_of(
    core: &Core,
    version: Version,
    record: &Record,
    endpoints: &[Endpoint],
) -> Option<usize> {
    let priority =
        |endpoint: &Endpoint| record.spec.endpoints.get(&endpoint.network).map_or(0, |spec| spec.gw_priority);
    gateway(core, version, endpoints.iter().map(|endpoint| (endpoint.network.as_str(), priority(endpoint))))
}
