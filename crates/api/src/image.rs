//! Images: listed, inspected, their history, their removal.

use crate::container::{DriverData, Empty, HealthConfig};
use crate::go;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of `GET /images/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageSummary {
    /// -1 when not counted.
    pub containers: i64,
    /// Seconds since the epoch.
    pub created: i64,
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub parent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub manifests: Vec<ManifestSummary>,
    pub repo_digests: Vec<String>,
    pub repo_tags: Vec<String>,
    /// Bytes; -1 when not computed.
    pub shared_size: i64,
    /// Bytes.
    pub size: i64,
}

/// `GET /images/{name}/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageInspectResponse {
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub comment: String,
    /// RFC 3339 with nanoseconds.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub created: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub author: String,
    pub config: Option<ImageConfig>,
    pub architecture: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub variant: String,
    pub os: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub os_version: String,
    /// Bytes.
    pub size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_driver: Option<DriverData>,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    pub metadata: ImageMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub manifests: Vec<ManifestSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<serde_json::Value>,
}

/// The image's half of a container's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub user: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub exposed_ports: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::string_or_list")]
    pub entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::string_or_list")]
    pub cmd: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub args_escaped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub on_build: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::string_or_list")]
    pub shell: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RootFs {
    #[serde(rename = "Type", skip_serializing_if = "go::is_zero")]
    pub kind: String,
    /// Digests of the uncompressed layers, bottom first.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub layers: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageMetadata {
    /// RFC 3339; `0001-01-01T00:00:00Z` is never tagged here.
    pub last_tag_time: String,
}

/// OCI descriptor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub artifact_type: String,
}

/// OCI platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", skip_serializing_if = "go::is_zero")]
    pub os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "go::is_zero")]
    pub os_features: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub variant: String,
}

/// One manifest of an index, in list and inspect with `manifests=1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ManifestSummary {
    #[serde(rename = "ID")]
    pub id: String,
    pub descriptor: Descriptor,
    pub available: bool,
    pub size: ManifestSize,
    /// `image`, `attestation` or `unknown`.
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_data: Option<ManifestImageData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation_data: Option<ManifestAttestationData>,
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ManifestSize {
    pub content: i64,
    pub total: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ManifestImageData {
    pub platform: Platform,
    pub size: UnpackedSize,
    pub containers: Vec<String>,
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UnpackedSize {
    pub unpacked: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ManifestAttestationData {
    #[serde(rename = "For")]
    pub subject: String,
}

/// One line of `GET /images/{name}/attestations`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttestationStatement {
    pub descriptor: Descriptor,
    pub predicate_type: String,
    /// As it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Box<serde_json::value::RawValue>>,
}

/// One line of `GET /images/{name}/history`, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HistoryItem {
    pub comment: String,
    /// Seconds since the epoch.
    pub created: i64,
    pub created_by: String,
    /// The image's id, or `<missing>`.
    pub id: String,
    /// Bytes.
    pub size: i64,
    #[serde(serialize_with = "go::null_if_empty")]
    pub tags: Vec<String>,
}

/// One line of the answer to `DELETE /images/{name}`: either field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageDeleteItem {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub deleted: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub untagged: String,
}

/// Answer of `POST /images/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImagesPruneResponse {
    #[serde(serialize_with = "go::null_if_empty")]
    pub images_deleted: Vec<ImageDeleteItem>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// Answer of `POST /images/gc`, which Docker does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageGarbage {
    /// Bytes before: of the file system, or of images, as the marks are.
    pub used: u64,
    pub high: u64,
    pub low: u64,
    /// What went, or would go, in this order.
    pub images: Vec<GarbageImage>,
    /// All of what went: names, images, layers.
    pub images_deleted: Vec<ImageDeleteItem>,
    /// Bytes.
    pub space_reclaimed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct GarbageImage {
    pub id: String,
    pub names: Vec<String>,
    /// RFC 3339.
    pub last_used: String,
    /// Bytes that go with it.
    pub size: u64,
}
