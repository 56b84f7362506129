//! What older clients send.

use super::ApiVersion;
use api::container::CreateRequest;
use api::host_config::HostConfig;
use api::mount::MountType;
use api::network::PortBinding;
use engine::{Error, Result};

/// Brings a change to a container up to date: what its version did not change is not changed.
pub(crate) fn update(version: ApiVersion, host: &mut HostConfig) {
    if version < ApiVersion::minor(40) {
        host.pids_limit = None;
    }
    if version < ApiVersion::minor(55) {
        host.blkio_weight_device.clear();
        host.blkio_device_read_bps.clear();
        host.blkio_device_write_bps.clear();
        host.blkio_device_read_iops.clear();
        host.blkio_device_write_iops.clear();
    }
}

/// Brings a create request up to date; `mac` is a field that is gone: `MacAddress` of the container. Answers warnings.
pub(crate) fn create(
    version: ApiVersion,
    is_cgroup_v1: bool,
    request: &mut CreateRequest,
    mac: &str,
) -> Result<Vec<String>> {
    let before = |minor| version < ApiVersion::minor(minor);
    let mut warnings = Vec::new();
    let host = request.host_config.get_or_insert_default();
    let endpoints = &mut request.networking_config.get_or_insert_default().endpoints_config;

    if before(40) && host.ipc_mode.is_empty() {
        // Until 1.40 every container's IPC namespace could be joined.
        host.ipc_mode = "shareable".into();
    }
    if before(41) && is_cgroup_v1 && host.cgroupns_mode.is_empty() {
        // Clients that do not know of the namespace expect the host's.
        host.cgroupns_mode = "host".into();
    }
    if before(42) {
        host.console_size = [0, 0];
    }
    if before(43) {
        host.annotations.clear();
    }
    if before(44) {
        if let Some(check) = &mut request.config.healthcheck {
            check.start_interval = 0;
        }
        if endpoints.len() > 1 {
            let names: Vec<_> = endpoints.keys().map(String::as_str).collect();
            let names = names.join(", ");
            return Err(Error::invalid(format!(
                "Container cannot be created with multiple network endpoints: {names}"
            )));
        }
    }
    if before(53) {
        // A port without a place on the host meant: any.
        for bindings in host.port_bindings.values_mut().flatten().filter(|list| list.is_empty()) {
            bindings.push(PortBinding::default());
        }
    }
    if before(48) {
        endpoints.values_mut().for_each(|endpoint| endpoint.gw_priority = 0);
    }
    for mount in &mut host.mounts {
        if let Some(bind) = &mut mount.bind_options {
            if before(40) {
                bind.non_recursive = false;
            }
            if before(42) {
                bind.create_mountpoint = false;
            }
            if before(44) && bind.read_only_force_recursive {
                return Err(Error::invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"));
            }
        }
        if before(42) {
            // These did not fit, and nobody complained.
            mount.volume_options.take_if(|_| mount.kind != MountType::VOLUME);
            mount.tmpfs_options.take_if(|_| mount.kind != MountType::TMPFS);
        }
        if before(44) && mount.kind == MountType::BIND && mount.read_only {
            // Read-only was not recursive.
            mount.bind_options.get_or_insert_default().read_only_non_recursive = true;
        }
        if before(45) && mount.volume_options.as_ref().is_some_and(|o| !o.subpath.is_empty()) {
            return Err(Error::invalid("VolumeOptions.Subpath needs API v1.45 or newer"));
        }
        if before(48) && mount.kind == MountType::IMAGE {
            return Err(Error::invalid("Mount type \"Image\" needs API v1.48 or newer"));
        }
    }

    if before(44) && mac.is_empty() {
        endpoints.values_mut().for_each(|endpoint| endpoint.mac_address.clear());
    }
    if before(52) && !mac.is_empty() {
        let mode = host.network_mode.as_str();
        if matches!(mode, "host" | "none") || mode.starts_with("container:") {
            if before(44) {
                return Err(Error::invalid("conflicting options: mac-address and the network mode"));
            }
        } else {
            let name = if matches!(mode, "" | "default") { "bridge" } else { mode };
            let endpoint = endpoints.entry(name.to_owned()).or_default();
            if !before(44) && !endpoint.mac_address.is_empty() && endpoint.mac_address != mac {
                return Err(Error::invalid(
                    "the container-wide MAC address must match the endpoint-specific MAC address for the main network, \
                     or be left empty",
                ));
            }
            endpoint.mac_address = mac.to_owned();
        }
        if !before(44) {
            warnings.push(
                "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig \
                 instead."
                    .to_owned(),
            );
        }
    }
    if !before(52) && !mac.is_empty() {
        return Err(Error::invalid(
            "container-wide MAC address no longer supported; use endpoint-specific MAC address instead",
        ));
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: u16, text: &str) -> Result<(CreateRequest, Vec<String>)> {
        let mut request = CreateRequest::from_slice(text.as_bytes()).unwrap();
        let mac = if text.contains("MacAddress") { "02:42:ac:11:00:09" } else { "" };
        let warnings = create(ApiVersion::minor(version), true, &mut request, mac)?;
        Ok((request, warnings))
    }

    #[test]
    fn a_container_wide_mac_moves_to_its_endpoint() {
        let text = r#"{"MacAddress":"02:42:ac:11:00:09"}"#;
        let mac =
            |r: CreateRequest| r.networking_config.unwrap().endpoints_config["bridge"].mac_address.clone();
        let (request, warnings) = read(40, text).unwrap();
        assert_eq!((mac(request).as_str(), warnings.len()), ("02:42:ac:11:00:09", 0));
        assert_eq!(read(47, text).unwrap().1.len(), 1);
        assert!(read(52, text).is_err());
    }

    #[test]
    fn old_clients_mean_what_they_meant() {
        let text = r#"{"HostConfig":{"ConsoleSize":[10,20],"Mounts":[{"Type":"bind","Source":"/a","Target":"/b",
            "ReadOnly":true,"BindOptions":{"CreateMountpoint":true}}]}}"#;
        let old = read(39, text).unwrap().0.host_config.unwrap();
        assert_eq!((old.ipc_mode.as_str(), old.console_size), ("shareable", [0, 0]));
        assert_eq!(old.cgroupns_mode.as_str(), "host");
        let bind = old.mounts[0].bind_options.clone().unwrap();
        assert!(!bind.create_mountpoint && bind.read_only_non_recursive);
        let new = read(55, text).unwrap().0.host_config.unwrap();
        assert_eq!((new.ipc_mode.as_str(), new.console_size), ("", [10, 20]));
        assert!(new.mounts[0].bind_options.clone().unwrap().create_mountpoint);
    }
}
