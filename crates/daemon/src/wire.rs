//! The wiring: configuration in, engine out, by plain constructors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use engine::ports::{ContainerRuntime, NetworkFabric};
use engine::system::Facts;
use engine::{Disk, Engine, Ports, SeccompSetting, Settings};
use serde_json::Value;
use store::{DriverKind, Store};

use crate::adapters::network::Network;
use crate::adapters::plugins::HttpPlugins;
use crate::adapters::roots::ProcRoots;
use crate::adapters::runtime::ShimRuntime;
use crate::adapters::small::{RandomIds, Seccomp, SystemClock};
use crate::config::Config;

/// The Docker release whose behaviour this is, not Wharf's own: clients parse it and compare (Compose, Buildx,
/// Testcontainers ask for a least version). Wharf's own stands among the components of `/version`.
pub(crate) const SERVER_VERSION: &str = "29.0.0";
/// From `build.rs`; `unknown` for a build outside of a checkout.
pub(crate) const GIT_COMMIT: &str = env!("WHARF_GIT_COMMIT");

pub(crate) fn settings(config: &Config) -> Result<Settings, String> {
    let mut settings = Settings::new(config.data_root(), config.exec_root());
    let machine = check::Machine::detect();
    settings.cgroup_v2 = machine.cgroup_version == "2";
    settings.limits = limits(&machine);
    if settings.cgroup_v2 {
        settings.cgroupns_mode = engine::containers::CgroupnsMode::Private;
    }
    match config.text("default-cgroupns-mode") {
        None => {}
        Some("private") => settings.cgroupns_mode = engine::containers::CgroupnsMode::Private,
        Some("host") => settings.cgroupns_mode = engine::containers::CgroupnsMode::Host,
        Some(other) => {
            return Err(format!("invalid default cgroup namespace (default-cgroupns-mode): {other}"));
        }
    }
    match config.text("default-ipc-mode") {
        None | Some("private") => {}
        Some("shareable") => settings.ipc_mode = engine::containers::IpcMode::Shareable,
        Some(other) => {
            return Err(format!(
                "IPC mode \"{other}\" is not supported as default setting; use \"private\" or \"shareable\""
            ));
        }
    }
    settings.cgroup_parent = config.text("cgroup-parent").unwrap_or_default().to_owned();
    settings.dns = config.list("dns");
    settings.dns_options = config.list("dns-opt");
    settings.dns_search = config.list("dns-search");
    settings.init = config.flag("init", false);
    settings.no_new_privileges = config.flag("no-new-privileges", false);
    settings.experimental = config.flag("experimental", false);
    settings.shutdown_timeout_s = config.number("shutdown-timeout").unwrap_or(15);
    if let Some(text) = config.text("default-shm-size") {
        settings.shm_size_bytes = bytes(text).ok_or_else(|| format!("invalid default-shm-size: {text}"))?;
    }
    settings.host_gateways = config.host_gateways()?;
    if let Some(text) = config.text("ip").filter(|text| !text.is_empty()) {
        settings.publish_address = text.parse().map_err(|_| format!("invalid ip: {text}"))?;
    }
    settings.network_options = config.network_options()?;
    settings.log.driver = config.text("log-driver").unwrap_or("json-file").to_owned();
    for (key, value) in config.map("log-opt") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        settings.log.options.insert(key, value);
    }
    logs::validate(&settings.log.driver, &settings.log.options)
        .map_err(|error| format!("failed to set log opts: {error}"))?;
    for (name, value) in config.map("default-ulimit") {
        settings.ulimits.push(ulimit(&name, &value)?);
    }
    settings.seccomp = match config.text("seccomp-profile") {
        None | Some("builtin") => SeccompSetting::Builtin,
        Some("unconfined") => SeccompSetting::Unconfined,
        Some(path) => SeccompSetting::Profile(
            std::fs::read_to_string(path)
                .map_err(|error| format!("opening seccomp profile ({path}) failed: {error}"))?,
        ),
    };
    reloadable(config, &mut settings)?;
    Ok(settings)
}

/// What SIGHUP may change.
pub(crate) fn reloadable(config: &Config, settings: &mut Settings) -> Result<(), String> {
    settings.debug = config.flag("debug", false);
    settings.labels = config.labels()?;
    let directories = config.list("cdi-spec-dir");
    if !directories.is_empty() {
        settings.cdi_spec_dirs = directories.into_iter().map(Into::into).collect();
    }
    settings.live_restore = config.flag("live-restore", true);
    settings.shutdown_timeout_s = config.number("shutdown-timeout").unwrap_or(15);
    settings.registries = config.registries()?;
    settings.downloads_max = config.downloads_max()?;
    settings.uploads_max = config.uploads_max()?;
    settings.image_gc = config.image_gc()?;
    settings.runtimes = runtimes(config)?;
    settings.default_runtime = config.text("default-runtime").unwrap_or("runc").to_owned();
    let known = settings.runtimes.contains_key(&settings.default_runtime)
        || engine::BUILTIN_RUNTIMES.contains(&settings.default_runtime.as_str());
    match known {
        true => Ok(()),
        false => Err(format!("specified default runtime '{}' does not exist", settings.default_runtime)),
    }
}

fn limits(machine: &check::Machine) -> engine::containers::Limits {
    engine::containers::Limits {
        memory: machine.memory_limit,
        memory_reservation: machine.memory_reservation,
        memory_swappiness: machine.memory_swappiness,
        swap: machine.swap_limit,
        oom_kill_disable: machine.oom_kill_disable,
        pids: machine.pids_limit,
        cpu_cfs: machine.cpu_cfs_period && machine.cpu_cfs_quota,
        cpu_shares: machine.cpu_shares,
        cpuset: machine.cpu_set,
        blkio_weight: machine.blkio_weight,
        blkio_throttle: machine.blkio_throttle,
        cpus: machine.cpus_online.clone(),
        mems: machine.mems_online.clone(),
    }
}

fn runtimes(config: &Config) -> Result<BTreeMap<String, (PathBuf, Vec<String>)>, String> {
    let mut runtimes = BTreeMap::new();
    for (name, value) in config.map("add-runtime") {
        if engine::BUILTIN_RUNTIMES.contains(&name.as_str()) {
            return Err(format!("runtime name '{name}' is reserved"));
        }
        let path = value.get("path").and_then(Value::as_str);
        let path = path.ok_or_else(|| format!("runtime {name}: only runtimes with a path are built yet"))?;
        let args = value.get("runtimeArgs").and_then(Value::as_array);
        let args = args.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        runtimes.insert(name, (find_program(path), args));
    }
    Ok(runtimes)
}

/// A name without a slash is looked for in `$PATH` now: who executes it has no environment. One that is not there
/// is told when a container wants it, as in Docker.
fn find_program(path: &str) -> PathBuf {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let found = (!path.contains('/')).then(|| {
        std::env::split_paths(&directories)
            .map(|directory| directory.join(path))
            .find(|program| program.is_file())
    });
    found.flatten().unwrap_or_else(|| PathBuf::from(path))
}

/// `64M`, `1g`, plain bytes.
fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (digits, factor) = match lower.as_bytes().last()? {
        b'k' => (&lower[..lower.len() - 1], 1 << 10),
        b'm' => (&lower[..lower.len() - 1], 1 << 20),
        b'g' => (&lower[..lower.len() - 1], 1 << 30),
        _ => (lower, 1_i64),
    };
    digits.trim().parse::<i64>().ok()?.checked_mul(factor).filter(|n| *n > 0)
}

/// A flag's `1024:2048`, or the file's `{"Name":..,"Soft":..,"Hard":..}`.
fn ulimit(name: &str, value: &Value) -> Result<engine::containers::Ulimit, String> {
    let bad = || format!("invalid default ulimit {name}: {value}");
    let (soft, hard) = match value {
        Value::String(text) => {
            let (soft, hard) = text.split_once(':').unwrap_or((text, text));
            (soft.parse().map_err(|_| bad())?, hard.parse().map_err(|_| bad())?)
        }
        object => {
            let number = |key: &str| object.get(key).and_then(Value::as_i64).ok_or_else(bad);
            (number("Soft")?, number("Hard")?)
        }
    };
    Ok(engine::containers::Ulimit { name: name.to_owned(), soft, hard })
}

fn desired(config: &Config) -> Result<net::Desired, String> {
    let name = config.text("bridge").unwrap_or("docker0").to_owned();
    fn parse<T: std::str::FromStr>(config: &Config, flag: &str) -> Result<Option<T>, String> {
        config.text(flag).map(|text| text.parse().map_err(|_| format!("invalid {flag}: {text}"))).transpose()
    }
    let mtu = config.number("mtu").filter(|mtu| *mtu > 0);
    let mtu = mtu.map(|mtu| u32::try_from(mtu).map_err(|_| format!("invalid mtu: {mtu}"))).transpose()?;
    let accept = config.accepted_mark()?;
    let firewall = config.flag("iptables", true).then(|| net::FirewallConfig {
        // Every engine of a host has its own table.
        table: if name == "docker0" { "wharf".into() } else { format!("wharf-{name}") },
        respect: config.text("firewall") == Some("respect"),
        ipv6: config.flag("ip6tables", true),
        direct: config.flag("allow-direct-routing", false),
        accept,
    });
    let has_ipv6 = config.flag("ipv6", false);
    let ipv6 = net::Ipv6Config {
        address: parse(config, "bip6")?,
        range: parse(config, "fixed-cidr-v6")?,
        gateway: parse(config, "default-gateway-v6")?,
        ..net::Ipv6Config::default()
    };
    let bridge = net::BridgeConfig {
        address: parse(config, "bip")?,
        range: parse(config, "fixed-cidr")?,
        mtu,
        gateway: parse(config, "default-gateway")?,
        inter_container: config.flag("icc", true),
        masquerade: config.flag("ip-masq", true),
        ipv6: has_ipv6.then_some(ipv6),
        ..net::BridgeConfig::default()
    };
    let bridges = match name.as_str() {
        "none" => Vec::new(),
        _ => vec![net::BridgeConfig { name, ..bridge }],
    };
    Ok(net::Desired {
        bridges,
        firewall,
        ip_forward: config.flag("ip-forward", true),
        guard: !config.flag("ip-forward-no-drop", false),
        pools: config.address_pools()?,
        ..net::Desired::default()
    })
}

/// Everything plugged together. Blocking parts run side by side: the disk, the network, the spawner.
pub(crate) async fn engine(config: &Config) -> Result<Engine, String> {
    // First of all: what is started from here on is where the engine is.
    match cgroups::machine().and_then(|machine| cgroups::make_room(&machine)) {
        Ok(0) => {}
        Ok(processes) => {
            tracing::info!(processes, "in a container: its processes are in the cgroup /init now")
        }
        Err(error) => tracing::warn!(%error, "containers may have no limits"),
    }
    let mut settings = settings(config)?;
    let driver =
        config.text("storage-driver").map(DriverKind::parse).transpose().map_err(|e| e.to_string())?;
    let data_root = settings.data_root.clone();
    let opening = tokio::task::spawn_blocking(move || Store::open_with(&data_root, driver));
    let ids = Arc::new(RandomIds);
    let mut desired = desired(config)?;
    let of_ipv6 = |pool: &net::AddressPool| pool.base.addr().is_ipv6();
    if !desired.pools.iter().any(of_ipv6) {
        let engine_id = engine::system::kept_engine_id(&settings.data_root, &*ids);
        desired.pools.push(crate::config::own_prefix(&engine_id));
    }
    let mut pools = desired.pools.clone();
    if pools.iter().all(of_ipv6) {
        pools.extend(net::default_pools());
    }
    let network_id = engine::ports::Ids::id(&*ids);
    let network_id_path = settings.data_root.join("network-id");
    let exec_root = settings.exec_root.clone();
    let network = tokio::task::spawn_blocking(move || {
        let id = kept_id(&network_id_path, network_id);
        let desired = net::Desired { incomplete: true, owner: id[..12].to_owned(), ..desired };
        Network::start(desired, pools, id, exec_root)
    });
    let runtime = Arc::new(
        ShimRuntime::new(&settings.exec_root)
            .map_err(|error| format!("exec root {}: {error}", settings.exec_root.display()))?,
    );
    let warming = runtime.clone();
    tokio::spawn(async move {
        if let Err(error) = warming.warm().await {
            tracing::warn!(%error, "could not start the spawner, the next request tries again");
        }
    });
    let joined = |error: tokio::task::JoinError| error.to_string();
    let store = opening.await.map_err(joined)?.map_err(|error| format!("failed to start daemon: {error}"))?;
    for warning in store.warnings() {
        tracing::warn!("{warning}");
    }
    settings.storage = storage_defaults(config, &store)?;
    let network = network.await.map_err(joined)?;
    let network = network
        .map_err(|error| format!("failed to start daemon: Error initializing network controller: {error}"))?;
    let store = Arc::new(store);
    let network: Arc<dyn NetworkFabric> = Arc::new(network);
    let pools = config.address_pools()?.into_iter();
    let pools = pools.map(|pool| (pool.base.to_string(), pool.size.into())).collect();
    let facts = facts(&settings, &*network, pools);
    let runtime: Arc<dyn ContainerRuntime> = runtime;
    let ports = Ports {
        runtime,
        network,
        storage: Arc::new(Disk::new(store.clone())),
        seccomp: Arc::new(Seccomp),
        clock: Arc::new(SystemClock),
        ids,
        mirror: Arc::new(server::ConfigFiles),
        roots: Arc::new(ProcRoots),
        plugins: Arc::new(HttpPlugins::new(plugin_directories(config))),
    };
    let engine = Engine::new(settings, ports, store, facts);
    engine.boot().await.map_err(|error| format!("failed to start daemon: {error}"))?;
    Ok(engine)
}

/// What `--storage-opt` says, which the driver must know and the file system must be able to.
fn storage_defaults(config: &Config, store: &Store) -> Result<engine::StorageDefaults, String> {
    let failed = |why: String| format!("failed to start daemon: error initializing graphdriver: {why}");
    let driver = store.snapshots().driver_name();
    let defaults = engine::StorageDefaults::parse(driver, &config.list("storage-opt")).map_err(failed)?;
    match (defaults.size_bytes, store::check_quota(store.layout().root())) {
        (Some(_), Err(why)) => Err(failed(format!(
            "Storage option {driver}.size not supported. Filesystem does not support Project Quota: {why}"
        ))),
        _ => Ok(defaults),
    }
}

/// Where plugins are looked for.
fn plugin_directories(config: &Config) -> Vec<PathBuf> {
    let said = config.list("plugin-dir");
    match said.is_empty() {
        true => plugins::DIRECTORIES.iter().map(PathBuf::from).collect(),
        false => said.into_iter().map(PathBuf::from).collect(),
    }
}

/// The default network's id is the same after a restart.
fn kept_id(path: &std::path::Path, fresh: String) -> String {
    match std::fs::read_to_string(path) {
        Ok(id) if id.trim().len() == 64 => id.trim().to_owned(),
        _ => {
            if let Some(parent) = path.parent() {
                let _ = std::fs::create_dir_all(parent);
            }
            if let Err(error) = std::fs::write(path, &fresh) {
                tracing::warn!(path = %path.display(), %error, "could not keep the network's id");
            }
            fresh
        }
    }
}

fn facts(
    settings: &Settings,
    network: &dyn NetworkFabric,
    default_address_pools: Vec<(String, u32)>,
) -> Facts {
    let machine = check::Machine::detect();
    let uname = rustix::system::uname();
    let memory = rustix::system::sysinfo();
    Facts {
        server_version: SERVER_VERSION.into(),
        git_commit: GIT_COMMIT.into(),
        wharf_version: env!("CARGO_PKG_VERSION").into(),
        build_time: env!("WHARF_BUILD_TIME").into(),
        data_root: settings.data_root.to_string_lossy().into_owned(),
        kernel_version: uname.release().to_string_lossy().into_owned(),
        operating_system: machine.operating_system.clone(),
        os_version: machine.os_version.clone(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_bytes: memory.totalram as u64 * u64::from(memory.mem_unit),
        cgroup_version: machine.cgroup_version.to_string(),
        cgroup_driver: "cgroupfs".into(),
        memory_limit: machine.memory_limit,
        swap_limit: machine.swap_limit,
        cpu_cfs: machine.cpu_cfs_quota,
        cpu_shares: machine.cpu_shares,
        cpu_set: machine.cpu_set,
        pids_limit: machine.pids_limit,
        oom_kill_disable: machine.oom_kill_disable,
        security_options: machine.security_options(),
        init_binary: "wharf".into(),
        firewall_backend: network.facts().firewall_backend,
        firewall_info: match network.facts().respects_host {
            true => vec![("Firewall".to_owned(), "respect".to_owned())],
            false => Vec::new(),
        },
        warnings: machine.warnings.clone(),
        http_proxy: settings.registries.proxies.http.clone(),
        https_proxy: settings.registries.proxies.https.clone(),
        no_proxy: settings.registries.proxies.none_for.clone(),
        default_address_pools,
    }
}
