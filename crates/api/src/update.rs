//! `POST /containers/{id}/update`: the limits and the restart policy of a `HostConfig`, and what Wharf changes beyond that.

use crate::go;
use crate::host_config::RestartPolicy;
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
}

/// Wharf's own fields: labels, and variables for the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Additions {
    pub label_add: BTreeMap<String, String>,
    pub label_remove: Vec<String>,
    /// `KEY=value`.
    pub env_add: Vec<String>,
    pub env_remove: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateResponse {
    #[serde(serialize_with = "go::null_if_empty")]
    pub warnings: Vec<String>,
}
