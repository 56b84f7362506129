//! What is wrong with a request before anything is made, in Docker's words; and what is not built yet, refused
//! by name.

use super::{
    CgroupnsMode, ContainerSpec, IpcMode, NetworkMode, PidMode, RestartPolicy, UtsMode, limits, signal,
};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::settings::BUILTIN_RUNTIMES;

/// Check, and resolve references to other containers to ids. Answers warnings.
pub(crate) fn check(core: &Core, spec: &mut ContainerSpec) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let invalid = |text: &str| Err(Error::invalid(text));
    if let Some(text) = spec.stop_signal.as_deref().filter(|text| !text.is_empty()) {
        signal::parse(text)?;
    }
    for variable in &spec.env {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Error::invalid(format!("invalid environment variable: {variable}")));
        }
    }
    let host = &mut spec.host;
    if host.auto_remove && host.restart != RestartPolicy::No {
        return invalid("can't create 'AutoRemove' container with restart policy");
    }
    match &mut host.network_mode {
        NetworkMode::Container(other) => {
            *other = donor(core, other)?;
            if !spec.hostname.is_empty() {
                return invalid("conflicting options: hostname and the network mode");
            }
            if !host.links.is_empty() {
                return invalid(
                    "conflicting options: container type network can't be used with links. This would result in undefined behavior",
                );
            }
            if !host.dns.is_empty() {
                return invalid("conflicting options: dns and the network mode");
            }
            if !host.extra_hosts.is_empty() {
                return invalid("conflicting options: custom host-to-IP mapping and the network mode");
            }
            if !host.port_bindings.is_empty() || host.publish_all_ports {
                return invalid("conflicting options: port publishing and the container type network mode");
            }
            if !spec.exposed_ports.is_empty() {
                return invalid("conflicting options: port exposing and the container type network mode");
            }
        }
        NetworkMode::Host if !host.links.is_empty() => {
            return invalid(
                "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
            );
        }
        // Whether a network of that name exists is asked when it starts, as by Docker.
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None | NetworkMode::Named(_) => {}
    }
    if host.uts_mode == UtsMode::Host && !spec.hostname.is_empty() {
        return invalid("conflicting options: hostname and the UTS mode");
    }
    if let PidMode::Container(other) = &mut host.pid_mode {
        *other = donor(core, other)?;
    }
    if let IpcMode::Container(other) = &mut host.ipc_mode {
        *other = donor(core, other)?;
    }
    // What was not said is decided here, once: a later change of the daemon's defaults leaves this container alone,
    // and inspect shows what holds.
    let settings = core.settings();
    if host.ipc_mode == IpcMode::Default {
        host.ipc_mode = settings.ipc_mode.clone();
    }
    host.cgroupns_mode.get_or_insert(match host.privileged && !settings.cgroup_v2 {
        true => CgroupnsMode::Host,
        false => settings.cgroupns_mode,
    });
    if host.runtime.is_empty() {
        host.runtime.clone_from(&settings.default_runtime);
    }
    if !host.privileged && !super::oci_spec::security_options(host)?.systempaths_unconfined {
        host.masked_paths.get_or_insert_with(super::oci_spec::masked_paths);
        host.readonly_paths.get_or_insert_with(super::oci_spec::readonly_paths);
    }
    if host.network_mode == NetworkMode::Host && !host.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    check_userns(host)?;
    name_networks(core, spec);
    let host = &mut spec.host;
    limits::check(&mut host.resources, &settings.limits, &mut warnings)?;
    let runtime = host.runtime.as_str();
    if !runtime.is_empty()
        && !BUILTIN_RUNTIMES.contains(&runtime)
        && !core.settings().runtimes.contains_key(runtime)
    {
        return Err(Error::invalid(format!("unknown or invalid runtime name: {runtime}")));
    }
    if host.shm_size_bytes < 0 {
        return invalid("SHM size can not be less than 0");
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Error::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if !matches!(host.network_mode, NetworkMode::Host | NetworkMode::None) {
        super::published::check(spec)?;
    }
    let host = &spec.host;
    super::oci_spec::capabilities(host)?;
    super::oci_spec::security_options(host)?;
    Ok(warnings)
}

/// The id of a container whose namespace is to be joined. Not "not found" when there is none: to a create that means
/// the image, and clients would pull.
fn donor(core: &Core, reference: &str) -> Result<String> {
    let handle = core.index.find(reference).map_err(|error| Error::invalid(error.message))?;
    Ok(handle.view().id.clone())
}

/// Networks are known by name from here on, and the one of the mode is among them. One that is not there is told at the
/// start, as by Docker.
fn name_networks(core: &Core, spec: &mut ContainerSpec) {
    let name = |reference: &str| core.networks.find(reference).map(|network| network.name.clone());
    let first = match &spec.host.network_mode {
        NetworkMode::Bridge if !spec.endpoints.is_empty() => "bridge".to_owned(),
        NetworkMode::Named(reference) => reference.clone(),
        _ => return,
    };
    let said = std::mem::take(&mut spec.endpoints);
    spec.endpoints = said.into_iter().map(|(key, endpoint)| (name(&key).unwrap_or(key), endpoint)).collect();
    let endpoint = spec.endpoints.entry(name(&first).unwrap_or(first)).or_default();
    // Links of the container are the network's, as Docker's client has it: other clients say them here only.
    if endpoint.links.is_empty() && matches!(spec.host.network_mode, NetworkMode::Named(_)) {
        endpoint.links.clone_from(&spec.host.links);
    }
}

fn check_userns(host: &super::HostSpec) -> Result<()> {
    match host.userns_mode.as_str() {
        "" | "host" => Ok(()),
        other => Err(Error::invalid(format!("invalid USER mode: {other}"))),
    }
}

/// Settle the log driver; options that the driver does not know are refused.
pub(crate) fn log_driver(core: &Core, spec: &mut ContainerSpec) -> Result<String> {
    let settings = core.settings();
    let log = &mut spec.host.log;
    if log.driver.is_empty() {
        log.driver.clone_from(&settings.log.driver);
    }
    if log.driver == settings.log.driver {
        for (key, value) in &settings.log.options {
            log.options.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    for (key, value) in settings.log.options.iter().filter(|(key, _)| logs::is_inherited(key)) {
        log.options.entry(key.clone()).or_insert_with(|| value.clone());
    }
    logs::validate(&log.driver, &log.options).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(log.driver.clone())
}
