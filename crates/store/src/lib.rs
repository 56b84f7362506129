//! What is on disk: content by digest, unpacked layers, containers' writable parts, images and their names,
//! and the records of everybody. Nothing here knows what a container is, or the API.
//!
//! ```text
//! archive ─► Content (blob, by digest) ─► Snapshots (layer, by chain id) ─► a container's root
//!                     ▲                              ▲
//!                  Images: id ─► config, manifest, layers; name ─► id          Records: one SQLite file
//! ```
//!
//! Rules that make a crash harmless: everything half-made is in a directory that the next start empties;
//! blobs are synced and renamed into place; the record that makes a thing exist is committed last.
//!
//! All types are `Send + Sync`, and calls block; callers use a blocking thread. [`Images::resolve`] and
//! [`Snapshots::prepare`] answer from memory and a few `mkdir`s.

pub mod builtin;
mod content;
mod error;
mod images;
mod layout;
mod lease;
mod lock;
mod partial;
mod quota;
mod records;
mod reserve;
mod snapshots;
mod unpack;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

pub use archive::{Change, ChangeKind};
pub use content::{BlobWriter, Content};
pub use error::{Error, ErrorClass, Result};
pub use images::{
    Arrived, CommitOptions, Deleted, Found, Garbage, INDEX_DEPTH_MAX, Image, ImageIndex, ImageLayer,
    ImageUse, Images, ImportOptions, InUse, LoadEvent, MEMBERS_MAX, Member, MemberKind, Progress,
    apply_changes, kind_of,
};
pub use layout::Layout;
pub use lease::Lease;
pub use partial::Partial;
pub use quota::{Quotas, check as check_quota};
pub use records::{Batch, Durability, Record, Records};
pub use snapshots::{Access, Bind, DriverKind, Root, Snapshots, Usage, View, tree_usage};

use error::At;

/// One data root, locked for this process.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    records: Arc<Records>,
    content: Arc<Content>,
    snapshots: Arc<Snapshots>,
    quotas: Arc<Quotas>,
    images: Images,
    warnings: Vec<String>,
    reserve: reserve::Reserve,
    // Last: released after everything else is closed.
    _lock: lock::RootLock,
}

impl Store {
    /// Opens or creates a data root with the overlay driver.
    pub fn open(data_root: &Path) -> Result<Store> {
        Store::open_with(data_root, DriverKind::default())
    }

    /// Opens or creates a data root, and sweeps what an earlier engine left half-made.
    /// Without a driver: the one that is there already, or the best that the file system can. [`Error::InUse`] if another
    /// process has it open.
    pub fn open_with(data_root: &Path, driver: impl Into<Option<DriverKind>>) -> Result<Store> {
        match fs::DirBuilder::new().recursive(true).mode(0o710).create(data_root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).at("create", data_root);
            }
            _ => {}
        }
        // Overlay's options and links would otherwise depend on the working directory.
        let data_root = fs::canonicalize(data_root).at("resolve", data_root)?;
        let layout = Layout::new(data_root);
        let lock = lock::RootLock::acquire(&layout)?;
        fs::create_dir_all(layout.containers()).at("create", layout.containers())?;
        let mut remarks = Vec::new();
        let driver = match driver.into() {
            Some(driver) => driver,
            None => {
                let (driver, why) = DriverKind::choose(&layout)?;
                remarks.extend(why);
                driver
            }
        };
        let mut warnings = Vec::new();
        let records = Arc::new(Records::open(&layout.database())?);
        partial::open(&layout)?;
        let content = Arc::new(Content::open(&layout, lease::Leases::default())?);
        let quotas = Arc::new(Quotas::new(layout.root()));
        let stores = (records.clone(), content.clone());
        let snapshots = Arc::new(Snapshots::open(&layout, driver, stores, quotas.clone(), &mut warnings)?);
        let images = Images::open(records.clone(), content.clone(), snapshots.clone(), &mut warnings)?;
        // Blobs and layers that an import or a removal left when it was cut off. What cannot be read may still need some.
        if warnings.is_empty()
            && let Err(error) = images.collect()
        {
            warnings.push(format!("could not sweep what no image needs: {error}"));
        }
        remarks.extend(warnings);
        let warnings = remarks;
        let reserve = reserve::Reserve::new(layout.reserve());
        Ok(Store { layout, records, content, snapshots, quotas, images, warnings, reserve, _lock: lock })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    pub fn content(&self) -> &Arc<Content> {
        &self.content
    }

    pub fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    /// Limits of directories: of containers' writable parts, and of others that somebody makes in the data root.
    pub fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    pub fn images(&self) -> &Images {
        &self.images
    }

    /// On a full disk: gives up the space that is kept for removals.
    pub fn make_room(&self) {
        self.reserve.release();
    }

    /// Takes that space again, if there is some.
    pub fn keep_room(&self) {
        self.reserve.keep();
    }

    /// What the administrator should know of the opening, one line each, for the engine's log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
