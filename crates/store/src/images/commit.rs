//! `docker commit`: what a container has changed becomes one more layer on its image.
//!
//! The layer is written as a blob and unpacked in one pass, so that the first container made from it waits for nothing.
//! The same changes give the same bytes.

use std::io::Write;
use std::sync::Arc;

use archive::{Change, PackOptions, TarWriter};
use oci::{ContainerConfig, Descriptor, History, ImageConfig, Reference, media_type};

use super::{Image, Images};
use crate::error::Result;
use crate::lease::Lease;
use crate::unpack::Outlet;

/// What the new image says of itself.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    pub reference: Option<Reference>,
    /// Of the containers made from it; `changes` are applied to it.
    pub config: ContainerConfig,
    /// `--change` instructions, in order.
    pub changes: Vec<String>,
    pub author: String,
    pub comment: String,
    /// The command that led to it, for the history.
    pub created_by: String,
    /// RFC 3339; now if missing.
    pub created: Option<String>,
}

impl Images {
    /// `read` is called when the container's files are needed no more.
    pub fn commit_container(
        &self,
        container: &str,
        parent: &Image,
        options: &CommitOptions,
        read: impl FnOnce(),
    ) -> Result<Arc<Image>> {
        let mut config = options.config.clone();
        super::apply_changes(&mut config, &options.changes)?;
        let lease = self.content.lease();
        let committed = self.commit_under(&lease, container, parent, options, config, read);
        drop(lease);
        if committed.is_err() {
            // What there is already of it. The failure is what the caller wants to hear of.
            let _ = self.collect();
        }
        committed
    }

    fn commit_under(
        &self,
        lease: &Lease,
        container: &str,
        parent: &Image,
        options: &CommitOptions,
        config: ContainerConfig,
        read: impl FnOnce(),
    ) -> Result<Arc<Image>> {
        let below = self.snapshots.ensure(lease, parent)?;
        let changes = self.snapshots.changes(container)?;
        let mut layers: Vec<Descriptor> = Vec::new();
        for layer in &parent.layers {
            lease.hold(&layer.descriptor.digest);
            lease.hold(&layer.chain_id);
            layers.push(layer.descriptor.clone());
        }
        let mut rootfs = parent.config.rootfs.clone();
        if changes.is_empty() {
            read();
        } else {
            let staged = self.snapshots.stage(below.as_deref())?;
            // The layer is not compressed: its diff id is its digest, too.
            let mut blob = self.content.unhashed_writer()?;
            let pack = |to: &mut Outlet<'_>| self.pack_changes(container, &changes, to);
            let mode = self.snapshots.mode();
            let (size, diff_id) = crate::unpack::packed(pack, &mut blob, staged.path(), mode)?;
            read();
            let blob_size = blob.size();
            blob.commit_as(lease, &diff_id)?;
            rootfs.diff_ids.push(diff_id.clone());
            let chain_id = oci::chain_ids(&rootfs.diff_ids).pop().unwrap_or_else(|| diff_id.clone());
            self.snapshots.adopt(lease, staged, below, &diff_id, &chain_id, size)?;
            layers.push(Descriptor::new(media_type::OCI_LAYER, diff_id, blob_size));
        }
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let created = options.created.clone().unwrap_or_else(|| jiff::Timestamp::now().to_string());
        let mut history = parent.config.history.clone();
        history.push(History {
            created: Some(created.clone()),
            created_by: said(&options.created_by),
            author: said(&options.author),
            comment: said(&options.comment),
            empty_layer: changes.is_empty(),
            ..History::default()
        });
        let config = ImageConfig {
            created: Some(created),
            author: said(&options.author),
            config,
            rootfs,
            history,
            ..parent.config.clone()
        };
        self.create(lease, &config, layers, Some(parent.id.clone()), options.reference.as_ref())
    }

    fn pack_changes(&self, container: &str, changes: &[Change], to: impl Write) -> Result<()> {
        let (root, mode) = self.snapshots.changed(container)?;
        let options = PackOptions { mode, root_entry: false, whole_seconds: true, faithful: false };
        let mut tar = TarWriter::new(to);
        tar.append_changes(&root, changes, options)?;
        tar.finish()?;
        Ok(())
    }
}
