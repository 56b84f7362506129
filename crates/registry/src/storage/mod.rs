//! What the registry keeps, on a file system or in a bucket (`medium.rs`). Synchronous; every method returns when its effect is
//! on disk.
//!
//! Nothing here is remembered but half-finished digests of uploads, which are computed again where they are missing:
//! another process on the same directory or bucket sees the same.

mod blobs;
mod bucket;
mod collect;
mod fetches;
mod files;
mod layout;
mod manifests;
mod medium;
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
use medium::Medium;

pub use bucket::BucketSettings;
pub use collect::Collected;
pub(crate) use fetches::Fetched;
pub(crate) use manifests::{MANIFEST_BYTES_MAX, Manifest, Put};
pub(crate) use medium::{Blob, Bytes};
pub use retain::Retired;
pub(crate) use uploads::Upload;

/// One directory of a registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    medium: Box<dyn Medium>,
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
        let medium = Box::new(files::Files { root: root.to_owned() });
        Ok(Storage::on(medium, root, layout))
    }

    /// In a bucket, if there is one, or else in a directory.
    ///
    /// # Errors
    /// As [`Storage::open`]; the bucket cannot be reached.
    pub fn of(root: &Path, bucket: Option<&BucketSettings>) -> Result<Storage> {
        let Some(bucket) = bucket else { return Storage::open(root) };
        let root = Path::new("/").join(bucket.root.trim_start_matches('/'));
        let medium = Box::new(bucket::Bucket::open(bucket)?);
        Ok(Storage::on(medium, &root, Layout::new(&root)))
    }

    fn on(medium: Box<dyn Medium>, root: &Path, layout: Layout) -> Storage {
        let inner = Inner { medium, root: root.to_owned(), layout, digesters: Mutex::default() };
        Storage { inner: Arc::new(inner) }
    }

    /// Whether what it lies on can be reached.
    pub(crate) fn reach_medium(&self) -> Result<()> {
        self.medium().check()
    }

    /// `filesystem` or `s3`.
    pub(crate) fn kind(&self) -> &'static str {
        self.medium().kind()
    }

    fn medium(&self) -> &dyn Medium {
        &*self.inner.medium
    }

    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// Whether a manifest of that digest is in the repository, and its bytes are there.
    pub(crate) fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool> {
        Ok(self.has_revision(repository, digest)? && self.has(&self.layout().blob(digest))?)
    }

    /// Whether a manifest of that digest is in the repository.
    pub(crate) fn has_revision(&self, repository: &str, digest: &Digest) -> Result<bool> {
        Ok(self.read_link(&self.layout().revision(repository, digest))?.is_some())
    }

    fn has(&self, path: &Path) -> Result<bool> {
        Ok(self.medium().size(path)?.is_some())
    }

    /// A link, unless it is there.
    fn link(&self, path: &Path, digest: &Digest) -> Result<()> {
        match self.read_link(path)? {
            Some(there) if there == *digest => Ok(()),
            _ => self.medium().write(path, digest.as_str().as_bytes()),
        }
    }

    /// The digest in a link; `None` if there is none, or nothing that makes sense (half a file of another program).
    fn read_link(&self, path: &Path) -> Result<Option<Digest>> {
        let bytes = self.medium().read(path)?;
        Ok(bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok()))
    }

    /// Names in a directory that may not be there.
    fn names(&self, path: &Path) -> Result<Vec<String>> {
        Ok(self.medium().entries(path)?.into_iter().map(|entry| entry.name).collect())
    }
}
