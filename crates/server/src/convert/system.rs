//! Version, info, disk usage.

use super::{container, image, volume};
use api::system::{
    AddressPool, Commit, ComponentVersion, FirewallInfo, IndexInfo, PlatformInfo, PluginsInfo,
    RegistryServiceConfig, RuntimeInfo, SwarmInfo, SystemInfo, Usage, VersionResponse,
};
use engine::system::{DiskUsage, Info, Version};
use std::collections::{BTreeMap, BTreeSet};

/// Go's name of the machine's architecture: `uname -m` says `x86_64`, images and clients say `amd64`.
fn go_arch(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" => "386",
        "armv6l" | "armv7l" => "arm",
        other => other,
    }
}

pub(crate) fn version(version: &Version) -> VersionResponse {
    let facts = &version.facts;
    let arch = go_arch(&facts.architecture);
    let details = BTreeMap::from([
        ("ApiVersion".to_owned(), api::VERSION.to_owned()),
        ("Arch".to_owned(), arch.to_owned()),
        ("BuildTime".to_owned(), facts.build_time.clone()),
        ("Experimental".to_owned(), version.experimental.to_string()),
        ("GitCommit".to_owned(), facts.git_commit.clone()),
        ("KernelVersion".to_owned(), facts.kernel_version.clone()),
        ("MinAPIVersion".to_owned(), api::MIN_VERSION.to_owned()),
        ("Os".to_owned(), "linux".to_owned()),
    ]);
    VersionResponse {
        platform: PlatformInfo { name: "Wharf".to_owned() },
        version: facts.server_version.clone(),
        api_version: api::VERSION.to_owned(),
        min_api_version: api::MIN_VERSION.to_owned(),
        os: "linux".to_owned(),
        arch: arch.to_owned(),
        components: vec![
            ComponentVersion { name: "Engine".to_owned(), version: facts.server_version.clone(), details },
            ComponentVersion {
                name: "Wharf".to_owned(),
                version: facts.wharf_version.clone(),
                details: BTreeMap::from([("GitCommit".to_owned(), facts.git_commit.clone())]),
            },
        ],
        git_commit: facts.git_commit.clone(),
        go_version: String::new(),
        kernel_version: facts.kernel_version.clone(),
        experimental: version.experimental,
        build_time: facts.build_time.clone(),
    }
}

pub(crate) fn info(info: &Info) -> SystemInfo {
    // Counts of things on one machine fit.
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let facts = &info.facts;
    // Everything that starts containers is this one binary; clients print the commits.
    let commit = || Commit { id: facts.git_commit.clone() };
    SystemInfo {
        id: info.id.clone(),
        containers: count(info.containers),
        containers_running: count(info.running),
        containers_paused: count(info.paused),
        containers_stopped: count(info.stopped),
        images: count(info.images),
        driver: info.driver.clone(),
        driver_status: info.driver_status.iter().map(|(k, v)| [k.clone(), v.clone()]).collect(),
        plugins: PluginsInfo {
            volume: info.volume_drivers.clone(),
            network: info.network_drivers.clone(),
            authorization: Vec::new(),
            log: info.log_drivers.clone(),
        },
        memory_limit: facts.memory_limit,
        swap_limit: facts.swap_limit,
        cpu_cfs_period: facts.cpu_cfs,
        cpu_cfs_quota: facts.cpu_cfs,
        cpu_shares: facts.cpu_shares,
        cpu_set: facts.cpu_set,
        pids_limit: facts.pids_limit,
        ipv4_forwarding: info.ipv4_forwarding,
        debug: info.debug,
        n_fd: count(info.open_files),
        oom_kill_disable: facts.oom_kill_disable,
        n_goroutines: count(info.tasks),
        system_time: info.system_time.to_string(),
        logging_driver: info.logging_driver.clone(),
        cgroup_driver: facts.cgroup_driver.clone(),
        cgroup_version: facts.cgroup_version.clone(),
        n_events_listener: count(info.events_listeners),
        kernel_version: facts.kernel_version.clone(),
        operating_system: facts.operating_system.clone(),
        os_version: facts.os_version.clone(),
        os_type: "linux".to_owned(),
        architecture: facts.architecture.clone(),
        index_server_address: "https://index.docker.io/v1/".to_owned(),
        registry_config: Some(registry(info)),
        n_cpu: facts.cpus.into(),
        mem_total: count(facts.memory_bytes),
        docker_root_dir: facts.data_root.clone(),
        http_proxy: facts.http_proxy.clone(),
        https_proxy: facts.https_proxy.clone(),
        no_proxy: facts.no_proxy.clone(),
        name: info.name.clone(),
        labels: info.labels.clone(),
        cdi_spec_dirs: info.cdi_spec_dirs.clone(),
        discovered_devices: info
            .cdi_devices
            .iter()
            .map(|name| api::system::DeviceInfo { source: "cdi".to_owned(), id: name.clone() })
            .collect(),
        experimental_build: info.experimental,
        server_version: facts.server_version.clone(),
        runtimes: info
            .runtimes
            .iter()
            .map(|(name, (path, args))| {
                (name.clone(), RuntimeInfo { path: path.clone(), args: args.clone(), ..Default::default() })
            })
            .collect(),
        default_runtime: info.default_runtime.clone(),
        swarm: SwarmInfo { local_node_state: "inactive".to_owned(), ..Default::default() },
        live_restore_enabled: info.live_restore,
        isolation: String::new(),
        init_binary: facts.init_binary.clone(),
        containerd_commit: Commit::default(),
        runc_commit: commit(),
        init_commit: commit(),
        security_options: facts.security_options.clone(),
        default_address_pools: info
            .default_address_pools
            .iter()
            .map(|(base, size)| AddressPool { base: base.clone(), size: (*size).into() })
            .collect(),
        firewall_backend: Some(FirewallInfo {
            driver: facts.firewall_backend.clone(),
            info: facts.firewall_info.iter().map(|(key, value)| [key.clone(), value.clone()]).collect(),
        }),
        warnings: facts.warnings.iter().chain(&info.warnings).cloned().collect(),
        ..Default::default()
    }
}

/// What holds without any configuration: the Hub over TLS, loopback registries without.
fn registry(info: &Info) -> RegistryServiceConfig {
    let (networks, hosts): (Vec<_>, Vec<_>) =
        info.insecure_registries.iter().cloned().partition(|entry| entry.contains('/'));
    let hub = IndexInfo {
        name: "docker.io".to_owned(),
        mirrors: info.mirrors.clone(),
        secure: true,
        official: true,
    };
    let named = hosts.into_iter().map(|name| {
        let index = IndexInfo { name: name.clone(), mirrors: Vec::new(), secure: false, official: false };
        (name, index)
    });
    let loopback = ["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    RegistryServiceConfig {
        insecure_registry_cidrs: loopback.into_iter().chain(networks).collect(),
        index_configs: named.chain([("docker.io".to_owned(), hub)]).collect(),
        mirrors: info.mirrors.clone(),
    }
}

/// `kinds` empty is all of them.
pub(crate) fn disk_usage(usage: &DiskUsage, kinds: &[String]) -> api::system::DiskUsage {
    let asked = |kind: &str| kinds.is_empty() || kinds.iter().any(|k| k == kind);
    let now = jiff::Timestamp::now();
    let images = || {
        let items: Vec<_> = usage.images.iter().cloned().map(|image| image::summary(image, false)).collect();
        // As Docker: all but what images with containers have to themselves.
        let used = items.iter().filter(|i| i.containers > 0);
        let reclaimable = usage.layers_bytes as i64 - used.map(|i| i.size - i.shared_size).sum::<i64>();
        Usage {
            active_count: items.iter().filter(|i| i.containers > 0).count() as i64,
            reclaimable,
            total_count: items.len() as i64,
            total_size: usage.layers_bytes as i64,
            items,
        }
    };
    let containers = || {
        let items: Vec<_> = usage.containers.iter().map(|c| container::summary(c, now)).collect();
        let running: BTreeSet<&str> =
            usage.containers.iter().filter(|c| c.state.is_running()).map(|c| c.id.as_str()).collect();
        Usage {
            active_count: running.len() as i64,
            reclaimable: items.iter().filter(|c| !running.contains(c.id.as_str())).map(|c| c.size_rw).sum(),
            total_count: items.len() as i64,
            total_size: items.iter().map(|c| c.size_rw).sum(),
            items,
        }
    };
    let volumes = || {
        let items: Vec<_> = usage.volumes.iter().map(volume::volume).collect();
        let used = |v: &&api::volume::Volume| v.usage_data.as_ref().is_some_and(|u| u.ref_count > 0);
        let size = |v: &api::volume::Volume| v.usage_data.as_ref().map_or(0, |u| u.size.max(0));
        Usage {
            active_count: items.iter().filter(used).count() as i64,
            reclaimable: items.iter().filter(|v| !used(v)).map(size).sum(),
            total_count: items.len() as i64,
            total_size: items.iter().map(size).sum(),
            items,
        }
    };
    api::system::DiskUsage {
        image_usage: asked("image").then(images),
        container_usage: asked("container").then(containers),
        volume_usage: asked("volume").then(volumes),
        build_cache_usage: asked("build-cache").then(Usage::default),
    }
}
