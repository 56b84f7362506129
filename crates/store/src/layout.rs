//! Every path below the data root, spelled once. `docs/on-disk.md` draws the tree.

use std::path::{Path, PathBuf};

use oci::Digest;

/// Paths of one data root.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn new(root: impl Into<PathBuf>) -> Layout {
        Layout { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Locked while an engine runs; holds its process id.
    pub fn lock(&self) -> PathBuf {
        self.root.join("wharf.lock")
    }

    /// Space for removals on a full disk.
    pub fn reserve(&self) -> PathBuf {
        self.root.join("wharf.reserve")
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("wharf.db")
    }

    /// `<algorithm>/<hex>` below it: finished, verified blobs.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("content/blobs")
    }

    pub fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blobs();
        path.push(digest.algorithm().as_str());
        path.push(digest.hex());
        path
    }

    /// Blobs being written. Emptied at start.
    pub fn ingest(&self) -> PathBuf {
        self.root.join("content/ingest")
    }

    /// All that belongs to one snapshot driver.
    pub fn snapshots(&self, driver: &str) -> PathBuf {
        self.root.join("snapshots").join(driver)
    }

    /// `<number>/`: the unpacked layers of a driver. Numbers keep overlay's option string short.
    pub fn layers(&self, driver: &str) -> PathBuf {
        self.snapshots(driver).join("layers")
    }

    /// Layers being unpacked and directories being deleted. Emptied at start.
    pub fn staging(&self, driver: &str) -> PathBuf {
        self.snapshots(driver).join("tmp")
    }

    /// `<container id>/`: the writable part of each container.
    pub fn writable(&self, driver: &str) -> PathBuf {
        self.snapshots(driver).join("containers")
    }

    /// What the engine keeps beside a container's record: logs, hosts file and so on.
    pub fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }
}
