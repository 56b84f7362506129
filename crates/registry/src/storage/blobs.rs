//! Blobs: bytes by digest, linked into the repositories that they were pushed to.

use std::path::{Path, PathBuf};

use oci::Digest;

use super::Storage;
use super::medium::Blob;
use crate::error::{Code, Error, Result};

/// Where an engine keeps blobs that are whole (`docs/on-disk.md`).
fn shared(engine: &Path) -> PathBuf {
    engine.join("content/blobs")
}

impl Storage {
    /// Opens a blob of a repository: one that was pushed to it, or a manifest of it.
    pub(crate) fn blob(&self, repository: &str, digest: &Digest) -> Result<Blob> {
        let linked = self.has_blob(repository, digest)? || self.has_revision(repository, digest)?;
        match linked {
            true => self.data(digest),
            false => Err(Error::blob_unknown(digest)),
        }
    }

    /// Bytes of a blob, whoever has it; of one that is not there, none.
    pub(crate) fn size_of(&self, digest: &Digest) -> u64 {
        self.medium().size(&self.layout().blob(digest)).ok().flatten().unwrap_or(0)
    }

    pub(super) fn data(&self, digest: &Digest) -> Result<Blob> {
        let found = self.medium().open(&self.layout().blob(digest))?;
        found.ok_or_else(|| Error::blob_unknown(digest))
    }

    /// Whether it was pushed to this repository and is there.
    pub(crate) fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let linked = self.read_link(&self.layout().layer(repository, digest))?.is_some();
        Ok(linked && self.has(&self.layout().blob(digest))?)
    }

    /// Links a blob that another repository has. `false`: that one has none.
    pub(crate) fn mount(&self, from: &str, to: &str, digest: &Digest) -> Result<bool> {
        if !self.has_blob(from, digest)? {
            return Ok(false);
        }
        self.link_blob(to, digest)?;
        // It may have been collected between the two.
        self.has_blob(to, digest)
    }

    /// Links a blob that is there, whoever has it. For registries in which everybody may read everything.
    pub(crate) fn mount_from_any(&self, to: &str, digest: &Digest) -> Result<bool> {
        for repository in self.all_repositories()? {
            if self.mount(&repository, to, digest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether blobs of an engine can be files of this registry as well.
    pub(crate) fn check_share(&self, engine: &Path) -> Result<()> {
        let blobs = shared(engine);
        match self.medium().shares_with(&blobs)? {
            true => Ok(()),
            false => Err(Error::new(
                Code::Unknown,
                format!(
                    "wharf.share: {} is on another file system than {}: a file cannot be in both",
                    blobs.display(),
                    self.root().display()
                ),
            )),
        }
    }

    /// Bytes of a blob that an engine has; of one that it does not have, none.
    pub(crate) fn shared_size(&self, engine: &Path, digest: &Digest) -> u64 {
        let path = shared(engine).join(digest.algorithm().as_str()).join(digest.hex());
        std::fs::metadata(path).map_or(0, |found| found.len())
    }

    /// Takes over a blob that an engine has: from then on it is a file of both. `false`: the engine has none.
    pub(crate) fn share(&self, engine: &Path, repository: &str, digest: &Digest) -> Result<bool> {
        let source = shared(engine).join(digest.algorithm().as_str()).join(digest.hex());
        if !self.medium().share(&source, &self.layout().blob(digest))? {
            return Ok(false);
        }
        self.link_blob(repository, digest)?;
        self.has_blob(repository, digest)
    }

    /// Takes a blob out of a repository. Its bytes go when nobody has it, by [`Storage::collect`].
    pub(crate) fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<()> {
        let link = self.layout().layer(repository, digest);
        match self.medium().remove(link.parent().unwrap_or(&link))? {
            true => Ok(()),
            false => Err(Error::blob_unknown(digest)),
        }
    }

    pub(super) fn link_blob(&self, repository: &str, digest: &Digest) -> Result<()> {
        self.keep(digest)?;
        self.link(&self.layout().layer(repository, digest), digest)
    }

    /// A small blob.
    pub(super) fn store(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        match self.has(&self.layout().blob(digest))? {
            true => self.keep(digest),
            false => self.medium().write(&self.layout().blob(digest), bytes),
        }
    }

    /// Somebody wants this blob: its time is now, so that [`Storage::collect`], which may have looked for links before
    /// this one was made, leaves it alone.
    pub(super) fn keep(&self, digest: &Digest) -> Result<()> {
        self.medium().touch(&self.layout().blob(digest))
    }
}
