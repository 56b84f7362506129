//! Volumes, as `GET /system/df` lists them.

use crate::go;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Volume {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub created_at: String,
    pub driver: String,
    #[serde(serialize_with = "go::null_if_empty")]
    pub labels: BTreeMap<String, String>,
    pub mountpoint: String,
    pub name: String,
    #[serde(serialize_with = "go::null_if_empty")]
    pub options: BTreeMap<String, String>,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_data: Option<UsageData>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UsageData {
    /// Containers that use it; -1 is not known.
    pub ref_count: i64,
    /// Bytes; -1 is not known.
    pub size: i64,
}
