//! From what a person types to an image: a name, an id or the beginning of one, or a digest.

use std::ops::Bound;
use std::sync::Arc;

use oci::{Digest, Reference, is_identifier};

use super::{Image, Images};
use crate::error::{Error, Result};

impl Images {
    /// Docker's order: a full id, a name, the beginning of an id.
    pub fn resolve(&self, text: &str) -> Result<Arc<Image>> {
        let full = if is_identifier(text) {
            Digest::from_sha256_hex(text).ok()
        } else {
            text.parse::<Digest>().ok()
        };
        if let Some(id) = full {
            return self
                .get(&id)
                .or_else(|| self.by_manifest(&id))
                .ok_or_else(|| Error::NoSuchImage(text.into()));
        }
        let name = Reference::parse(text)?;
        if let Some(image) = self.by_name(&name) {
            return Ok(image);
        }
        match self.by_id_prefix(text)? {
            Some(image) => Ok(image),
            None => Err(Error::NoSuchImage(name.or_latest().familiar())),
        }
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

    fn by_manifest(&self, digest: &Digest) -> Option<Arc<Image>> {
        self.read().images.values().find(|image| image.manifest == *digest).cloned()
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
