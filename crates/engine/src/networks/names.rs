//! What containers on users' networks are called, and what they may ask.

use std::net::IpAddr;

use crate::container::{files, resolv_conf};
use crate::core::Core;
use crate::ports::{Endpoint, NameRules, Named};
use crate::records::Record;

use super::attach;

/// Who asks at 127.0.0.11: a container on a user's network, where others have names.
pub(crate) fn are_asked_here(endpoints: &[Endpoint]) -> bool {
    endpoints.iter().any(|endpoint| !endpoint.dns_names.is_empty())
}

/// What a container may ask.
pub(crate) fn rules(core: &Core, record: &Record) -> NameRules {
    let asked = files::asked(&core.settings(), record);
    let servers = asked.servers.iter().filter_map(|server| server.parse::<IpAddr>().ok()).collect();
    let links = record.spec.endpoints.values().flat_map(|endpoint| &endpoint.links);
    NameRules {
        servers,
        keeps_bare_names: resolv_conf::has_ndots(&asked),
        links: links.filter_map(|link| linked(link)).collect(),
    }
}

/// By name, and not by what has it now: another may take its place.
fn linked(link: &str) -> Option<(String, String)> {
    let (name, alias) = crate::container::links::parse(link).ok()?;
    Some((alias.to_owned(), name.trim_start_matches('/').to_owned()))
}

/// A running container with its names.
pub(crate) fn named(core: &Core, record: &Record) -> Named {
    Named {
        container: record.id.clone(),
        pid: record.pid,
        endpoints: record.endpoints.clone(),
        rules: rules(core, record),
    }
}

/// Tells others what a running container is called from now on.
pub(crate) async fn tell(core: &Core, record: &Record) {
    if let Err(error) = core.ports.network.name(named(core, record)).await {
        tracing::warn!(container = %record.id, %error, "could not make its names known");
    }
}

/// After it was renamed.
pub(crate) fn rename(record: &mut Record) {
    let mut endpoints = std::mem::take(&mut record.endpoints);
    for endpoint in endpoints.iter_mut().filter(|endpoint| !endpoint.dns_names.is_empty()) {
        let spec = record.spec.endpoints.get(&endpoint.network).cloned().unwrap_or_default();
        endpoint.dns_names = attach::dns_names(record, &spec);
    }
    record.endpoints = endpoints;
}
