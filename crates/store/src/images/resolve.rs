//! From what a person types to an image: a name, an id or the beginning of one, or a digest.

use std::ops::Bound;
use std::sync::Arc;

use oci::{Digest, Reference, is_identifier};

use super::{Found, Image, Images};
use crate::error::{Error, Result};

impl Images {
    /// Docker's order: a full id, a name, the beginning of an id.
    pub fn resolve(&self, text: &str) -> Result<Arc<Image>> {
        Ok(self.find_in(text)?.image)
    }

    pub(super) fn find_in(&self, text: &str) -> Result<Found> {
        let full = if is_identifier(text) {
            Digest::from_sha256_hex(text).ok()
        } else {
            text.parse::<Digest>().ok()
        };
        if let Some(id) = full {
            return self
                .get(&id)
                .map(|image| self.with_index(image))
                .or_else(|| self.by_index(&id))
                .or_else(|| self.by_manifest(&id).map(|image| Found { image, index: None }))
                .ok_or_else(|| Error::NoSuchImage(text.into()));
        }
        let name = Reference::parse(text)?;
        if let Some(image) = self.by_name(&name) {
            let name = name.digest().map_or_else(|| name.clone(), |digest| name.with_digest(digest.clone()));
            return Ok(Found { image, index: self.index_of_name(&name) });
        }
        match self.by_id_prefix(text)? {
            Some(image) => Ok(self.with_index(image)),
            None => Err(Error::NoSuchImage(name.or_latest().familiar())),
        }
    }

    fn with_index(&self, image: Arc<Image>) -> Found {
        Found { index: self.index_of(&image.id), image }
    }

    /// By an index's own digest.
    fn by_index(&self, digest: &Digest) -> Option<Found> {
        let inner = self.read();
        let index = inner.indexes.get(digest)?;
        let face = inner.face(index, &[]).and_then(|id| inner.images.get(&id).cloned())?;
        Some(Found { image: face, index: Some(index.clone()) })
    }

    /// By a name alone; no id is tried. Without tag and digest it means `latest`.
    pub fn by_name(&self, name: &Reference) -> Option<Arc<Image>> {
        let index = self.read();
        let found = match name.digest() {
            // With a digest the tag does not count.
            Some(digest) => index.names.get(&name.with_digest(digest.clone())),
            None => index.names.get(&name.clone().or_latest()),
        };
        found.and_then(|id| index.images.get(id)).cloned()
    }

    /// By the manifest that it came with, or that an index has for it.
    fn by_manifest(&self, digest: &Digest) -> Option<Arc<Image>> {
        let inner = self.read();
        let members = || inner.indexes.values().flat_map(|index| inner.images_of(index));
        inner
            .images
            .values()
            .find(|image| image.manifest == *digest)
            .or_else(|| {
                members().find(|(member, _)| member.descriptor.digest == *digest).map(|(_, image)| image)
            })
            .cloned()
    }

    /// `None`: no image begins like that, or it cannot be the beginning of an id.
    fn by_id_prefix(&self, text: &str) -> Result<Option<Arc<Image>>> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.is_empty()
            || hex.len() > 64
            || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Ok(None);
        }
        // Digests are sorted as text; all that begin with the prefix follow its zero-padded form.
        let Ok(start) = Digest::from_sha256_hex(&format!("{hex:0<64}")) else { return Ok(None) };
        let index = self.read();
        let mut matching = index
            .images
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(|(id, _)| id.as_str().starts_with("sha256:") && id.hex().starts_with(hex));
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => Err(Error::AmbiguousId(text.into())),
            (Some((_, image)), None) => Ok(Some(image.clone())),
            (None, _) => Ok(None),
        }
    }
}
