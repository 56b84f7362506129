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

/// `GET /system/df` before 1.52: the lists themselves, to be counted by who asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DiskUsageLists {
    /// Bytes.
    pub layers_size: i64,
    pub images: Vec<ImageSummary>,
    pub containers: Vec<ContainerSummary>,
    pub volumes: Vec<Volume>,
    pub build_cache: Vec<serde_json::Value>,
}

impl From<DiskUsageLists> for DiskUsage {
    /// Counted as Docker's client does.
    fn from(lists: DiskUsageLists) -> Self {
        let used = |image: &&ImageSummary| image.containers != 0;
        let own = |image: &ImageSummary| match (image.size, image.shared_size) {
            (-1, _) | (_, -1) => 0,
            (size, shared) => size - shared,
        };
        let images = Usage {
            active_count: count(lists.images.iter().filter(used)),
            total_count: count(lists.images.iter()),
            total_size: lists.layers_size,
            reclaimable: lists.layers_size - lists.images.iter().filter(used).map(own).sum::<i64>(),
            items: lists.images,
        };
        let runs = |container: &&ContainerSummary| {
            ["running", "paused", "restarting"].iter().any(|state| container.state == *state)
        };
        let containers = Usage {
            active_count: count(lists.containers.iter().filter(runs)),
            total_count: count(lists.containers.iter()),
            total_size: lists.containers.iter().map(|container| container.size_rw).sum(),
            reclaimable: lists
                .containers
                .iter()
                .filter(|c| !runs(c))
                .map(|container| container.size_rw)
                .sum(),
            items: lists.containers,
        };
        // -1: nobody has measured it.
        let size = |volume: &Volume| volume.usage_data.as_ref().map_or(0, |usage| usage.size.max(0));
        let held = |volume: &&Volume| volume.usage_data.as_ref().is_some_and(|usage| usage.ref_count > 0);
        let volumes = Usage {
            active_count: count(lists.volumes.iter().filter(held)),
            total_count: count(lists.volumes.iter()),
            total_size: lists.volumes.iter().map(size).sum(),
            reclaimable: lists.volumes.iter().filter(|volume| !held(volume)).map(size).sum(),
            items: lists.volumes,
        };
        let flag = |entry: &serde_json::Value, name: &str| entry[name].as_bool().unwrap_or_default();
        let bytes = |entry: &serde_json::Value| match flag(entry, "Shared") {
            true => 0,
            false => entry["Size"].as_i64().unwrap_or_default(),
        };
        let cache = Usage {
            active_count: count(lists.build_cache.iter().filter(|entry| flag(entry, "InUse"))),
            total_count: count(lists.build_cache.iter()),
            total_size: lists.build_cache.iter().map(bytes).sum(),
            reclaimable: lists.build_cache.iter().filter(|entry| !flag(entry, "InUse")).map(bytes).sum(),
            items: lists.build_cache,
        };
        Self {
            image_usage: Some(images),
            container_usage: Some(containers),
            volume_usage: Some(volumes),
            build_cache_usage: Some(cache),
        }
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> i64 {
    i64::try_from(items.count()).unwrap_or(i64::MAX)
}
