//! What the registry keeps, on a file system. Synchronous; every method returns when its effect is on disk.
//!
//! Nothing here is remembered but half-finished digests of uploads, which are computed again where they are missing:
//! another process on the same directory sees the same.

mod blobs;
mod collect;
mod fetches;
mod files;
mod layout;
mod manifests;
mod referrers;
mod repositories;
mod retain;
mod tags;
mod uploads;
mod usage;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oci::{Digest, Digester};

use crate::error::{Result, disk};
use layout::Layout;

pub(crate) use blobs::Blob;
pub use collect::Collected;
pub(crate) use fetches::Fetched;
pub(crate) use manifests::{MANIFEST_BYTES_MAX, Manifest, Put};
pub use retain::Retired;
pub(crate) use uploads::Upload;

/// One directory of a registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    layout: Layout,
    /// Of uploads that this process has received so far: how many bytes, and their digest. Held for a look-up only.
    digesters: Mutex<HashMap<String, (u64, Digester)>>,
}

impl Storage {
    /// Opens a directory, making it if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(root: &Path) -> Result<Storage> {
        let layout = Layout::new(root);
        for directory in [layout.blobs(), layout.repositories()] {
            files::create_directories(&directory).map_err(|error| disk("make", &directory, &error))?;
        }
        let inner = Inner { root: root.to_owned(), layout, digesters: Mutex::default() };
        Ok(Storage { inner: Arc::new(inner) })
    }

    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// Whether a manifest of that digest is in the repository, and its bytes are there.
    pub(crate) fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool> {
        Ok(self.has_revision(repository, digest)? && self.layout().blob(digest).exists())
    }

    /// Whether a manifest of that digest is in the repository.
    pub(crate) fn has_revision(&self, repository: &str, digest: &Digest) -> Result<bool> {
        Ok(files::read_link(&self.layout().revision(repository, digest))?.is_some())
    }
}
