//! Tags: names of manifests.

use oci::Digest;

use super::Storage;
use crate::error::{Error, Result};

impl Storage {
    /// In order of their bytes.
    pub(crate) fn tags(&self, repository: &str) -> Result<Vec<String>> {
        if !self.has_repository(repository) {
            return Err(Error::name_unknown(repository));
        }
        let mut tags = self.names(&self.layout().tags(repository))?;
        // A directory without a link is a tag that is just being made or removed.
        let is_there = |tag: &String| self.has(&self.layout().tag_current(repository, tag)).unwrap_or(true);
        tags.retain(is_there);
        tags.sort_unstable();
        Ok(tags)
    }

    pub(crate) fn resolve_tag(&self, repository: &str, tag: &str) -> Result<Digest> {
        let link = self.read_link(&self.layout().tag_current(repository, tag))?;
        link.ok_or_else(|| Error::manifest_unknown(tag))
    }

    pub(super) fn tag(&self, repository: &str, tag: &str, digest: &Digest) -> Result<()> {
        self.link(&self.layout().tag_index(repository, tag, digest), digest)?;
        self.link(&self.layout().tag_current(repository, tag), digest)
    }

    pub(crate) fn delete_tag(&self, repository: &str, tag: &str) -> Result<()> {
        self.resolve_tag(repository, tag)?;
        self.medium().remove(&self.layout().tag(repository, tag)).map(drop)
    }

    /// No tag means this manifest any more.
    pub(super) fn untag(&self, repository: &str, digest: &Digest) -> Result<()> {
        for tag in self.names(&self.layout().tags(repository))? {
            if self.read_link(&self.layout().tag_current(repository, &tag))?.as_ref() == Some(digest) {
                self.medium().remove(&self.layout().tag(repository, &tag))?;
            }
        }
        Ok(())
    }
}
