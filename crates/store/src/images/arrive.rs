//! Images from a registry: each blob is kept, hashed, inflated and unpacked while it arrives; a layer takes its place when
//! the one below it has; the record that makes the image exist comes last.

use std::io::{self, Read};
use std::sync::Arc;

use archive::Decoder;
use oci::{Digest, Reference};

use super::{Image, ImageIndex, ImageLayer, Images, Member};
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::partial::Partial;
use crate::snapshots::Staged;

/// A layer that was unpacked apart from those below it.
#[derive(Debug)]
pub struct Arrived {
    staged: Staged,
    bytes: u64,
    /// The layer says itself what mode and owner the root has.
    has_root: bool,
}

impl Images {
    /// Brings a blob in; `rest` gives what `partial` does not have yet. With a diff id it is a layer, which is unpacked on
    /// the way if the snapshots' driver can do that without the layer below.
    ///
    /// Where `rest` fails, what came is kept, and the error is its own.
    pub fn receive(
        &self,
        lease: &Lease,
        partial: Partial,
        diff_id: Option<&Digest>,
        rest: impl Read + Send,
    ) -> Result<Option<Arrived>> {
        let mut feed = Feed { partial, rest, failure: None };
        let unpacked = diff_id
            .filter(|_| self.snapshots.unpacks_apart())
            .map(|diff_id| self.unpack_apart(&mut feed, diff_id));
        // What a decoder leaves unread is part of the blob all the same; and whether a layer that cannot be unpacked is the
        // registry's fault, or the network's, is known only from all of it.
        if feed.failure.is_none() {
            let mut buffer = vec![0; 256 << 10];
            while !matches!(feed.read(&mut buffer), Ok(0) | Err(_)) {}
        }
        if let Some(failure) = feed.failure {
            return Err(failure.into());
        }
        feed.partial.commit(lease)?;
        unpacked.transpose()
    }

    fn unpack_apart(&self, feed: &mut (impl Read + Send), diff_id: &Digest) -> Result<Arrived> {
        let staged = self.snapshots.stage(None)?;
        let decoder = Decoder::new(feed)?;
        let (extracted, actual) =
            crate::unpack::extract(decoder, staged.path(), self.snapshots.mode(), diff_id.algorithm())?;
        if actual != *diff_id {
            return Err(Error::DigestMismatch { expected: diff_id.clone(), actual });
        }
        Ok(Arrived { staged, bytes: extracted.bytes, has_root: extracted.root })
    }

    /// Puts a layer in its place, above the one with the chain id `below`, which must be there. What did not arrive
    /// unpacked is unpacked now.
    pub fn settle(
        &self,
        lease: &Lease,
        arrived: Option<Arrived>,
        layer: &ImageLayer,
        below: Option<&Digest>,
    ) -> Result<()> {
        self.snapshots.settle(
            lease,
            layer,
            below,
            arrived.map(|arrived| (arrived.staged, arrived.bytes, arrived.has_root)),
        )
    }

    /// Is a layer there, with its blob?
    pub fn has_layer(&self, layer: &ImageLayer) -> bool {
        self.snapshots.get(&layer.chain_id).is_some() && self.content.contains(&layer.descriptor.digest)
    }

    /// What an image consists of, from its documents, which are in the content store.
    pub fn layers_of(&self, config: &Digest, manifest: &Digest) -> Result<Vec<ImageLayer>> {
        Ok(self.preview(config, manifest)?.layers)
    }

    /// Records an image that has arrived, with its names; with an index, these are the index's.
    pub fn add(
        &self,
        lease: &Lease,
        config: &Digest,
        manifest: &Digest,
        names: &[Reference],
        index: Option<&Digest>,
    ) -> Result<Arc<Image>> {
        let image = self.insert_through(lease, config, manifest, None, names, index)?;
        // Of this manifest: the image may have been here with other blobs.
        let layers = self.layers_of(config, manifest)?;
        self.content.finished(layers.iter().map(|layer| &layer.descriptor.digest));
        Ok(image)
    }

    /// Gives names to an image that is there, if it is still there; with an index, these are the index's. Its parts are
    /// leased meanwhile.
    pub fn rename(
        &self,
        lease: &Lease,
        id: &Digest,
        names: &[Reference],
        index: Option<&Digest>,
    ) -> Result<Option<Arc<Image>>> {
        let Some(image) = self.get(id) else { return Ok(None) };
        if let Some(index) = index {
            lease.hold(index);
            if !self.content.contains(index) {
                return Ok(None);
            }
            let index = ImageIndex::read(&self.content, index)?;
            index.documents().for_each(|digest| lease.hold(digest));
            index.members.iter().flat_map(Member::blobs).for_each(|blob| lease.hold(&blob.digest));
        }
        lease.hold(&image.id);
        lease.hold(&image.manifest);
        for layer in &image.layers {
            lease.hold(&layer.descriptor.digest);
            lease.hold(&layer.chain_id);
        }
        // Whoever deleted it before may have deleted parts of it; from now on nobody does.
        if self.get(id).is_none() {
            return Ok(None);
        }
        self.insert_through(lease, id, &image.manifest, image.parent.clone(), names, index).map(Some)
    }
}

/// First what is kept, then the rest, which is kept from now on.
struct Feed<R> {
    partial: Partial,
    rest: R,
    /// Why there is no more, if it is not the end.
    failure: Option<io::Error>,
}

impl<R: Read> Feed<R> {
    fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.partial.read_kept(buffer)?;
        if n > 0 {
            return Ok(n);
        }
        let n = self.rest.read(buffer)?;
        self.partial.write(&buffer[..n])?;
        Ok(n)
    }
}

impl<R: Read> Read for Feed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.next(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}
