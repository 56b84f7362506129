//! `POST /containers/{id}/update`: the limits and the restart policy of a `HostConfig`, and what Wharf changes beyond that
//! (`docs/update.md`).

use crate::go;
use crate::host_config::RestartPolicy;
use crate::mount::Mount;
use crate::network::PortMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// As a client sends it: what it does not say stays as it is. An engine reads the same body as a `HostConfig`, which has
/// all these fields, and as [`Additions`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateRequest {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub blkio_weight: u16,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cpu_shares: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub nano_cpus: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cpu_period: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cpu_quota: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cpu_realtime_period: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cpu_realtime_runtime: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cpuset_cpus: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub cpuset_mems: String,
    /// Bytes.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub memory: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub memory_reservation: i64,
    /// Memory plus swap, bytes; -1 is unlimited.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub memory_swap: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub restart_policy: RestartPolicy,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub label_add: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub label_remove: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub env_add: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub env_remove: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub port_bindings: PortMap,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub port_bindings_remove: PortMap,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub mount_add: Vec<Mount>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub mount_remove: Vec<String>,
}

/// Wharf's own fields: labels, variables for the next start, published ports and mounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Additions {
    pub label_add: BTreeMap<String, String>,
    pub label_remove: Vec<String>,
    /// `KEY=value`.
    pub env_add: Vec<String>,
    pub env_remove: Vec<String>,
    /// As in a `HostConfig`: beside those that there are.
    pub port_bindings: PortMap,
    /// `null` or none: all of that port.
    pub port_bindings_remove: PortMap,
    /// As `Mounts` of a `HostConfig`: beside those that there are.
    pub mount_add: Vec<Mount>,
    /// Paths in the container.
    pub mount_remove: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateResponse {
    #[serde(serialize_with = "go::null_if_empty")]
    pub warnings: Vec<String>,
}
