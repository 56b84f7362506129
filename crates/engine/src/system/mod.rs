//! What the engine says about itself and the machine: info, version, disk usage.

mod service;
pub use service::System;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::containers::Container;
pub use crate::identity::kept_engine_id;
use crate::images::ImageSummary;
use crate::volumes::Volume;
use std::sync::Arc;

/// Facts that do not change while the engine runs, gathered by `daemon` (from `check` and the configuration).
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The Docker release whose behaviour this is.
    pub server_version: String,
    /// Wharf's own.
    pub wharf_version: String,
    pub git_commit: String,
    pub build_time: String,
    pub data_root: String,
    pub kernel_version: String,
    pub operating_system: String,
    pub os_version: String,
    /// `x86_64` ...
    pub architecture: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    /// `1` or `2`.
    pub cgroup_version: String,
    pub cgroup_driver: String,
    pub memory_limit: bool,
    pub swap_limit: bool,
    pub cpu_cfs: bool,
    pub cpu_shares: bool,
    pub cpu_set: bool,
    pub pids_limit: bool,
    pub oom_kill_disable: bool,
    /// `name=seccomp,profile=builtin`, `name=cgroupns` ...
    pub security_options: Vec<String>,
    pub init_binary: String,
    pub firewall_backend: String,
    /// Beside the backend: names and values.
    pub firewall_info: Vec<(String, String)>,
    /// What `check` has to say about this machine.
    pub warnings: Vec<String>,
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
    /// (base, size), as the engine was told.
    pub default_address_pools: Vec<(String, u32)>,
}

/// `GET /info`.
#[derive(Debug, Clone, Default)]
pub struct Info {
    pub facts: Arc<Facts>,
    /// Made once per data root.
    pub id: String,
    pub name: String,
    pub containers: u64,
    pub running: u64,
    pub paused: u64,
    pub stopped: u64,
    pub images: u64,
    /// Beside those of this machine.
    pub insecure_registries: Vec<String>,
    /// Of Docker Hub.
    pub mirrors: Vec<String>,
    pub driver: String,
    pub driver_status: Vec<(String, String)>,
    pub logging_driver: String,
    pub log_drivers: Vec<String>,
    pub network_drivers: Vec<String>,
    pub volume_drivers: Vec<String>,
    pub ipv4_forwarding: bool,
    pub debug: bool,
    pub open_files: u64,
    pub tasks: u64,
    pub events_listeners: u64,
    pub system_time: Timestamp,
    pub labels: Vec<String>,
    pub cdi_spec_dirs: Vec<String>,
    /// Full names of the devices that files there describe.
    pub cdi_devices: Vec<String>,
    pub experimental: bool,
    pub default_runtime: String,
    /// Name → path and arguments.
    pub runtimes: BTreeMap<String, (String, Vec<String>)>,
    pub live_restore: bool,
    /// (base, size)
    pub default_address_pools: Vec<(String, u32)>,
    pub warnings: Vec<String>,
}

/// `GET /version`; API versions are the server's.
#[derive(Debug, Clone, Default)]
pub struct Version {
    pub facts: Arc<Facts>,
    pub experimental: bool,
}

/// `GET /system/df`.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    pub layers_bytes: u64,
    pub images: Vec<ImageSummary>,
    /// With their sizes measured.
    pub containers: Vec<Arc<Container>>,
    /// Those that lie here, with their sizes measured.
    pub volumes: Vec<Volume>,
}
