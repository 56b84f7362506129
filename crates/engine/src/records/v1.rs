//! Version 1 of a container's record. A field that is added gets a default; a change of meaning is version 2.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::{ContainerSpec, MountPoint, Status};
use crate::ports::{Endpoint, Rootfs};

pub(super) const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) image_id: String,
    #[serde(default)]
    pub(crate) image_manifest: Option<String>,
    pub(crate) path: String,
    pub(crate) args: Vec<String>,
    pub(crate) spec: ContainerSpec,
    pub(crate) rootfs: RootfsV1,
    pub(crate) driver: String,
    #[serde(default)]
    pub(crate) mounts: Vec<MountPoint>,
    /// Volumes made for this container only: removed with `rm -v` and `--rm`.
    #[serde(default)]
    pub(crate) anonymous_volumes: Vec<String>,
    pub(crate) log_driver: String,
    #[serde(default)]
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) exit_code: i32,
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) oom_killed: bool,
    #[serde(default)]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) finished_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) restart_count: u32,
    /// Stopped by a person: `unless-stopped` leaves it so at boot.
    #[serde(default)]
    pub(crate) stopped_by_user: bool,
    #[serde(default)]
    pub(crate) sandbox_id: String,
    #[serde(default)]
    pub(crate) endpoint: Option<Endpoint>,
    /// Of a removal in progress: its anonymous volumes go with it, whichever engine finishes.
    #[serde(default)]
    pub(crate) remove_volumes: bool,
}

/// [`Rootfs`] on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RootfsV1 {
    Directory(PathBuf),
    Overlay { lower: Vec<PathBuf>, upper: PathBuf, work: PathBuf },
}

impl From<Rootfs> for RootfsV1 {
    fn from(rootfs: Rootfs) -> Self {
        match rootfs {
            Rootfs::Directory(path) => Self::Directory(path),
            Rootfs::Overlay { lower, upper, work } => Self::Overlay { lower, upper, work },
        }
    }
}

impl From<RootfsV1> for Rootfs {
    fn from(rootfs: RootfsV1) -> Self {
        match rootfs {
            RootfsV1::Directory(path) => Self::Directory(path),
            RootfsV1::Overlay { lower, upper, work } => Self::Overlay { lower, upper, work },
        }
    }
}

impl Record {
    pub(crate) const VERSION: u32 = VERSION;
}
