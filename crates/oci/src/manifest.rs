//! Descriptor, manifest and index: how blobs refer to each other (OCI image specification).
//!
//! Reading and writing one back loses nothing: fields we do not know are kept in `extra`. The digest of a
//! manifest is nevertheless always taken from the bytes it arrived in, never from a re-serialisation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::platform::Platform;

/// Points at a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Descriptor {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }
}

/// One image for one platform: a config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    #[serde(deserialize_with = "crate::null_is_default")]
    pub layers: Vec<Descriptor>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// Several manifests, usually one per platform; also `index.json` of an OCI layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(deserialize_with = "crate::null_is_default")]
    pub manifests: Vec<Descriptor>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// Annotation keys that tools agree on.
pub mod annotation {
    /// The tag (or full name) of a manifest within an OCI layout.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// containerd's, and Docker's since 25: the canonical name with tag.
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
    /// BuildKit's mark of manifests that are no images.
    pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
    /// Its value where a manifest attests something about an image of the same index.
    pub const ATTESTATION: &str = "attestation-manifest";
    /// The manifest of that image.
    pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
    /// Of a statement within such a manifest: the URI of what it states.
    pub const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
}
