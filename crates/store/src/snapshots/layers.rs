//! Unpacked layers: each is made once, whoever asks for it, and stays as long as somebody needs it.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use oci::Digest;

use super::record::LayerRecord;
use super::{Snapshots, lock, remove_tree};
use crate::error::{At, Result};
use crate::images::Image;
use crate::lease::{Collection, Lease};
use crate::records::{Batch, Durability};

/// An unpacked layer, in memory.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) chain_id: Digest,
    pub(crate) parent: Option<Arc<Layer>>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(super) number: u64,
    /// This layer's directory and those below it, top first.
    pub(super) stack: Arc<[PathBuf]>,
    /// Mode and owner of the root directory, which a container's `/` inherits.
    pub(super) root_mode: u32,
    pub(super) root_owner: (u32, u32),
}

impl Snapshots {
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

    /// A directory to unpack into, with what the driver wants below it.
    pub(crate) fn stage(&self, parent: Option<&Layer>) -> Result<Staged> {
        let staged = Staged { path: Some(self.staging_path()) };
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
        self.kind.put(&self.records, chain_id, record, Durability::Relaxed)?;
        layers.insert(chain_id.clone(), layer.clone());
        drop(layers);
        let records = self.records.clone();
        let (kind, chain_id) = (self.kind, chain_id.clone());
        self.syncer.after_sync(Box::new(move || {
            // It may have been deleted since, even made anew under another number.
            let synced = |layer: LayerRecord| {
                (layer.number == number).then_some(LayerRecord { unsynced_since_boot: None, ..layer })
            };
            // Failing costs one more unpacking after a crash of the machine.
            let _ = kind.modify(&records, &chain_id, Durability::Relaxed, synced);
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
                self.kind.delete(&mut batch, layer.chain_id.as_str());
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

pub(super) fn layer_at(
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
