//! Mounts as asked for (`Mount`) and as found in a container (`MountPoint`).

use crate::go;
use crate::text::text_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

text_enum! {
    MountType {
        BIND = "bind",
        VOLUME = "volume",
        TMPFS = "tmpfs",
        NPIPE = "npipe",
        CLUSTER = "cluster",
        IMAGE = "image",
        // Not in Docker.
        CONTAINER = "container",
    }
}

text_enum! {
    Propagation {
        RPRIVATE = "rprivate",
        PRIVATE = "private",
        RSHARED = "rshared",
        SHARED = "shared",
        RSLAVE = "rslave",
        SLAVE = "slave",
    }
}

/// `HostConfig.Mounts[]`, the long form of `-v` and `--tmpfs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Mount {
    #[serde(rename = "Type", skip_serializing_if = "go::is_zero")]
    pub kind: MountType,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub source: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub target: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_options: Option<ClusterOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BindOptions {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub propagation: Propagation,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub non_recursive: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub create_mountpoint: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub read_only_force_recursive: bool,
    /// Wharf's own: whose files those of the container's root are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_user: Option<MatchUser>,
}

/// Somebody on the host, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MatchUser {
    #[serde(rename = "UID")]
    pub uid: u32,
    #[serde(rename = "GID")]
    pub gid: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumeOptions {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub no_copy: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub subpath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<Driver>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Driver {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub name: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageOptions {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub subpath: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TmpfsOptions {
    /// Bytes; 0 is no limit.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub size_bytes: i64,
    /// Permission bits.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub mode: u32,
    /// `["noexec"]` or `["key", "value"]` each.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub options: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterOptions {}

/// `Mounts[]` of an inspected or listed container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MountPoint {
    #[serde(rename = "Type", skip_serializing_if = "go::is_zero")]
    pub kind: MountType,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub name: String,
    pub source: String,
    pub destination: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub driver: String,
    pub mode: String,
    #[serde(rename = "RW")]
    pub rw: bool,
    pub propagation: Propagation,
}
