//! Blobs: bytes by digest, linked into the repositories that they were pushed to.

use std::fs::{self, File};
use std::path::Path;

use oci::Digest;

use super::{Storage, files};
use crate::error::{Error, Result, disk};

/// An open blob.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) file: File,
    /// Bytes.
    pub(crate) size: u64,
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
        fs::metadata(self.layout().blob(digest)).map_or(0, |metadata| metadata.len())
    }

    pub(super) fn data(&self, digest: &Digest) -> Result<Blob> {
        let path = self.layout().blob(digest);
        match File::open(&path) {
            Ok(file) => {
                let size = file.metadata().map_err(|error| disk("look at", &path, &error))?.len();
                Ok(Blob { file, size })
            }
            Err(error) if files::is_absent(&error) => Err(Error::blob_unknown(digest)),
            Err(error) => Err(disk("open", &path, &error)),
        }
    }

    /// Whether it was pushed to this repository and is there.
    pub(crate) fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let linked = files::read_link(&self.layout().layer(repository, digest))?.is_some();
        Ok(linked && self.layout().blob(digest).exists())
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

    /// Takes a blob out of a repository. Its bytes go when nobody has it, by [`Storage::collect`].
    pub(crate) fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<()> {
        let link = self.layout().layer(repository, digest);
        match files::remove(link.parent().unwrap_or(&link))? {
            true => Ok(()),
            false => Err(Error::blob_unknown(digest)),
        }
    }

    pub(super) fn link_blob(&self, repository: &str, digest: &Digest) -> Result<()> {
        self.keep(digest)?;
        files::link(&self.layout().layer(repository, digest), digest)
    }

    /// Bytes that are already on disk and synced become the blob; if it is there, they go.
    pub(super) fn adopt(&self, from: &Path, digest: &Digest) -> Result<()> {
        let path = self.layout().blob(digest);
        let moved = (|| {
            let parent = path.parent().unwrap_or(&path);
            files::create_directories(parent)?;
            fs::rename(from, &path)?;
            files::sync_directory(parent)
        })();
        moved.map_err(|error| disk("store", &path, &error))
    }

    /// A small blob.
    pub(super) fn store(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        match self.layout().blob(digest).exists() {
            true => self.keep(digest),
            false => files::write(&self.layout().blob(digest), bytes),
        }
    }

    /// Somebody wants this blob: its time is now, so that [`Storage::collect`], which may have looked for links before
    /// this one was made, leaves it alone.
    pub(super) fn keep(&self, digest: &Digest) -> Result<()> {
        let path = self.layout().blob(digest);
        let touched = File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(std::time::SystemTime::now()));
        match touched {
            Err(error) if !files::is_absent(&error) => Err(disk("touch", &path, &error)),
            _ => Ok(()),
        }
    }
}
