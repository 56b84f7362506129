//! `GET /events`: what happened to whom.

use crate::go;
use crate::text::text_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

text_enum! {
    EventType {
        BUILDER = "builder",
        CONFIG = "config",
        CONTAINER = "container",
        DAEMON = "daemon",
        IMAGE = "image",
        NETWORK = "network",
        NODE = "node",
        PLUGIN = "plugin",
        SECRET = "secret",
        SERVICE = "service",
        VOLUME = "volume",
    }
}

/// One line of the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EventMessage {
    #[serde(rename = "Type")]
    pub kind: EventType,
    /// `start`, `die`, `exec_create: sh -c true`, `health_status: healthy` ...
    pub action: String,
    pub actor: Actor,
    #[serde(rename = "scope", skip_serializing_if = "go::is_zero")]
    pub scope: String,
    /// Seconds since the epoch.
    #[serde(rename = "time", skip_serializing_if = "go::is_zero")]
    pub time: i64,
    /// Nanoseconds since the epoch.
    #[serde(rename = "timeNano", skip_serializing_if = "go::is_zero")]
    pub time_nano: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    pub attributes: BTreeMap<String, String>,
}
