//! Mark and sweep: what no image, container or lease needs is deleted.

use std::collections::HashSet;

use oci::Digest;

use super::Images;
use crate::error::Result;

impl Images {
    /// Deletes unneeded layers and blobs. Returns the chain ids of the layers, top first.
    pub fn collect(&self) -> Result<Vec<Digest>> {
        let collection = self.content.collection();
        let mut blobs = HashSet::new();
        let mut chains = HashSet::new();
        for image in self.read().images.values() {
            blobs.insert(image.id.clone());
            blobs.insert(image.manifest.clone());
            for layer in &image.layers {
                blobs.insert(layer.descriptor.digest.clone());
                chains.insert(layer.chain_id.clone());
            }
        }
        let deleted = self.snapshots.sweep(&chains, &collection)?;
        for digest in self.content.list()? {
            if !blobs.contains(&digest) {
                collection.sweep(&digest, || self.content.delete(&digest)).transpose()?;
            }
        }
        Ok(deleted)
    }
}
