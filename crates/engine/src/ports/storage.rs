//! Disk: images, layers, records.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{OpenRoot, Rootfs};

/// An image's manifest, and what it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageManifest {
    pub digest: String,
    pub media_type: String,
    pub size_bytes: u64,
    pub os: String,
    pub architecture: String,
    pub variant: String,
}

/// An image, resolved: what a container needs of it.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// `sha256:...` of the config.
    pub id: String,
    pub manifest: Option<ImageManifest>,
    pub os: String,
    pub architecture: String,
    pub config: crate::images::ImageConfig,
}

/// Disk: images to make containers from, their layers, and the records. Synchronous and short; what syncs the
/// disk (`durable`) is called from a blocking thread. The real one is [`crate::storage::Disk`] over `store`.
pub trait Storage: Send + Sync + fmt::Debug {
    /// By any form of reference, for a platform if one is said. `NotFound` with Docker's `No such image: x`.
    fn resolve(&self, reference: &str, platform: Option<&oci::Platform>) -> crate::Result<Arc<StoredImage>>;
    /// A container is being made with it: it is not garbage, though nobody knows of the container yet.
    fn note_use(&self, image: &StoredImage);
    /// A writable layer on top of the image, which may take so much of the disk and no more.
    fn create_layer(
        &self,
        container: &str,
        image: &StoredImage,
        size_bytes: Option<u64>,
    ) -> crate::Result<Rootfs>;
    /// Idempotent.
    fn remove_layer(&self, container: &str) -> crate::Result<()>;
    /// Take a container's layer and these directories of the data root away, at once: they are renamed, and deleted
    /// behind the caller's back, at the latest when the data root is opened again. Idempotent.
    fn discard(&self, container: &str, directories: &[PathBuf]) -> crate::Result<()>;
    /// Containers that have a layer.
    fn layers(&self) -> crate::Result<Vec<String>>;
    /// What `GraphDriver.Data` of an image shows: the directories of its unpacked layers.
    fn image_directories(&self, image: &str) -> crate::Result<BTreeMap<String, String>>;
    /// Bytes in the container's own layer, and in the image below it.
    fn layer_size(&self, container: &str, image: &str) -> crate::Result<(u64, u64)>;
    /// Copy what the container's root has at `path` into `to` (owner, mode, everything below). Nothing there is no
    /// error.
    fn copy_out(&self, container: &str, path: &std::path::Path, to: &std::path::Path) -> crate::Result<()>;
    /// What the container has changed in its root, in the order of the names.
    fn changes(&self, container: &str) -> crate::Result<Vec<store::Change>>;
    /// A new image of these changes on another, by its id. `read` is called when the container's files are needed no
    /// more.
    fn commit(
        &self,
        container: &str,
        image: &str,
        options: &store::CommitOptions,
        read: Box<dyn FnOnce() + Send>,
    ) -> crate::Result<String>;
    /// The root directory of a container that has no process, with these mounts in it. `read_only` is the root itself.
    fn open_root(
        &self,
        container: &str,
        access: store::Access,
        read_only: bool,
        binds: &[store::Bind],
    ) -> crate::Result<OpenRoot>;
    fn put_record(&self, container: &str, json: &[u8], durable: bool) -> crate::Result<()>;
    fn delete_record(&self, container: &str, durable: bool) -> crate::Result<()>;
    /// Gives up a little space that is kept for removals on a full disk.
    fn make_room(&self);
    /// Takes it again, if there is some.
    fn keep_room(&self);
    /// By id; one that cannot be read is an error of its own.
    fn records(&self) -> crate::Result<Vec<(String, crate::Result<Vec<u8>>)>>;
    /// A directory of the data root that may take so much of the disk and no more. Refused, with the reason, where the
    /// file system does not limit.
    fn make_limited(&self, directory: &std::path::Path, bytes: u64) -> crate::Result<()>;
    /// Limit such a directory again, or no more, since it is about to go.
    fn renew_limit(&self, directory: &std::path::Path, bytes: u64) -> crate::Result<()>;
    fn release_limit(&self, directory: &std::path::Path);
    /// A volume's record, by its name.
    fn put_volume(&self, name: &str, json: &[u8], durable: bool) -> crate::Result<()>;
    fn delete_volume(&self, name: &str, durable: bool) -> crate::Result<()>;
    /// As [`Storage::records`].
    fn volumes(&self) -> crate::Result<Vec<(String, crate::Result<Vec<u8>>)>>;
    /// Bytes of the files below a directory, each counted once.
    fn tree_size(&self, directory: &std::path::Path) -> crate::Result<u64>;
    /// A network's record, by its id.
    fn put_network(&self, id: &str, json: &[u8], durable: bool) -> crate::Result<()>;
    fn delete_network(&self, id: &str, durable: bool) -> crate::Result<()>;
    /// By id; one that cannot be read is an error of its own.
    fn networks(&self) -> crate::Result<Vec<(String, crate::Result<Vec<u8>>)>>;
    /// `overlay2` or `vfs`.
    fn driver(&self) -> &'static str;
}
