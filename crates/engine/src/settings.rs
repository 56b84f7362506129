//! What the engine was configured to do. The daemon parses flags and `daemon.json` into this; SIGHUP replaces
//! the reloadable part as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::container::{CgroupnsMode, IpcMode, Limits, LogSpec, Ulimit};

/// The daemon's defaults for containers, and where things are.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub cgroup_v2: bool,
    /// What the machine can limit.
    pub limits: Limits,
    /// `--cgroup-parent`; empty: `/docker`.
    pub cgroup_parent: String,
    pub log: LogSpec,
    pub ulimits: Vec<Ulimit>,
    pub shm_size_bytes: i64,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub init: bool,
    pub seccomp: SeccompSetting,
    pub no_new_privileges: bool,
    pub ipc_mode: IpcMode,
    pub cgroupns_mode: CgroupnsMode,
    pub live_restore: bool,
    pub debug: bool,
    pub experimental: bool,
    pub labels: Vec<String>,
    /// Where files about devices lie; a later one's word counts more.
    pub cdi_spec_dirs: Vec<PathBuf>,
    pub default_runtime: String,
    /// Name → path and arguments; the built-in ones (`wharf`, `runc`, `io.containerd.runc.v2`) not included.
    pub runtimes: BTreeMap<String, (PathBuf, Vec<String>)>,
    pub shutdown_timeout_s: i64,
    /// What `host-gateway` in `--add-host` means; `None`: the bridge's gateway.
    pub host_gateway: Option<std::net::IpAddr>,
    pub registries: distribution::Settings,
    /// Layers of all pulls that are downloaded at a time.
    pub downloads_max: usize,
    /// As many blobs of a push are uploaded at a time.
    pub uploads_max: usize,
    /// Where ports are published that name no address (`--ip`).
    pub publish_address: std::net::IpAddr,
}

/// `--seccomp-profile`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeccompSetting {
    Builtin,
    Unconfined,
    /// The text of a profile.
    Profile(String),
}

impl Settings {
    /// Docker's defaults with these two directories.
    pub fn new(data_root: PathBuf, exec_root: PathBuf) -> Self {
        Self {
            data_root,
            exec_root,
            cgroup_v2: false,
            limits: Limits::default(),
            cgroup_parent: String::new(),
            log: LogSpec { driver: "json-file".into(), options: BTreeMap::new() },
            ulimits: Vec::new(),
            shm_size_bytes: 64 << 20,
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            init: false,
            seccomp: SeccompSetting::Builtin,
            no_new_privileges: false,
            ipc_mode: IpcMode::Private,
            cgroupns_mode: CgroupnsMode::Host,
            live_restore: true,
            debug: false,
            experimental: false,
            labels: Vec::new(),
            cdi_spec_dirs: ["/etc/cdi", "/var/run/cdi"].map(PathBuf::from).into(),
            default_runtime: "runc".into(),
            runtimes: BTreeMap::new(),
            shutdown_timeout_s: 15,
            host_gateway: None,
            registries: distribution::Settings::default(),
            downloads_max: 3,
            uploads_max: 5,
            publish_address: std::net::Ipv4Addr::UNSPECIFIED.into(),
        }
    }
}

/// Names that mean the built-in runtime, so that configurations written for Docker go on working.
pub const BUILTIN_RUNTIMES: &[&str] = &["runc", "wharf", "io.containerd.runc.v2"];
