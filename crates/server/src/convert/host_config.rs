//! `HostConfig`, both ways.

use super::exec::console_size;
use super::restart;
use api::host_config::{self as wire, HostConfig};
use api::mount::{self, MountType};
use engine::containers::{
    BindOptions, CgroupnsMode, Container, DeviceLimit, HostSpec, IpcMode, LogSpec, MountKind, MountSpec,
    NetworkMode, PidMode, PortBinding, RestartPolicy, TmpfsOptions, UtsMode, VolumeOptions,
};
use engine::{Error, Result};

/// Asked for, understood, and not possible yet: refused, never ignored.
pub(crate) fn not_yet(field: &str) -> Error {
    Error::invalid(format!("{field} is not supported yet"))
}

pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::invalid(text))
}

/// What a container may have of the host, checked.
pub(crate) fn spec(host: HostConfig) -> Result<HostSpec> {
    refuse_unbuilt(&host)?;
    check(&host)?;
    let restart = restart::policy(&host.restart_policy)?;
    if host.auto_remove && restart != RestartPolicy::No {
        return invalid("can't create 'AutoRemove' container with restart policy");
    }
    let resources = super::resources::spec(&host)?;
    let ipc_mode = ipc_mode(&host.ipc_mode)?;
    let pid_mode = match host.pid_mode.as_str() {
        "" => PidMode::Private,
        "host" => PidMode::Host,
        other => match other.strip_prefix("container:") {
            Some(id) if !id.is_empty() => PidMode::Container(id.to_owned()),
            _ => return invalid(format!("invalid PID mode: {other}")),
        },
    };
    let uts_mode = match host.uts_mode.as_str() {
        "" => UtsMode::Private,
        "host" => UtsMode::Host,
        other => return invalid(format!("invalid UTS mode: {other}")),
    };
    let cgroupns_mode = match host.cgroupns_mode.as_str() {
        "" => None,
        "private" => Some(CgroupnsMode::Private),
        "host" => Some(CgroupnsMode::Host),
        other => return invalid(format!("invalid cgroup namespace mode: {other}")),
    };
    Ok(HostSpec {
        binds: host.binds,
        container_id_file: host.container_id_file,
        log: LogSpec { driver: host.log_config.kind, options: host.log_config.config },
        network_mode: NetworkMode::parse(&host.network_mode),
        port_bindings: host
            .port_bindings
            .into_iter()
            // One that names no place on the host is none, as in Docker.
            .filter_map(|(port, bindings)| bindings.filter(|list| !list.is_empty()).map(|list| (port, list)))
            .map(|(port, bindings)| {
                let bindings = bindings.into_iter();
                let bindings = bindings.map(|b| PortBinding { host_ip: b.host_ip, host_port: b.host_port });
                Ok((super::create::port(port)?, bindings.collect()))
            })
            .collect::<Result<_>>()?,
        publish_all_ports: host.publish_all_ports,
        restart,
        auto_remove: host.auto_remove,
        volume_driver: host.volume_driver,
        volumes_from: host.volumes_from,
        mounts: host.mounts.into_iter().map(mount_spec).collect::<Result<_>>()?,
        console_size: console_size(host.console_size),
        annotations: host.annotations,
        isolation: host.isolation,
        cap_add: host.cap_add,
        cap_drop: host.cap_drop,
        cgroupns_mode,
        dns: host.dns,
        dns_options: host.dns_options,
        dns_search: host.dns_search,
        extra_hosts: host.extra_hosts,
        group_add: host.group_add,
        ipc_mode,
        cgroup: host.cgroup,
        links: host.links,
        // Checked to be within ±1000.
        oom_score_adj: host.oom_score_adj as i32,
        pid_mode,
        privileged: host.privileged,
        readonly_rootfs: host.readonly_rootfs,
        security_opt: host.security_opt,
        storage_opt: host.storage_opt,
        tmpfs: host.tmpfs,
        uts_mode,
        userns_mode: host.userns_mode,
        shm_size_bytes: host.shm_size,
        sysctls: host.sysctls,
        runtime: host.runtime,
        masked_paths: host.masked_paths,
        readonly_paths: host.readonly_paths,
        init: host.init,
        resources,
    })
}

/// What comes with later issues.
fn refuse_unbuilt(host: &HostConfig) -> Result<()> {
    let unbuilt = [("Cgroup", !host.cgroup.is_empty())];
    match unbuilt.iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(not_yet(&format!("HostConfig.{field}"))),
        None => Ok(()),
    }
}

fn check(host: &HostConfig) -> Result<()> {
    if !matches!(host.isolation.to_ascii_lowercase().as_str(), "" | "default") {
        return invalid(format!("invalid isolation ({}): linux only supports 'default'", host.isolation));
    }
    if host.io_maximum_bandwidth != 0 {
        return invalid("invalid option: QoS maximum bandwidth configuration is not supported on linux");
    }
    if host.io_maximum_iops != 0 {
        return invalid("invalid option: QoS maximum IOPs configuration is not supported on linux");
    }
    if host.cpu_count != 0 {
        return invalid("invalid option: CpuCount is not supported on linux");
    }
    if host.cpu_percent != 0 {
        return invalid("invalid option: CpuPercent is not supported on linux");
    }
    if host.shm_size < 0 {
        return invalid("SHM size can not be less than 0");
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        let score = host.oom_score_adj;
        return invalid(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]"));
    }
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return invalid(format!("invalid user namespace mode: {}", host.userns_mode));
    }
    for bind in &host.binds {
        bind_check(bind)?;
    }
    for target in host.tmpfs.keys() {
        if !target.starts_with('/') {
            return invalid(format!("invalid mount path: '{target}' mount path must be absolute"));
        }
    }
    for entry in &host.extra_hosts {
        extra_host_check(entry)?;
    }
    for address in &host.dns {
        if address.parse::<std::net::IpAddr>().is_err() {
            return invalid(format!("invalid JSON: ParseAddr(\"{address}\"): unable to parse IP"));
        }
    }
    Ok(())
}

/// `source:target[:mode]`, or a bare target. What the parts mean is the engine's business.
fn bind_check(bind: &str) -> Result<()> {
    let parts: Vec<&str> = bind.split(':').collect();
    let target = match parts[..] {
        [target] if target.starts_with('/') => target,
        [source, target] | [source, target, _] if !source.is_empty() && !target.is_empty() => target,
        _ => return invalid(format!("invalid volume specification: '{bind}'")),
    };
    if !target.starts_with('/') {
        return invalid(format!(
            "invalid volume specification: '{bind}': invalid mount config for type \"bind\": invalid mount path: \
             '{target}' mount path must be absolute"
        ));
    }
    if target.trim_end_matches('/').is_empty() {
        return invalid(format!(
            "invalid volume specification: '{bind}': invalid specification: destination can't be '/'"
        ));
    }
    Ok(())
}

fn extra_host_check(entry: &str) -> Result<()> {
    let Some((name, address)) = entry.split_once([':', '=']) else {
        return invalid(format!("bad format for add-host: \"{entry}\""));
    };
    if name.is_empty() {
        return invalid(format!("bad format for add-host: \"{entry}\""));
    }
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
        return invalid(format!("invalid IP address in add-host: \"{address}\""));
    }
    Ok(())
}

fn ipc_mode(text: &str) -> Result<IpcMode> {
    Ok(match text {
        "" => IpcMode::Default,
        "none" => IpcMode::None,
        "private" => IpcMode::Private,
        "shareable" => IpcMode::Shareable,
        "host" => IpcMode::Host,
        other => match other.strip_prefix("container:") {
            Some(id) if !id.is_empty() => IpcMode::Container(id.to_owned()),
            _ => return invalid(format!("invalid IPC mode: {other}")),
        },
    })
}

pub(super) fn mount_spec(mount: mount::Mount) -> Result<MountSpec> {
    let kind_name = mount.kind.as_str().to_owned();
    let wrong = |what: &str| Error::invalid(format!("invalid mount config for type \"{kind_name}\": {what}"));
    let kind = match kind_name.as_str() {
        "bind" => MountKind::Bind,
        "tmpfs" => MountKind::Tmpfs,
        "volume" => MountKind::Volume,
        "image" => MountKind::Image,
        "container" => MountKind::Container,
        "npipe" => return Err(wrong("mount type unknown")),
        "cluster" => return Err(wrong("volumes of a cluster need Swarm, which is not part of Wharf")),
        "" => return invalid("mount type unknown"),
        _ => return invalid(format!("mount type unknown: \"{kind_name}\"")),
    };
    if mount.target.is_empty() {
        return Err(wrong("field Target must not be empty"));
    }
    if !mount.target.starts_with('/') {
        return Err(wrong(&format!("invalid mount path: '{}' mount path must be absolute", mount.target)));
    }
    if mount.target.trim_end_matches('/').is_empty() {
        return Err(wrong("invalid specification: destination can't be '/'"));
    }
    for (options, is_set, fits) in [
        ("VolumeOptions", mount.volume_options.is_some(), mount.kind == MountType::VOLUME),
        ("BindOptions", mount.bind_options.is_some(), mount.kind == MountType::BIND),
        ("TmpfsOptions", mount.tmpfs_options.is_some(), mount.kind == MountType::TMPFS),
        ("ImageOptions", mount.image_options.is_some(), mount.kind == MountType::IMAGE),
        ("ClusterOptions", mount.cluster_options.is_some(), mount.kind == MountType::CLUSTER),
    ] {
        if is_set && !fits {
            return invalid(format!("{options} must not be specified on mount type \"{kind_name}\""));
        }
    }
    if kind == MountKind::Bind {
        if mount.source.is_empty() {
            return Err(wrong("field Source must not be empty"));
        }
        if !mount.source.starts_with('/') {
            return Err(wrong(&format!(
                "invalid mount path: '{}' mount path must be absolute",
                mount.source
            )));
        }
        let options = mount.bind_options.clone().unwrap_or_default();
        let known = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"];
        if !known.contains(&options.propagation.as_str()) {
            return Err(wrong(&format!("invalid propagation mode: {}", options.propagation)));
        }
        if options.read_only_non_recursive && options.read_only_force_recursive {
            return Err(wrong("mount options conflict: ReadOnlyNonRecursive and ReadOnlyForceRecursive"));
        }
        if options.read_only_non_recursive && !mount.read_only {
            return Err(wrong(
                "mount source is not read-only: ReadOnlyNonRecursive is set, but ReadOnly is not",
            ));
        }
        if options.read_only_force_recursive && !mount.read_only {
            return Err(wrong(
                "mount source is not read-only: ReadOnlyForceRecursive is set, but ReadOnly is not",
            ));
        }
    } else if kind == MountKind::Tmpfs && !mount.source.is_empty() {
        return Err(wrong("field Source must not be specified"));
    }
    Ok(MountSpec {
        kind,
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
        consistency: mount.consistency,
        bind: mount.bind_options.map(|o| BindOptions {
            propagation: o.propagation.as_str().to_owned(),
            non_recursive: o.non_recursive,
            create_mountpoint: o.create_mountpoint,
            read_only_non_recursive: o.read_only_non_recursive,
            read_only_force_recursive: o.read_only_force_recursive,
            match_user: o.match_user.map(|user| (user.uid, user.gid)),
        }),
        volume: mount.volume_options.map(|o| {
            let driver = o.driver_config.unwrap_or_default();
            VolumeOptions {
                no_copy: o.no_copy,
                labels: o.labels,
                driver: driver.name,
                driver_options: driver.options,
                subpath: o.subpath,
            }
        }),
        tmpfs: mount.tmpfs_options.map(|o| TmpfsOptions {
            size_bytes: o.size_bytes,
            mode: (o.mode != 0).then_some(o.mode),
            options: o.options,
        }),
        image_subpath: mount.image_options.map(|o| o.subpath),
    })
}

/// Docker's `/dev/shm`.
const SHM_BYTES: i64 = 64 << 20;

/// Outwards, with the defaults that Docker shows filled in.
pub(crate) fn wire(c: &Container) -> HostConfig {
    let (host, res) = (&c.spec.host, &c.spec.host.resources);
    let log_driver = if c.log_driver.is_empty() { &host.log.driver } else { &c.log_driver };
    let throttles = |list: &[DeviceLimit]| {
        list.iter().map(|d| wire::ThrottleDevice { path: d.path.clone(), rate: d.value }).collect()
    };
    HostConfig {
        binds: host.binds.clone(),
        container_id_file: host.container_id_file.clone(),
        log_config: wire::LogConfig { kind: log_driver.clone(), config: host.log.options.clone() },
        network_mode: host.network_mode.word(),
        port_bindings: host
            .port_bindings
            .iter()
            .map(|(port, bindings)| {
                let bindings = bindings.iter();
                let bindings = bindings.map(|b| api::network::PortBinding {
                    host_ip: b.host_ip.clone(),
                    host_port: b.host_port.clone(),
                });
                (port.clone(), Some(bindings.collect()))
            })
            .collect(),
        restart_policy: restart::wire(host.restart.clone()),
        auto_remove: host.auto_remove,
        volume_driver: host.volume_driver.clone(),
        volumes_from: host.volumes_from.clone(),
        console_size: [host.console_size.0.into(), host.console_size.1.into()],
        annotations: host.annotations.clone(),
        isolation: host.isolation.clone(),
        cap_add: host.cap_add.clone(),
        cap_drop: host.cap_drop.clone(),
        cgroupns_mode: host.cgroupns_mode.map_or("", CgroupnsMode::word).to_owned(),
        dns: host.dns.clone(),
        dns_options: host.dns_options.clone(),
        dns_search: host.dns_search.clone(),
        extra_hosts: host.extra_hosts.clone(),
        group_add: host.group_add.clone(),
        ipc_mode: host.ipc_mode.word(),
        cgroup: host.cgroup.clone(),
        links: host.links.clone(),
        oom_score_adj: host.oom_score_adj.into(),
        pid_mode: match &host.pid_mode {
            PidMode::Private => String::new(),
            PidMode::Host => "host".to_owned(),
            PidMode::Container(id) => format!("container:{id}"),
        },
        privileged: host.privileged,
        publish_all_ports: host.publish_all_ports,
        readonly_rootfs: host.readonly_rootfs,
        security_opt: host.security_opt.clone(),
        storage_opt: host.storage_opt.clone(),
        tmpfs: host.tmpfs.clone(),
        uts_mode: if host.uts_mode == UtsMode::Host { "host" } else { "" }.to_owned(),
        userns_mode: host.userns_mode.clone(),
        shm_size: if host.shm_size_bytes == 0 { SHM_BYTES } else { host.shm_size_bytes },
        sysctls: host.sysctls.clone(),
        runtime: host.runtime.clone(),
        cpu_shares: res.cpu_shares,
        memory: res.memory_bytes,
        nano_cpus: res.nano_cpus,
        cgroup_parent: res.cgroup_parent.clone(),
        blkio_weight: res.blkio_weight,
        blkio_weight_device: res
            .blkio_weight_device
            .iter()
            // It came from 16 bits.
            .map(|d| wire::WeightDevice { path: d.path.clone(), weight: d.value as u16 })
            .collect(),
        blkio_device_read_bps: throttles(&res.blkio_read_bps),
        blkio_device_write_bps: throttles(&res.blkio_write_bps),
        blkio_device_read_iops: throttles(&res.blkio_read_iops),
        blkio_device_write_iops: throttles(&res.blkio_write_iops),
        cpu_period: res.cpu_period_us,
        cpu_quota: res.cpu_quota_us,
        cpu_realtime_period: res.cpu_rt_period_us,
        cpu_realtime_runtime: res.cpu_rt_runtime_us,
        cpuset_cpus: res.cpuset_cpus.clone(),
        cpuset_mems: res.cpuset_mems.clone(),
        devices: res
            .devices
            .iter()
            .map(|d| wire::DeviceMapping {
                path_on_host: d.path_on_host.clone(),
                path_in_container: d.path_in_container.clone(),
                cgroup_permissions: d.permissions.clone(),
            })
            .collect(),
        device_cgroup_rules: res.device_cgroup_rules.clone(),
        device_requests: res
            .device_requests
            .iter()
            .map(|r| wire::DeviceRequest {
                driver: r.driver.clone(),
                count: r.count,
                device_ids: r.device_ids.clone(),
                capabilities: r.capabilities.clone(),
                options: r.options.clone(),
            })
            .collect(),
        memory_reservation: res.memory_reservation_bytes,
        memory_swap: res.memory_swap_bytes,
        memory_swappiness: res.memory_swappiness,
        oom_kill_disable: Some(res.oom_kill_disable.unwrap_or(false)),
        pids_limit: res.pids_limit,
        ulimits: res
            .ulimits
            .iter()
            .map(|u| wire::Ulimit { name: u.name.clone(), hard: u.hard, soft: u.soft })
            .collect(),
        mounts: host.mounts.iter().map(wire_mount).collect(),
        masked_paths: host.masked_paths.clone(),
        readonly_paths: host.readonly_paths.clone(),
        init: host.init,
        ..Default::default()
    }
}

fn wire_mount(m: &MountSpec) -> mount::Mount {
    mount::Mount {
        kind: m.kind.word().into(),
        source: m.source.clone(),
        target: m.target.clone(),
        read_only: m.read_only,
        consistency: m.consistency.clone(),
        bind_options: m.bind.as_ref().map(|o| mount::BindOptions {
            propagation: o.propagation.as_str().into(),
            non_recursive: o.non_recursive,
            create_mountpoint: o.create_mountpoint,
            read_only_non_recursive: o.read_only_non_recursive,
            read_only_force_recursive: o.read_only_force_recursive,
            match_user: o.match_user.map(|(uid, gid)| mount::MatchUser { uid, gid }),
        }),
        volume_options: m.volume.as_ref().map(|o| mount::VolumeOptions {
            no_copy: o.no_copy,
            labels: o.labels.clone(),
            subpath: o.subpath.clone(),
            driver_config: (!o.driver.is_empty())
                .then(|| mount::Driver { name: o.driver.clone(), options: o.driver_options.clone() }),
        }),
        tmpfs_options: m.tmpfs.as_ref().map(|o| mount::TmpfsOptions {
            size_bytes: o.size_bytes,
            mode: o.mode.unwrap_or(0),
            options: o.options.clone(),
        }),
        image_options: m
            .image_subpath
            .as_ref()
            .map(|subpath| mount::ImageOptions { subpath: subpath.clone() }),
        cluster_options: None,
    }
}
