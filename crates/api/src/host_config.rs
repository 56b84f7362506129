//! `HostConfig`: what depends on the host a container runs on. All fields of API 1.55, in Docker's order.

use crate::go;
use crate::mount::Mount;
use crate::network::PortMap;
use crate::text::text_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

text_enum! {
    RestartPolicyName {
        NO = "no",
        ALWAYS = "always",
        ON_FAILURE = "on-failure",
        UNLESS_STOPPED = "unless-stopped",
        /// Wharf's own.
        ON_UNHEALTHY = "on-unhealthy",
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HostConfig {
    #[serde(serialize_with = "go::null_if_empty")]
    pub binds: Vec<String>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    /// `default`, `bridge`, `host`, `none`, `container:<name>` or a network's name.
    pub network_mode: String,
    #[serde(deserialize_with = "go::large_map")]
    pub port_bindings: PortMap,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    #[serde(serialize_with = "go::null_if_empty")]
    pub volumes_from: Vec<String>,
    /// Height, width.
    pub console_size: [u32; 2],
    #[serde(skip_serializing_if = "go::is_zero")]
    pub annotations: BTreeMap<String, String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub cap_add: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub cap_drop: Vec<String>,
    pub cgroupns_mode: String,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub extra_hosts: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub group_add: Vec<String>,
    pub ipc_mode: String,
    pub cgroup: String,
    #[serde(serialize_with = "go::null_if_empty")]
    pub links: Vec<String>,
    pub oom_score_adj: i64,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    #[serde(serialize_with = "go::null_if_empty")]
    pub security_opt: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub storage_opt: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    /// Bytes.
    pub shm_size: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub sysctls: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub runtime: String,
    pub isolation: String,

    pub cpu_shares: i64,
    /// Bytes.
    pub memory: i64,
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    pub cgroup_parent: String,
    pub blkio_weight: u16,
    pub blkio_weight_device: Vec<WeightDevice>,
    pub blkio_device_read_bps: Vec<ThrottleDevice>,
    pub blkio_device_write_bps: Vec<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Vec<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Vec<ThrottleDevice>,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    /// Microseconds.
    pub cpu_realtime_period: i64,
    /// Microseconds.
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Vec<DeviceMapping>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub device_cgroup_rules: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub device_requests: Vec<DeviceRequest>,
    /// Bytes.
    pub memory_reservation: i64,
    /// Memory plus swap, bytes; -1 is unlimited.
    pub memory_swap: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub pids_limit: Option<i64>,
    pub ulimits: Vec<Ulimit>,
    /// Windows.
    pub cpu_count: i64,
    /// Windows.
    pub cpu_percent: i64,
    /// Windows.
    #[serde(rename = "IOMaximumIOps")]
    pub io_maximum_iops: u64,
    /// Windows.
    #[serde(rename = "IOMaximumBandwidth")]
    pub io_maximum_bandwidth: u64,

    #[serde(skip_serializing_if = "go::is_zero")]
    pub mounts: Vec<Mount>,
    /// Absent is the default list; an empty list masks nothing.
    pub masked_paths: Option<Vec<String>>,
    /// Absent is the default list; an empty list protects nothing.
    pub readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LogConfig {
    #[serde(rename = "Type")]
    pub kind: String,
    pub config: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RestartPolicy {
    pub name: RestartPolicyName,
    pub maximum_retry_count: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WeightDevice {
    pub path: String,
    pub weight: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ThrottleDevice {
    pub path: String,
    pub rate: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceMapping {
    pub path_on_host: String,
    pub path_in_container: String,
    /// Of `rwm`.
    pub cgroup_permissions: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceRequest {
    pub driver: String,
    /// -1 is all.
    pub count: i64,
    #[serde(rename = "DeviceIDs", serialize_with = "go::null_if_empty")]
    pub device_ids: Vec<String>,
    /// Any of these sets.
    #[serde(serialize_with = "go::null_if_empty")]
    pub capabilities: Vec<Vec<String>>,
    pub options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ulimit {
    pub name: String,
    /// -1 is unlimited.
    pub hard: i64,
    /// -1 is unlimited.
    pub soft: i64,
}
