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
mod changes;
mod driver;
mod overlay;
mod sweeper;
mod syncer;
mod vfs;
mod view;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use oci::Digest;
use serde::{Deserialize, Serialize};

pub use self::driver::{Root, Usage, usage as tree_usage};
pub use self::view::{Access, Bind, View};

use self::driver::Driver;
use self::sweeper::Sweeper;
use self::syncer::Syncer;
use crate::content::Content;
use crate::error::{At, Error, Result};
use crate::images::Image;
use crate::layout::Layout;
use crate::lease::{Collection, Lease};
use crate::records::{Batch, Durability, Record, Records};

/// Name of the link from a container's directory to the top layer below it.
const TOP_LINK: &str = "top";
/// Directory that stands for the layers of an image without any.
const EMPTY: &str = "empty";

/// Which driver keeps the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriverKind {
    #[default]
    Overlay,
    Vfs,
}

impl DriverKind {
    /// Docker's name for it; the retired ones are refused with their replacement.
    pub fn parse(name: &str) -> Result<DriverKind> {
        match name {
            "" | "overlay2" | "overlay" | "overlayfs" => Ok(DriverKind::Overlay),
            "vfs" => Ok(DriverKind::Vfs),
            "aufs" | "devicemapper" => {
                Err(Error::Unsupported(format!("storage driver {name} (use overlay2 instead)")))
            }
            other => Err(Error::Unsupported(format!("storage driver {other}"))),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    number: u64,
    parent: Option<Digest>,
    diff_id: Digest,
    /// Bytes of regular files, unpacked.
    size: u64,
    /// The boot during which it was unpacked, until it is known to be on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsynced_since_boot: Option<String>,
}

/// Layers of the overlay driver and of vfs are different directories.
macro_rules! layer_records {
    ($($name:ident = $namespace:literal),*) => {$(
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(LayerRecord);
        impl Record for $name {
            const NAMESPACE: &'static str = $namespace;
            const VERSION: u32 = 1;
        }
    )*};
}
layer_records!(OverlayLayer = "layers.overlay", VfsLayer = "layers.vfs");

/// An unpacked layer, in memory.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) chain_id: Digest,
    pub(crate) parent: Option<Arc<Layer>>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    number: u64,
    /// This layer's directory and those below it, top first.
    stack: Arc<[PathBuf]>,
    /// Mode and owner of the root directory, which a container's `/` inherits.
    root_mode: u32,
    root_owner: (u32, u32),
}

/// The snapshots of one store.
#[derive(Debug)]
pub struct Snapshots {
    layout: Layout,
    kind: DriverKind,
    driver: Box<dyn Driver>,
    records: Arc<Records>,
    content: Arc<Content>,
    // Read on every start of a container, written when a layer comes or goes; never held across I/O.
    layers: RwLock<HashMap<Digest, Arc<Layer>>>,
    // Container id -> chain id of the layer below it, if any: what the collector must keep.
    containers: Mutex<HashMap<String, Option<Digest>>>,
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
        records: Arc<Records>,
        content: Arc<Content>,
        warnings: &mut Vec<String>,
    ) -> Result<Snapshots> {
        let driver: Box<dyn Driver> = match kind {
            DriverKind::Overlay => Box::new(overlay::Overlay),
            DriverKind::Vfs => Box::new(vfs::Vfs),
        };
        let name = driver.name();
        let staging = layout.staging(name);
        remove_tree(&staging)?;
        let empty = layout.snapshots(name).join(EMPTY);
        for path in [&staging, &layout.layers(name), &layout.writable(name), &empty] {
            fs::create_dir_all(path).at("create", path)?;
        }
        let syncer = Syncer::new(layout.layers(name))?;
        let snapshots = Snapshots {
            layout: layout.clone(),
            kind,
            driver,
            records,
            content,
            layers: RwLock::default(),
            containers: Mutex::default(),
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

    /// `overlay2` or `vfs`.
    pub fn driver_name(&self) -> &'static str {
        self.driver.docker_name()
    }

    /// Makes a container's writable part above an image and says how its root is put together.
    ///
    /// Layers that are not unpacked yet are unpacked first; usually none are. Repeating it for the same
    /// container is fine and keeps what is there.
    pub fn prepare(&self, container: &str, image: &Image) -> Result<Root> {
        check_id(container)?;
        let lease = self.content.lease();
        let top = self.ensure(&lease, image)?;
        let previous =
            lock(&self.containers).insert(container.into(), top.as_ref().map(|layer| layer.chain_id.clone()));
        let made = self.make_writable(container, top.as_deref());
        if made.is_err() && previous.is_none() {
            // The first error is the one to tell; what stays is swept in a moment, or by the next start.
            let _ = self.remove(container);
        }
        made?;
        Ok(self.driver.root(&self.container_dir(container), &self.stack(top.as_deref())))
    }

    fn make_writable(&self, container: &str, top: Option<&Layer>) -> Result<()> {
        let dir = self.container_dir(container);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if dir.join(TOP_LINK).is_symlink() {
                    return Ok(());
                }
                // Half-made by an engine that was killed.
                remove_tree(&dir)?;
                fs::create_dir(&dir).at("create", &dir)?;
            }
            other => other.at("create", &dir)?,
        }
        self.driver.prepare(&dir, top)?;
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

    /// The layer stack of an image, unpacking what is missing. `None`: an image without layers.
    pub(crate) fn ensure(&self, lease: &Lease, image: &Image) -> Result<Option<Arc<Layer>>> {
        let Some(top) = image.layers.last() else { return Ok(None) };
        lease.hold(&top.chain_id);
        if let Some(layer) = self.get(&top.chain_id) {
            return Ok(Some(layer));
        }
        let mut parent = None;
        for layer in &image.layers {
            let unpack = |staged: &Path| {
                crate::unpack::layer(
                    self.content.file(&layer.descriptor.digest)?,
                    staged,
                    self.driver.mode(),
                    &layer.diff_id,
                )
            };
            parent = Some(self.layer(lease, parent, &layer.diff_id, &layer.chain_id, unpack)?);
        }
        Ok(parent)
    }

    /// Bytes that a layer takes, unpacked. `None` while it is not.
    pub fn layer_size(&self, chain_id: &Digest) -> Option<u64> {
        self.get(chain_id).map(|layer| layer.size)
    }

    pub(crate) fn get(&self, chain_id: &Digest) -> Option<Arc<Layer>> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner).get(chain_id).cloned()
    }

    /// The layer of a chain id: the one that is there, or the one that `unpack` makes in the directory it is
    /// given (which holds what the driver wants below it). `unpack` returns the unpacked bytes.
    pub(crate) fn layer(
        &self,
        lease: &Lease,
        parent: Option<Arc<Layer>>,
        diff_id: &Digest,
        chain_id: &Digest,
        unpack: impl FnOnce(&Path) -> Result<u64>,
    ) -> Result<Arc<Layer>> {
        lease.hold(chain_id);
        {
            let mut unpacking = lock(&self.unpacking);
            loop {
                if let Some(layer) = self.get(chain_id) {
                    return Ok(layer);
                }
                if unpacking.insert(chain_id.clone()) {
                    break;
                }
                unpacking = self.unpacked.wait(unpacking).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let _turn = Turn { snapshots: self, chain_id };
        let staged = self.stage(parent.as_deref())?;
        let size = unpack(staged.path())?;
        self.adopt(lease, staged, parent, diff_id, chain_id, size)
    }

    /// An empty directory to unpack into, with what the driver wants below it.
    pub(crate) fn stage(&self, parent: Option<&Layer>) -> Result<Staged> {
        let path = self.staging_path();
        fs::create_dir(&path).at("create", &path)?;
        let staged = Staged { path: Some(path) };
        self.driver.seed(staged.path(), parent)?;
        Ok(staged)
    }

    /// Makes a staged directory the layer of a chain id. If there is one already, that one wins.
    pub(crate) fn adopt(
        &self,
        lease: &Lease,
        mut staged: Staged,
        parent: Option<Arc<Layer>>,
        diff_id: &Digest,
        chain_id: &Digest,
        size: u64,
    ) -> Result<Arc<Layer>> {
        lease.hold(chain_id);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.layout.layers(self.driver.name()).join(number.to_string());
        let record = LayerRecord {
            number,
            parent: parent.as_ref().map(|parent| parent.chain_id.clone()),
            diff_id: diff_id.clone(),
            size,
            unsynced_since_boot: Some(self.syncer.boot_id().to_owned()),
        };
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = layers.get(chain_id) {
            return Ok(layer.clone());
        }
        fs::rename(staged.path(), &path).at("rename", &path)?;
        staged.path = None;
        let layer = Arc::new(layer_at(path, chain_id.clone(), parent, &record)?);
        // Relaxed: if the machine crashes now, the layer is one without a record, and swept.
        self.put_layer(chain_id, &record, Durability::Relaxed)?;
        layers.insert(chain_id.clone(), layer.clone());
        drop(layers);
        let records = self.records.clone();
        let (kind, chain_id) = (self.kind, chain_id.clone());
        self.syncer.after_sync(Box::new(move || {
            // It may have been deleted since, even made anew under another number.
            let synced = |layer: LayerRecord| {
                (layer.number == number).then_some(LayerRecord { unsynced_since_boot: None, ..layer })
            };
            let (key, relaxed) = (chain_id.as_str(), Durability::Relaxed);
            let outcome = match kind {
                DriverKind::Overlay => {
                    records.modify(key, relaxed, |l: OverlayLayer| synced(l.0).map(OverlayLayer))
                }
                DriverKind::Vfs => records.modify(key, relaxed, |l: VfsLayer| synced(l.0).map(VfsLayer)),
            };
            // Failing costs one more unpacking after a crash of the machine.
            drop(outcome);
        }));
        Ok(layer)
    }

    pub(crate) fn mode(&self) -> archive::Mode {
        self.driver.mode()
    }

    /// Deletes the layers that are not in `keep` nor below a container. Returns their chain ids, top first.
    pub(crate) fn sweep(&self, keep: &HashSet<Digest>, collection: &Collection) -> Result<Vec<Digest>> {
        let mut keep = keep.clone();
        for chain_id in lock(&self.containers).values().flatten() {
            let mut layer = self.get(chain_id);
            while let Some(current) = layer {
                keep.insert(current.chain_id.clone());
                layer = current.parent.clone();
            }
        }
        let mut candidates: Vec<Arc<Layer>> = {
            let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
            layers.values().filter(|layer| !keep.contains(&layer.chain_id)).cloned().collect()
        };
        candidates.sort_by_key(|layer| std::cmp::Reverse(layer.stack.len()));
        let mut deleted: Vec<Digest> = Vec::new();
        for layer in candidates {
            let doomed = self.staging_path();
            let removed = collection.sweep(&layer.chain_id, || -> Result<bool> {
                let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
                let has_child = layers
                    .values()
                    .any(|other| other.parent.as_ref().is_some_and(|p| p.chain_id == layer.chain_id));
                let in_use = lock(&self.containers).values().flatten().any(|id| *id == layer.chain_id);
                if has_child || in_use {
                    return Ok(false);
                }
                let mut batch = Batch::new();
                match self.kind {
                    DriverKind::Overlay => batch.delete::<OverlayLayer>(layer.chain_id.as_str()),
                    DriverKind::Vfs => batch.delete::<VfsLayer>(layer.chain_id.as_str()),
                }
                self.records.commit(batch, Durability::Relaxed)?;
                layers.remove(&layer.chain_id);
                fs::rename(&layer.path, &doomed).at("rename", &layer.path)?;
                Ok(true)
            });
            if removed.transpose()?.unwrap_or(false) {
                remove_tree(&doomed)?;
                deleted.push(layer.chain_id.clone());
            }
        }
        Ok(deleted)
    }

    fn load_layers(&self, warnings: &mut Vec<String>) -> Result<()> {
        fn each<R>(
            records: Vec<(String, Result<R>)>,
            inner: fn(R) -> LayerRecord,
        ) -> Vec<(String, Result<LayerRecord>)> {
            records.into_iter().map(|(key, layer)| (key, layer.map(inner))).collect()
        }
        let records = match self.kind {
            DriverKind::Overlay => each(self.records.list::<OverlayLayer>()?, |layer| layer.0),
            DriverKind::Vfs => each(self.records.list::<VfsLayer>()?, |layer| layer.0),
        };
        let boot_id = self.syncer.boot_id();
        let mut waiting: HashMap<Digest, LayerRecord> = HashMap::new();
        let mut batch = Batch::new();
        let mut damaged = false;
        for (key, record) in records {
            let Ok(chain_id) = key.parse::<Digest>() else { continue };
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    warnings.push(format!("layer {chain_id}: {error}; it will be unpacked again"));
                    self.delete_layer_in(&mut batch, &key);
                    damaged = true;
                    continue;
                }
            };
            match &record.unsynced_since_boot {
                Some(boot) if boot != boot_id => {
                    warnings.push(format!(
                        "layer {chain_id} was not on disk when the machine stopped; it will be unpacked again"
                    ));
                    self.delete_layer_in(&mut batch, &key);
                }
                _ => _ = waiting.insert(chain_id, record),
            }
        }
        let mut known = HashSet::new();
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        // Parents first: each round takes those whose parent is there.
        loop {
            let ready: Vec<Digest> = waiting
                .iter()
                .filter(|(_, record)| record.parent.as_ref().is_none_or(|parent| layers.contains_key(parent)))
                .map(|(chain_id, _)| chain_id.clone())
                .collect();
            if ready.is_empty() {
                break;
            }
            for chain_id in ready {
                let Some(record) = waiting.remove(&chain_id) else { continue };
                let path = self.layout.layers(self.driver.name()).join(record.number.to_string());
                let parent = record.parent.as_ref().and_then(|parent| layers.get(parent).cloned());
                self.next.fetch_max(record.number + 1, Ordering::Relaxed);
                match layer_at(path, chain_id.clone(), parent, &record) {
                    Ok(layer) => {
                        known.insert(record.number.to_string());
                        layers.insert(chain_id, Arc::new(layer));
                    }
                    Err(error) => {
                        warnings.push(format!("layer {chain_id}: {error}; it will be unpacked again"));
                        self.delete_layer_in(&mut batch, chain_id.as_str());
                    }
                }
            }
        }
        drop(layers);
        for chain_id in waiting.keys() {
            self.delete_layer_in(&mut batch, chain_id.as_str());
        }
        self.records.commit(batch, Durability::Relaxed)?;
        // Directories without a record: unpacked just before a crash. But what a container stands on stays, whatever
        // became of its record.
        let writable = self.layout.writable(self.driver.name());
        let containers = fs::read_dir(&writable).at("list", &writable)?.flatten();
        known.extend(containers.filter_map(|entry| top_number(&entry.path())));
        let dir = self.layout.layers(self.driver.name());
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(number) = name.parse::<u64>() {
                self.next.fetch_max(number + 1, Ordering::Relaxed);
            }
            // With a record that cannot be read, one of them is its layer.
            if !known.contains(&name) && !damaged {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    fn load_containers(&self) -> Result<()> {
        let dir = self.layout.writable(self.driver.name());
        let by_number: HashMap<String, Digest> = {
            let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
            layers.values().map(|layer| (layer.number.to_string(), layer.chain_id.clone())).collect()
        };
        let mut containers = lock(&self.containers);
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let entry = entry?;
            let Ok(id) = entry.file_name().into_string() else { continue };
            let number = top_number(&entry.path());
            containers.insert(id, number.and_then(|number| by_number.get(&number).cloned()));
        }
        Ok(())
    }

    fn delete_layer_in(&self, batch: &mut Batch, key: &str) {
        match self.kind {
            DriverKind::Overlay => batch.delete::<OverlayLayer>(key),
            DriverKind::Vfs => batch.delete::<VfsLayer>(key),
        }
    }

    fn put_layer(&self, chain_id: &Digest, record: &LayerRecord, durability: Durability) -> Result<()> {
        put_layer(&self.records, self.kind, chain_id, record, durability)
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

/// A directory below `tmp`; deleted unless it is adopted.
#[derive(Debug)]
pub(crate) struct Staged {
    path: Option<PathBuf>,
}

impl Staged {
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed now is swept at the next start.
            let _ = remove_tree(path);
        }
    }
}

/// The right to unpack a chain id; others wait until it is dropped.
struct Turn<'a> {
    snapshots: &'a Snapshots,
    chain_id: &'a Digest,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.snapshots.unpacking).remove(self.chain_id);
        self.snapshots.unpacked.notify_all();
    }
}

fn layer_at(
    path: PathBuf,
    chain_id: Digest,
    parent: Option<Arc<Layer>>,
    record: &LayerRecord,
) -> Result<Layer> {
    let metadata = fs::symlink_metadata(&path).at("stat", &path)?;
    let below = parent.iter().flat_map(|parent| parent.stack.iter().cloned());
    Ok(Layer {
        stack: std::iter::once(path.clone()).chain(below).collect(),
        chain_id,
        parent,
        path,
        size: record.size,
        number: record.number,
        root_mode: metadata.mode() & 0o7777,
        root_owner: (metadata.uid(), metadata.gid()),
    })
}

fn put_layer(
    records: &Records,
    kind: DriverKind,
    chain_id: &Digest,
    record: &LayerRecord,
    durability: Durability,
) -> Result<()> {
    match kind {
        DriverKind::Overlay => records.put(chain_id.as_str(), &OverlayLayer(record.clone()), durability),
        DriverKind::Vfs => records.put(chain_id.as_str(), &VfsLayer(record.clone()), durability),
    }
}

/// Ids become path components.
fn check_id(id: &str) -> Result<()> {
    let valid = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if valid { Ok(()) } else { Err(Error::Invalid(format!("invalid container id {id:?}"))) }
}

pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    // Containers decide how deep a tree is.
    Ok(archive::remove_tree(path)?)
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
