//! Checkpoints of a container. Docker's definition of the API leaves them out; these are its types.

use serde::{Deserialize, Serialize};

/// `POST /containers/{id}/checkpoints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRequest {
    #[serde(rename = "CheckpointID")]
    pub checkpoint_id: String,
    #[serde(rename = "CheckpointDir")]
    pub checkpoint_dir: String,
    /// The container ends with it.
    #[serde(rename = "Exit")]
    pub exit: bool,
}

/// One of `GET /containers/{id}/checkpoints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Summary {
    pub name: String,
}
