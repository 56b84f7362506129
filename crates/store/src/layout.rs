//! Every path below the data root, spelled once. `docs/on-disk.md` draws the tree.

use std::path::{Path, PathBuf};

use oci::Digest;

/// Begins the name of what [`Layout::whole`] is about.
pub(crate) const WHOLE: &str = "whole-";

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

    /// Downloads: kept when they break off, to be taken up again.
    pub fn partials(&self) -> PathBuf {
        self.root.join("content/partial")
    }

    pub fn partial(&self, digest: &Digest) -> PathBuf {
        self.partials().join(format!("{}-{}", digest.algorithm(), digest.hex()))
    }

    /// Says that a blob is kept, though no image needs it yet: a download that broke off had got that far.
    pub fn whole(&self, digest: &Digest) -> PathBuf {
        self.partials().join(format!("{WHOLE}{}-{}", digest.algorithm(), digest.hex()))
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
