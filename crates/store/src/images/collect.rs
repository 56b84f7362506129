//! Mark and sweep: what no image, container or lease needs is deleted.

use std::collections::HashSet;
use std::time::Duration;

use oci::Digest;

use super::Images;
use crate::error::Result;

/// How often a collection is tried that nobody waits for, and the pause between two.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

impl Images {
    /// [`Images::collect`] after something that is done already, whatever becomes of this. It fails when descriptors or
    /// memory are short for a moment; should it go on failing, what is left goes with the next one.
    pub(super) fn tidy(&self) -> Vec<Digest> {
        for _ in 0..TRIES {
            if let Ok(deleted) = self.collect() {
                return deleted;
            }
            std::thread::sleep(PAUSE);
        }
        Vec::new()
    }

    /// Deletes unneeded layers and blobs. Returns the chain ids of the layers, top first.
    pub fn collect(&self) -> Result<Vec<Digest>> {
        let collection = self.content.collection();
        let mut blobs: HashSet<Digest> = self.content.unfinished()?.into_iter().collect();
        let mut chains = HashSet::new();
        {
            let index = self.read();
            for image in index.images.values() {
                blobs.insert(image.id.clone());
                blobs.insert(image.manifest.clone());
                for layer in &image.layers {
                    blobs.insert(layer.descriptor.digest.clone());
                    chains.insert(layer.chain_id.clone());
                }
            }
            index.kept_by_indexes(&mut blobs);
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
