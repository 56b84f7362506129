//! What a container was asked to be: the validated request, with the image's defaults merged in at create.
//!
//! The server converts the wire's `ContainerConfig` + `HostConfig` into this; nothing in here knows JSON keys
//! of the API. It has a serde form because a record holds it (`records/v1.rs` freezes that form by a fixture).
//! `Option` means "not said" where that differs from the zero value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Everything `docker create` can say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// The image as the user wrote it.
    pub image: String,
    /// `--platform os/arch[/variant]`, empty when not said.
    pub platform: String,
    /// Empty: the first 12 digits of the id (or the host's, with `--network host` / `--uts host`).
    pub hostname: String,
    pub domainname: String,
    /// `uid`, `uid:gid`, `name`, `name:group` or empty.
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    /// `80/tcp` ...
    #[serde(with = "super::runs::ports")]
    pub exposed_ports: BTreeSet<String>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    /// `KEY=value`; a bare `KEY` removes the image's.
    pub env: Vec<String>,
    /// `None`: the image's.
    pub cmd: Option<Vec<String>>,
    /// `None`: the image's; `Some([])` or `Some([""])` clears it.
    pub entrypoint: Option<Vec<String>>,
    pub healthcheck: Option<Healthcheck>,
    pub args_escaped: bool,
    /// Anonymous volumes.
    pub volumes: BTreeSet<String>,
    pub working_dir: String,
    pub network_disabled: bool,
    /// From the image's config, shown by inspect.
    pub on_build: Option<Vec<String>>,
    pub labels: BTreeMap<String, String>,
    /// Name or number; `None`: the image's, else SIGTERM.
    pub stop_signal: Option<String>,
    /// Seconds; `None`: 10. -1 waits for ever.
    pub stop_timeout_s: Option<i64>,
    pub shell: Option<Vec<String>>,
    pub host: HostSpec,
    /// Endpoints asked for, by network name (`NetworkingConfig.EndpointsConfig`).
    pub endpoints: BTreeMap<String, EndpointSpec>,
    /// It was disconnected from the last of its networks: not even on the default one any more.
    pub without_networks: bool,
}

/// `Healthcheck` of the request or image; see `health.rs` for what becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// `[]`: inherit; `["NONE"]`; `["CMD", ...]`; `["CMD-SHELL", "..."]`; `["PROBE", "tcp://:80"]` (ours).
    pub test: Vec<String>,
    pub interval_ns: i64,
    pub timeout_ns: i64,
    pub start_period_ns: i64,
    pub start_interval_ns: i64,
    pub retries: i64,
}

/// What a container may have of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostSpec {
    /// `-v` strings: `source:target[:options]`.
    pub binds: Vec<String>,
    pub container_id_file: String,
    pub log: LogSpec,
    pub network_mode: NetworkMode,
    /// `80/tcp` → host addresses.
    #[serde(with = "super::runs::bindings")]
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    pub publish_all_ports: bool,
    pub restart: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    pub volumes_from: Vec<String>,
    pub mounts: Vec<MountSpec>,
    /// Rows, columns of the pty at start.
    pub console_size: (u16, u16),
    pub annotations: BTreeMap<String, String>,
    /// Shown as it was said: Linux has one kind, `default`.
    pub isolation: String,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// `None`: the daemon's default (private on v2, host on v1).
    pub cgroupns_mode: Option<CgroupnsMode>,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    /// `name:ip`.
    pub extra_hosts: Vec<String>,
    pub group_add: Vec<String>,
    pub ipc_mode: IpcMode,
    pub cgroup: String,
    pub links: Vec<String>,
    pub oom_score_adj: i32,
    pub pid_mode: PidMode,
    pub privileged: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Vec<String>,
    pub storage_opt: BTreeMap<String, String>,
    /// Target → mount options.
    pub tmpfs: BTreeMap<String, String>,
    pub uts_mode: UtsMode,
    /// `host` or empty.
    pub userns_mode: String,
    /// Bytes; 0: the daemon's default (64 MiB).
    pub shm_size_bytes: i64,
    pub sysctls: BTreeMap<String, String>,
    /// Empty: the daemon's default.
    pub runtime: String,
    /// `None`: Docker's list.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    /// `None`: the daemon's `--init`.
    pub init: Option<bool>,
    pub resources: Resources,
}

/// `--log-driver`, `--log-opt`; an empty driver is the daemon's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSpec {
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

/// Where published traffic enters the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    pub host_ip: String,
    pub host_port: String,
}

/// `--network`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// `default` or `bridge`.
    #[default]
    Bridge,
    Host,
    None,
    /// `container:<name or id>`; holds the full id once created.
    Container(String),
    /// A user-defined network.
    Named(String),
}

impl NetworkMode {
    /// As Docker writes it. The empty string and `default` are the bridge.
    pub fn parse(text: &str) -> Self {
        match text {
            "" | "default" | "bridge" => Self::Bridge,
            "host" => Self::Host,
            "none" => Self::None,
            _ => match text.strip_prefix("container:") {
                Some(id) => Self::Container(id.to_owned()),
                None => Self::Named(text.to_owned()),
            },
        }
    }

    /// The word in `HostConfig.NetworkMode`.
    pub fn word(&self) -> String {
        match self {
            Self::Bridge => "bridge".into(),
            Self::Host => "host".into(),
            Self::None => "none".into(),
            Self::Container(id) => format!("container:{id}"),
            Self::Named(name) => name.clone(),
        }
    }
}

/// `--restart`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    #[default]
    No,
    Always,
    UnlessStopped,
    OnFailure {
        /// 0: no limit.
        max_retries: u32,
    },
    /// Ours: as `OnFailure`, and a container that becomes unhealthy has failed: it is stopped.
    OnUnhealthy {
        max_retries: u32,
    },
}

/// `--ipc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpcMode {
    /// The daemon's `--default-ipc-mode` (private).
    #[default]
    Default,
    /// Private, without a /dev/shm mount.
    None,
    Private,
    Shareable,
    Host,
    Container(String),
}

impl IpcMode {
    /// As inspect shows it.
    pub fn word(&self) -> String {
        match self {
            Self::Default | Self::Private => "private".into(),
            Self::None => "none".into(),
            Self::Shareable => "shareable".into(),
            Self::Host => "host".into(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}

/// `--pid`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidMode {
    #[default]
    Private,
    Host,
    Container(String),
}

/// `--uts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UtsMode {
    #[default]
    Private,
    Host,
}

/// `--cgroupns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupnsMode {
    Private,
    Host,
}

impl CgroupnsMode {
    /// As inspect shows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Host => "host",
        }
    }
}

/// `--mount`, one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountSpec {
    pub kind: MountKind,
    pub source: String,
    pub target: String,
    pub read_only: bool,
    /// Accepted and shown, without effect on Linux (as in Docker).
    pub consistency: String,
    pub bind: Option<BindOptions>,
    pub volume: Option<VolumeOptions>,
    pub tmpfs: Option<TmpfsOptions>,
    /// `image-subpath`, for kind image.
    pub image_subpath: Option<String>,
}

/// Kind of a `--mount`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    #[default]
    Bind,
    Volume,
    Tmpfs,
    Image,
    /// The files of a container that does not run, for reading. Not in Docker.
    Container,
    Npipe,
    Cluster,
}

impl MountKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
            Self::Container => "container",
            Self::Npipe => "npipe",
            Self::Cluster => "cluster",
        }
    }
}

/// `BindOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BindOptions {
    /// Empty: rprivate.
    pub propagation: String,
    pub non_recursive: bool,
    pub create_mountpoint: bool,
    pub read_only_non_recursive: bool,
    pub read_only_force_recursive: bool,
    /// Whose (user, group) files of the container's root are on the host.
    pub match_user: Option<(u32, u32)>,
}

/// `VolumeOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeOptions {
    pub no_copy: bool,
    pub labels: BTreeMap<String, String>,
    pub driver: String,
    pub driver_options: BTreeMap<String, String>,
    pub subpath: String,
}

/// `TmpfsOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TmpfsOptions {
    pub size_bytes: i64,
    pub mode: Option<u32>,
    /// `[key]` or `[key, value]`.
    pub options: Vec<Vec<String>>,
}

/// `--device`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceMapping {
    pub path_on_host: String,
    pub path_in_container: String,
    /// `rwm` or a part of it; empty is `rwm`.
    pub permissions: String,
}

/// `--ulimit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ulimit {
    /// `nofile` ...
    pub name: String,
    /// -1 is unlimited.
    pub soft: i64,
    pub hard: i64,
}

/// A block device limit: rate in bytes or operations per second, or a weight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceLimit {
    pub path: String,
    pub value: u64,
}

/// `DeviceRequests` entry (`--gpus`, `--device vendor/class=name`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    pub driver: String,
    pub count: i64,
    pub device_ids: Vec<String>,
    pub capabilities: Vec<Vec<String>>,
    pub options: BTreeMap<String, String>,
}

/// Limits; zero and empty mean "no limit said".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub cpu_shares: i64,
    pub memory_bytes: i64,
    pub nano_cpus: i64,
    pub cgroup_parent: String,
    pub blkio_weight: u16,
    pub blkio_weight_device: Vec<DeviceLimit>,
    pub blkio_read_bps: Vec<DeviceLimit>,
    pub blkio_write_bps: Vec<DeviceLimit>,
    pub blkio_read_iops: Vec<DeviceLimit>,
    pub blkio_write_iops: Vec<DeviceLimit>,
    pub cpu_period_us: i64,
    pub cpu_quota_us: i64,
    pub cpu_rt_period_us: i64,
    pub cpu_rt_runtime_us: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Vec<DeviceMapping>,
    pub device_cgroup_rules: Vec<String>,
    pub device_requests: Vec<DeviceRequest>,
    pub memory_reservation_bytes: i64,
    /// Memory + swap; -1 unlimited.
    pub memory_swap_bytes: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    /// `None`, 0 or -1: unlimited.
    pub pids_limit: Option<i64>,
    pub ulimits: Vec<Ulimit>,
    // Windows' fields are only echoed; they are refused when set (server).
}

/// What the user said about one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSpec {
    pub mac: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub link_local: Vec<IpAddr>,
    pub aliases: Vec<String>,
    pub links: Vec<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub gw_priority: i64,
}
