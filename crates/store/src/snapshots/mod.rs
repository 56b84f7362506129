//! Snapshots: unpacked layers, and the writable part of each container on top of them.
//!
//! A layer is unpacked once, below `tmp`, and renamed to `layers/<number>`; a record then maps its chain id
//! to the number. Requests for the same layer at the same time wait for the first. A container's writable
//! part is a few directories; preparing one does no I/O that waits for the disk and reads no document.
//!
//! Layers are not synced before they are used: the blob is durable, the unpacked files need not be. A
//! record says during which boot a layer was unpacked until a background `syncfs` has passed; after a crash
//! of the machine such a layer is dropped and unpacked again when it is next asked for.

mod arrive;
mod btrfs;
mod changes;
mod driver;
mod kind;
mod layers;
mod load;
mod overlay;
mod record;
mod sweeper;
mod syncer;
mod vfs;
mod view;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use oci::Digest;

pub use self::driver::{Root, Usage, usage as tree_usage};
pub use self::kind::DriverKind;
pub(crate) use self::layers::{Layer, Staged};
pub use self::view::{Access, Bind, View};

use self::driver::Driver;
use self::sweeper::Sweeper;
use self::syncer::Syncer;
use crate::content::Content;
use crate::error::{At, Error, Result};
use crate::images::Image;
use crate::layout::Layout;
use crate::quota::{self, Quotas};
use crate::records::Records;

/// Name of the link from a container's directory to the top layer below it.
const TOP_LINK: &str = "top";
/// Directory that stands for the layers of an image without any.
const EMPTY: &str = "empty";

/// The snapshots of one store.
#[derive(Debug)]
pub struct Snapshots {
    layout: Layout,
    kind: DriverKind,
    driver: Box<dyn Driver>,
    quotas: Arc<Quotas>,
    records: Arc<Records>,
    content: Arc<Content>,
    // Read on every start of a container, written when a layer comes or goes; never held across I/O.
    layers: RwLock<HashMap<Digest, Arc<Layer>>>,
    // Container id -> chain id of the layer below it, if any: what the collector must keep.
    containers: Mutex<HashMap<String, Option<Digest>>>,
    // Containers whose directory is of a project with a limit, which must be let go with it.
    limited: Mutex<HashSet<String>>,
    // Chain ids being unpacked; the others who want one wait on the condition.
    unpacking: Mutex<HashSet<Digest>>,
    unpacked: Condvar,
    next: AtomicU64,
    syncer: Syncer,
    sweeper: Sweeper,
}

impl Snapshots {
    pub(crate) fn open(
        layout: &Layout,
        kind: DriverKind,
        (records, content): (Arc<Records>, Arc<Content>),
        quotas: Arc<Quotas>,
        warnings: &mut Vec<String>,
    ) -> Result<Snapshots> {
        let driver: Box<dyn Driver> = match kind {
            DriverKind::Overlay => Box::new(overlay::Overlay),
            DriverKind::Btrfs => Box::new(btrfs::Btrfs::new(layout)?),
            DriverKind::Vfs => Box::new(vfs::Vfs),
        };
        let name = driver.name();
        let staging = layout.staging(name);
        release_all(&quotas, &staging);
        remove_tree(&staging)?;
        let empty = layout.snapshots(name).join(EMPTY);
        for path in [&staging, &layout.layers(name), &layout.writable(name), &empty] {
            fs::create_dir_all(path).at("create", path)?;
        }
        spread(&staging);
        let syncer = Syncer::new(layout.layers(name))?;
        let snapshots = Snapshots {
            layout: layout.clone(),
            kind,
            driver,
            quotas,
            records,
            content,
            layers: RwLock::default(),
            containers: Mutex::default(),
            limited: Mutex::default(),
            unpacking: Mutex::default(),
            unpacked: Condvar::new(),
            next: AtomicU64::new(1),
            syncer,
            sweeper: Sweeper::default(),
        };
        snapshots.load_layers(warnings)?;
        snapshots.load_containers()?;
        Ok(snapshots)
    }

    /// `overlay2`, `btrfs` or `vfs`.
    pub fn driver_name(&self) -> &'static str {
        self.driver.docker_name()
    }

    /// Makes a container's writable part above an image and says how its root is put together.
    ///
    /// Layers that are not unpacked yet are unpacked first; usually none are. Repeating it for the same
    /// container is fine and keeps what is there.
    pub fn prepare(&self, container: &str, image: &Image) -> Result<Root> {
        self.prepare_limited(container, image, None)
    }

    /// With `size_bytes` it may take so much of the disk and no more; a driver that copies counts the copy.
    pub fn prepare_limited(&self, container: &str, image: &Image, size_bytes: Option<u64>) -> Result<Root> {
        check_id(container)?;
        let lease = self.content.lease();
        let top = self.ensure(&lease, image)?;
        let previous =
            lock(&self.containers).insert(container.into(), top.as_ref().map(|layer| layer.chain_id.clone()));
        let made = self.make_writable(container, top.as_deref(), size_bytes);
        if made.is_err() && previous.is_none() {
            // The first error is the one to tell; what stays is swept in a moment, or by the next start.
            let _ = self.remove(container);
        }
        made?;
        Ok(self.driver.root(&self.container_dir(container), &self.stack(top.as_deref())))
    }

    fn make_writable(&self, container: &str, top: Option<&Layer>, size_bytes: Option<u64>) -> Result<()> {
        let dir = self.container_dir(container);
        // A subvolume of btrfs' driver is limited itself.
        let of_directory = size_bytes.filter(|_| self.kind != DriverKind::Btrfs);
        let make = || match of_directory {
            None => fs::create_dir(&dir).at("create", &dir),
            Some(bytes) => {
                self.quotas.create(&dir, 0o755, bytes)?;
                lock(&self.limited).insert(container.to_owned());
                Ok(())
            }
        };
        match make() {
            Err(Error::Path { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                if dir.join(TOP_LINK).is_symlink() {
                    return Ok(());
                }
                // Half-made by an engine that was killed.
                self.quotas.release(&dir);
                remove_tree(&dir)?;
                make()?;
            }
            other => other?,
        }
        self.driver.prepare(&dir, top)?;
        if let (DriverKind::Btrfs, Some(bytes)) = (self.kind, size_bytes) {
            quota::limit_subvolume(&self.driver.changes_dir(&dir), bytes)?;
        }
        let link = match top {
            Some(layer) => format!("../../layers/{}", layer.number),
            None => format!("../../{EMPTY}"),
        };
        // Last: a directory without the link is half-made.
        std::os::unix::fs::symlink(link, dir.join(TOP_LINK)).at("link", dir.join(TOP_LINK))
    }

    /// How a prepared container's root is put together.
    pub fn root(&self, container: &str) -> Result<Root> {
        let top = self.top(container)?;
        Ok(self.driver.root(&self.container_dir(container), &self.stack(top.as_deref())))
    }

    /// Removes a container's writable part; fine if there is none. It must not be mounted.
    pub fn remove(&self, container: &str) -> Result<()> {
        check_id(container)?;
        let dir = self.container_dir(container);
        let doomed = self.staging_path();
        self.let_go(container, &dir);
        match fs::rename(&dir, &doomed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("rename", &dir),
            Ok(()) => remove_tree(&doomed).inspect_err(|_| self.sweeper.sweep(vec![doomed.clone()]))?,
        }
        lock(&self.containers).remove(container);
        self.sweeper.sweep(Vec::new());
        Ok(())
    }

    /// As [`Snapshots::remove`], together with other directories of the data root, and returns when they are gone from
    /// their places. Deleting the files takes its time behind the caller's back, and is finished by the next start.
    pub fn discard(&self, container: &str, directories: &[PathBuf]) -> Result<()> {
        check_id(container)?;
        let own = self.container_dir(container);
        self.let_go(container, &own);
        let mut doomed = Vec::with_capacity(directories.len() + 1);
        for dir in std::iter::once(&own).chain(directories) {
            let path = self.staging_path();
            match fs::rename(dir, &path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Another file system is mounted there.
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => remove_tree(dir)?,
                Err(error) => return Err(error).at("rename", dir),
                Ok(()) => doomed.push(path),
            }
        }
        lock(&self.containers).remove(container);
        self.sweeper.sweep(doomed);
        Ok(())
    }

    /// The containers that have a writable part, for sweeping those without a record.
    pub fn list(&self) -> Vec<String> {
        lock(&self.containers).keys().cloned().collect()
    }

    /// What the writable part holds: `SizeRw`. Walks it.
    pub fn usage(&self, container: &str) -> Result<Usage> {
        self.top(container)?;
        driver::usage(&self.driver.changes_dir(&self.container_dir(container)))
    }

    /// Directory that holds only what the container changed (overlay's upper directory).
    /// `None` with a driver that keeps a full copy.
    pub fn upper(&self, container: &str) -> Result<Option<PathBuf>> {
        self.top(container)?;
        let dir = self.driver.changes_dir(&self.container_dir(container));
        Ok((self.kind == DriverKind::Overlay).then_some(dir))
    }

    /// Docker's `GraphDriver.Data` of inspect.
    pub fn graph_data(&self, container: &str) -> Result<Vec<(&'static str, String)>> {
        Ok(match self.root(container)? {
            Root::Overlay { lower, upper, work } => vec![
                (
                    "LowerDir",
                    lower.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":"),
                ),
                ("MergedDir", self.container_dir(container).join("merged").display().to_string()),
                ("UpperDir", upper.display().to_string()),
                ("WorkDir", work.display().to_string()),
            ],
            Root::Directory(_) => Vec::new(),
        })
    }

    /// The same of an image: its top layer is the upper directory. Empty while it is not unpacked.
    pub fn image_graph_data(&self, image: &Image) -> Vec<(&'static str, String)> {
        let top = image.layers.last().and_then(|layer| self.get(&layer.chain_id));
        let (Some(top), DriverKind::Overlay) = (top, self.kind) else { return Vec::new() };
        let beside = |name: &str| top.path.with_extension(name).display().to_string();
        let mut data = vec![
            ("MergedDir", beside("merged")),
            ("UpperDir", top.path.display().to_string()),
            ("WorkDir", beside("work")),
        ];
        if let Some(parent) = &top.parent {
            let below: Vec<_> = parent.stack.iter().map(|path| path.display().to_string()).collect();
            data.insert(0, ("LowerDir", below.join(":")));
        }
        data
    }

    /// Its project is free when its files are gone.
    fn let_go(&self, container: &str, directory: &Path) {
        if lock(&self.limited).remove(container) {
            self.quotas.release(directory);
        }
    }

    /// The layer below a prepared container.
    fn top(&self, container: &str) -> Result<Option<Arc<Layer>>> {
        let top = lock(&self.containers).get(container).cloned();
        match top {
            None => Err(Error::NoSuchSnapshot(container.into())),
            Some(None) => Ok(None),
            Some(Some(chain_id)) => match self.get(&chain_id) {
                Some(layer) => Ok(Some(layer)),
                None => Err(Error::NoSuchSnapshot(container.into())),
            },
        }
    }

    fn stack(&self, top: Option<&Layer>) -> Arc<[PathBuf]> {
        match top {
            Some(layer) => layer.stack.clone(),
            None => Arc::from([self.layout.snapshots(self.driver.name()).join(EMPTY)]),
        }
    }

    fn container_dir(&self, container: &str) -> PathBuf {
        self.layout.writable(self.driver.name()).join(container)
    }

    fn staging_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.layout.staging(self.driver.name()).join(number.to_string())
    }
}

/// What an engine that was killed had begun to delete.
fn release_all(quotas: &Quotas, staging: &Path) {
    if staging.exists() && quota::has_projects(staging) {
        fs::read_dir(staging).into_iter().flatten().flatten().for_each(|entry| quotas.release(&entry.path()));
    }
}

/// Ids become path components.
fn check_id(id: &str) -> Result<()> {
    let valid = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if valid { Ok(()) } else { Err(Error::Invalid(format!("invalid container id {id:?}"))) }
}

pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    btrfs::forget(path);
    // Containers decide how deep a tree is.
    Ok(archive::remove_tree(path)?)
}

/// Asks ext4 to put what is made in a directory anywhere on the disk (`chattr +T`), each tree in a place of its own.
///
/// ext4 does not use an inode again soon after its file was deleted, and passes over all of those near by for each file that
/// it makes (`recently_deleted` in its `ialloc.c`, a minute to six). Where images and containers come and go, unpacking a layer beside
/// the last ones' remains takes twice the time. Other file systems know no such flag, and have no such trouble.
fn spread(directory: &Path) {
    let Ok(directory) = fs::File::open(directory) else { return };
    let Ok(flags) = rustix::fs::ioctl_getflags(&directory) else { return };
    // It is only faster with it.
    let _ = rustix::fs::ioctl_setflags(&directory, flags | rustix::fs::IFlags::TOPDIR);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing below panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of the layer that a container stands on.
fn top_number(container: &Path) -> Option<String> {
    let link = fs::read_link(container.join(TOP_LINK)).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}
