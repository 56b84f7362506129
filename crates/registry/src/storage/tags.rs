//! Tags: names of manifests.

use oci::Digest;

use super::{Storage, files};
use crate::error::{Error, Result};

impl Storage {
    /// In order of their bytes.
    pub(crate) fn tags(&self, repository: &str) -> Result<Vec<String>> {
        if !self.has_repository(repository) {
            return Err(Error::name_unknown(repository));
        }
        let mut tags = files::names(&self.layout().tags(repository))?;
        // A directory without a link is a tag that is just being made or removed.
        tags.retain(|tag| self.layout().tag_current(repository, tag).exists());
        tags.sort_unstable();
        Ok(tags)
    }

    pub(crate) fn resolve_tag(&self, repository: &str, tag: &str) -> Result<Digest> {
        let link = files::read_link(&self.layout().tag_current(repository, tag))?;
        link.ok_or_else(|| Error::manifest_unknown(tag))
    }

    pub(super) fn tag(&self, repository: &str, tag: &str, digest: &Digest) -> Result<()> {
        files::link(&self.layout().tag_index(repository, tag, digest), digest)?;
        files::link(&self.layout().tag_current(repository, tag), digest)
    }

    pub(crate) fn delete_tag(&self, repository: &str, tag: &str) -> Result<()> {
        self.resolve_tag(repository, tag)?;
        files::remove(&self.layout().tag(repository, tag)).map(drop)
    }

    /// No tag means this manifest any more.
    pub(super) fn untag(&self, repository: &str, digest: &Digest) -> Result<()> {
        for tag in files::names(&self.layout().tags(repository))? {
            if files::read_link(&self.layout().tag_current(repository, &tag))?.as_ref() == Some(digest) {
                files::remove(&self.layout().tag(repository, &tag))?;
            }
        }
        Ok(())
    }
}
