//! Lines of the JSON streams of pull, push, load, import and build.

use crate::go;
use serde::{Deserialize, Serialize};

/// One line. `error` and `progress` are the texts that clients before API 1.x read instead of the details;
/// Docker still sends them, and so do we.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressMessage {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub stream: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub status: String,
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub progress: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub id: String,
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<serde_json::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub current: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub total: i64,
    /// Unix seconds at which the transfer began.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub start: i64,
    #[serde(rename = "hidecounts", skip_serializing_if = "go::is_zero")]
    pub hide_counts: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub units: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub code: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub message: String,
}
