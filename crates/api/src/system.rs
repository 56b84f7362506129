//! The engine about itself: version, info, disk usage.

use crate::container::ContainerSummary;
use crate::go;
use crate::image::ImageSummary;
use crate::volume::Volume;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /version`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VersionResponse {
    pub platform: PlatformInfo,
    pub version: String,
    pub api_version: String,
    #[serde(rename = "MinAPIVersion", skip_serializing_if = "go::is_zero")]
    pub min_api_version: String,
    pub os: String,
    pub arch: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub components: Vec<ComponentVersion>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub git_commit: String,
    /// Always there: clients print it unasked.
    pub go_version: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub kernel_version: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub experimental: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub build_time: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PlatformInfo {
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ComponentVersion {
    pub name: String,
    pub version: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub details: BTreeMap<String, String>,
}

/// `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SystemInfo {
    #[serde(rename = "ID")]
    pub id: String,
    pub containers: i64,
    pub containers_running: i64,
    pub containers_paused: i64,
    pub containers_stopped: i64,
    pub images: i64,
    pub driver: String,
    pub driver_status: Vec<[String; 2]>,
    pub plugins: PluginsInfo,
    pub memory_limit: bool,
    pub swap_limit: bool,
    pub cpu_cfs_period: bool,
    pub cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    pub pids_limit: bool,
    #[serde(rename = "IPv4Forwarding")]
    pub ipv4_forwarding: bool,
    pub debug: bool,
    #[serde(rename = "NFd")]
    pub n_fd: i64,
    pub oom_kill_disable: bool,
    /// Tasks of the event loop, where Docker counts goroutines.
    #[serde(rename = "NGoroutines")]
    pub n_goroutines: i64,
    pub system_time: String,
    pub logging_driver: String,
    pub cgroup_driver: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cgroup_version: String,
    #[serde(rename = "NEventsListener")]
    pub n_events_listener: i64,
    pub kernel_version: String,
    pub operating_system: String,
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    #[serde(rename = "OSType")]
    pub os_type: String,
    pub architecture: String,
    pub index_server_address: String,
    pub registry_config: Option<RegistryServiceConfig>,
    #[serde(rename = "NCPU")]
    pub n_cpu: i64,
    /// Bytes.
    pub mem_total: i64,
    #[serde(serialize_with = "go::null_if_empty")]
    pub generic_resources: Vec<serde_json::Value>,
    pub docker_root_dir: String,
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
    pub name: String,
    pub labels: Vec<String>,
    pub experimental_build: bool,
    pub server_version: String,
    pub runtimes: BTreeMap<String, RuntimeInfo>,
    pub default_runtime: String,
    pub swarm: SwarmInfo,
    pub live_restore_enabled: bool,
    pub isolation: String,
    pub init_binary: String,
    pub containerd_commit: Commit,
    pub runc_commit: Commit,
    pub init_commit: Commit,
    pub security_options: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub product_license: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub default_address_pools: Vec<AddressPool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall_backend: Option<FirewallInfo>,
    #[serde(rename = "CDISpecDirs")]
    pub cdi_spec_dirs: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub discovered_devices: Vec<DeviceInfo>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PluginsInfo {
    #[serde(serialize_with = "go::null_if_empty")]
    pub volume: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub network: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub authorization: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub log: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RegistryServiceConfig {
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub insecure_registry_cidrs: Vec<String>,
    pub index_configs: BTreeMap<String, IndexInfo>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub mirrors: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IndexInfo {
    pub name: String,
    pub mirrors: Vec<String>,
    pub secure: bool,
    pub official: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeInfo {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub path: String,
    #[serde(rename = "runtimeArgs", skip_serializing_if = "go::is_zero")]
    pub args: Vec<String>,
    #[serde(rename = "runtimeType", skip_serializing_if = "go::is_zero")]
    pub kind: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub options: BTreeMap<String, serde_json::Value>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub status: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SwarmInfo {
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub node_addr: String,
    /// `inactive`, `active` ...
    pub local_node_state: String,
    pub control_available: bool,
    pub error: String,
    #[serde(serialize_with = "go::null_if_empty")]
    pub remote_managers: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commit {
    #[serde(rename = "ID")]
    pub id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AddressPool {
    pub base: String,
    pub size: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct FirewallInfo {
    pub driver: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub info: Vec<[String; 2]>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceInfo {
    #[serde(rename = "Source")]
    pub source: String,
    #[serde(rename = "ID")]
    pub id: String,
}

/// `GET /system/df`; a kind that was not asked for is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DiskUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_usage: Option<Usage<ImageSummary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_usage: Option<Usage<ContainerSummary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_usage: Option<Usage<Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_cache_usage: Option<Usage<serde_json::Value>>,
}

/// Sizes are bytes. `items` only with `verbose=1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "T: serde::de::DeserializeOwned + Default"))]
pub struct Usage<T: PartialEq> {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub active_count: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub items: Vec<T>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub reclaimable: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub total_count: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub total_size: i64,
}
