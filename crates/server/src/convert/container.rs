//! Containers, outwards: the lines of a list, and inspect.

use super::{health, host_config, time};
use api::container::{
    ContainerConfig, ContainerInspectResponse, ContainerState, ContainerSummary, DriverData, Empty,
    NetworkSettings, PortSummary, SummaryHostConfig, SummaryNetworkSettings,
};
use api::image::{Descriptor, Platform};
use api::mount::MountPoint;
use api::network::{EndpointIpamConfig, EndpointSettings, PortBinding, PortMap};
use engine::containers::{self, Container, NetworkMode};
use engine::ports::Rootfs;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) fn summary(c: &Container, now: Timestamp) -> ContainerSummary {
    let size = |bytes: Option<u64>| bytes.map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX));
    ContainerSummary {
        id: c.id.clone(),
        names: std::iter::once(&c.name).chain(&c.link_names).map(|name| format!("/{name}")).collect(),
        image: c.spec.image.clone(),
        image_id: c.image_id.clone(),
        image_manifest_descriptor: manifest(c),
        command: c.command_text(),
        created: c.created.as_second(),
        ports: port_summaries(c),
        size_rw: size(c.size_rw),
        size_root_fs: size(c.size_rootfs),
        size_log: size(c.size_log),
        labels: c.spec.labels.clone(),
        state: c.state.status.word().into(),
        status: c.status_text(now),
        host_config: SummaryHostConfig {
            network_mode: c.spec.host.network_mode.word(),
            annotations: c.spec.host.annotations.clone(),
        },
        health: Some(health::summary(&c.state)),
        network_settings: Some(SummaryNetworkSettings { networks: endpoints(c) }),
        mounts: c.mounts.iter().map(mount_point).collect(),
    }
}

fn port_summaries(c: &Container) -> Vec<PortSummary> {
    let mut all = Vec::new();
    for (port, bindings) in ports(c) {
        let (number, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let Ok(private_port) = number.parse() else { continue };
        let exposed = PortSummary { private_port, kind: protocol.to_owned(), ..Default::default() };
        match bindings {
            None => all.push(exposed),
            Some(bindings) => all.extend(bindings.into_iter().map(|binding| PortSummary {
                ip: binding.host_ip,
                public_port: binding.host_port.parse().unwrap_or_default(),
                ..exposed.clone()
            })),
        }
    }
    all
}

/// What is exposed, with where it is published.
fn ports(c: &Container) -> PortMap {
    let mut all = PortMap::new();
    if !c.state.is_running() {
        return all;
    }
    if c.network.exposes {
        let exposed = c.spec.exposed_ports.iter().chain(c.spec.host.port_bindings.keys());
        all.extend(exposed.map(|port| (port.clone(), None)));
    }
    for mapping in &c.network.ports {
        for n in 0..mapping.count {
            let port = format!("{}/{}", mapping.container + n, mapping.protocol.word());
            // What is reached at the container's own address has no port here.
            let host_port = if mapping.host == 0 { String::new() } else { (mapping.host + n).to_string() };
            let host_ip = mapping.address.to_string();
            all.entry(port).or_default().get_or_insert_default().push(PortBinding { host_ip, host_port });
        }
    }
    all
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(crate) fn inspect(c: &Container) -> ContainerInspectResponse {
    let size = |bytes: Option<u64>| bytes.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    ContainerInspectResponse {
        id: c.id.clone(),
        created: c.created.to_string(),
        path: c.path.clone(),
        args: c.args.clone(),
        state: Some(state(&c.state)),
        image: c.image_id.clone(),
        resolv_conf_path: text(&c.resolv_conf_path),
        hostname_path: text(&c.hostname_path),
        hosts_path: text(&c.hosts_path),
        log_path: text(&c.log_path),
        name: format!("/{}", c.name),
        restart_count: c.restart_count.into(),
        driver: c.driver.clone(),
        platform: "linux".to_owned(),
        mount_label: c.mount_label.clone(),
        process_label: c.process_label.clone(),
        app_armor_profile: c.apparmor_profile.clone(),
        exec_ids: c.exec_ids.clone(),
        host_config: Some(host_config::wire(c)),
        graph_driver: Some(DriverData { data: rootfs(&c.rootfs), name: c.driver.clone() }),
        storage: None,
        size_rw: size(c.size_rw),
        size_root_fs: size(c.size_rootfs),
        mounts: c.mounts.iter().map(mount_point).collect(),
        config: Some(config(c)),
        network_settings: Some(NetworkSettings {
            sandbox_id: c.network.sandbox_id.clone(),
            sandbox_key: c.network.sandbox_key.clone(),
            ports: ports(c),
            networks: endpoints(c),
        }),
        image_manifest_descriptor: manifest(c),
    }
}

pub(super) fn manifest(c: &Container) -> Option<Descriptor> {
    let manifest = c.image_manifest.as_ref()?;
    Some(Descriptor {
        media_type: manifest.media_type.clone(),
        digest: manifest.digest.clone(),
        size: i64::try_from(manifest.size_bytes).unwrap_or(i64::MAX),
        platform: Some(Platform {
            os: manifest.os.clone(),
            architecture: manifest.architecture.clone(),
            variant: manifest.variant.clone(),
            ..Default::default()
        }),
        ..Default::default()
    })
}

pub(super) fn state(state: &containers::StateView) -> ContainerState {
    use containers::Status;
    ContainerState {
        status: state.status.word().into(),
        running: state.is_running(),
        paused: state.status == Status::Paused,
        restarting: state.status == Status::Restarting,
        oom_killed: state.oom_killed,
        dead: state.status == Status::Dead,
        pid: state.pid.into(),
        exit_code: state.exit_code.into(),
        error: state.error.clone(),
        started_at: time(state.started_at),
        finished_at: time(state.finished_at),
        health: state.health.as_ref().map(health::state),
    }
}

fn rootfs(rootfs: &Rootfs) -> BTreeMap<String, String> {
    match rootfs {
        Rootfs::Directory(path) => BTreeMap::from([("Dir".to_owned(), text(path))]),
        Rootfs::Overlay { lower, upper, work } => {
            let lower: Vec<_> = lower.iter().map(|path| text(path)).collect();
            BTreeMap::from([
                ("LowerDir".to_owned(), lower.join(":")),
                // Where it would be: the mount is in the container's own namespace, not here.
                ("MergedDir".to_owned(), text(&upper.with_file_name("merged"))),
                ("UpperDir".to_owned(), text(upper)),
                ("WorkDir".to_owned(), text(work)),
            ])
        }
    }
}

fn mount_point(mount: &containers::MountPoint) -> MountPoint {
    MountPoint {
        kind: mount.kind.as_str().into(),
        name: mount.name.clone(),
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        driver: mount.driver.clone(),
        mode: mount.mode.clone(),
        rw: mount.read_write,
        propagation: mount.propagation.as_str().into(),
    }
}

/// What was asked for each network, with what is.
pub(super) fn endpoints(c: &Container) -> BTreeMap<String, EndpointSettings> {
    let mut all = BTreeMap::new();
    for (name, found) in &c.network.endpoints {
        let asked = c.spec.endpoints.get(name);
        let endpoint = EndpointSettings {
            ipam_config: asked.and_then(asked_addresses),
            links: asked.map(|a| a.links.clone()).unwrap_or_default(),
            aliases: asked.map(|a| a.aliases.clone()).unwrap_or_default(),
            driver_opts: asked.map(|a| a.driver_opts.clone()).unwrap_or_default(),
            gw_priority: asked.map_or(0, |a| a.gw_priority),
            network_id: found.network_id.clone(),
            endpoint_id: found.endpoint_id.clone(),
            gateway: address(found.gateway),
            ip_address: address(found.ipv4),
            ipv6_gateway: address(found.gateway6),
            global_ipv6_address: address(found.ipv6),
            global_ipv6_prefix_len: found.ipv6_prefix.into(),
            // Of one that does not run: what it will have.
            mac_address: match asked {
                Some(asked) if found.mac.is_empty() => asked.mac.clone(),
                _ => found.mac.clone(),
            },
            ip_prefix_len: found.ipv4_prefix.into(),
            dns_names: found.dns_names.clone(),
        };
        all.insert(name.clone(), endpoint);
    }
    if all.is_empty() && !matches!(c.spec.host.network_mode, NetworkMode::Container(_)) {
        all.insert(c.spec.host.network_mode.word(), EndpointSettings::default());
    }
    all
}

fn address(ip: Option<impl ToString>) -> String {
    ip.map(|ip| ip.to_string()).unwrap_or_default()
}

/// Those that were named.
fn asked_addresses(asked: &containers::EndpointSpec) -> Option<EndpointIpamConfig> {
    let config = EndpointIpamConfig {
        ipv4_address: address(asked.ipv4),
        ipv6_address: address(asked.ipv6),
        link_local_ips: asked.link_local.iter().map(ToString::to_string).collect(),
    };
    Some(config).filter(|config| *config != EndpointIpamConfig::default())
}

pub(super) fn config(c: &Container) -> ContainerConfig {
    let spec = &c.spec;
    let set =
        |keys: &std::collections::BTreeSet<String>| keys.iter().map(|k| (k.clone(), Empty {})).collect();
    let hostname = match spec.hostname.as_str() {
        "" if c.spec.host.network_mode != NetworkMode::Host => c.short_id().to_owned(),
        name => name.to_owned(),
    };
    ContainerConfig {
        hostname,
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        attach_stdin: spec.attach_stdin,
        attach_stdout: spec.attach_stdout,
        attach_stderr: spec.attach_stderr,
        exposed_ports: set(&spec.exposed_ports),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        stdin_once: spec.stdin_once,
        env: spec.env.clone(),
        cmd: spec.cmd.clone().unwrap_or_default(),
        healthcheck: spec.healthcheck.as_ref().map(health::config),
        args_escaped: spec.args_escaped,
        image: spec.image.clone(),
        volumes: set(&spec.volumes),
        working_dir: spec.working_dir.clone(),
        entrypoint: spec.entrypoint.clone().filter(|words| !words.is_empty()),
        network_disabled: spec.network_disabled,
        on_build: spec.on_build.clone().unwrap_or_default(),
        labels: spec.labels.clone(),
        stop_signal: spec.stop_signal.clone().unwrap_or_default(),
        stop_timeout: spec.stop_timeout_s,
        shell: spec.shell.clone().unwrap_or_default(),
    }
}
