//! Builds.

use crate::go;
use serde::{Deserialize, Serialize};

/// `POST /build/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BuildPruneResponse {
    #[serde(serialize_with = "go::null_if_empty")]
    pub caches_deleted: Vec<String>,
    /// Bytes.
    pub space_reclaimed: u64,
}
