//! Blobs on their way in from another registry: uploads that are found again by the digest of what they are to be. On a file
//! system only, since they are read while they are written.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use oci::Digest;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::uploads::Upload;
use super::{Storage, files};
use crate::error::{Code, Result, disk};

/// Whose turn it is.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// Ours: it goes on from where it is.
    Ours(Box<Upload>),
    /// Another process writes to it, and is so far.
    Anothers { bytes: u64 },
    /// It is a blob of the repository.
    Done,
}

impl Storage {
    /// Takes the fetch of a blob, if nobody has it.
    pub(crate) fn fetch(&self, repository: &str, digest: &Digest) -> Result<Fetched> {
        if self.has_blob(repository, digest)? {
            return Ok(Fetched::Done);
        }
        // Another repository may have it. The upstream said that it is there, too.
        if self.has(&self.layout().blob(digest))? {
            self.link_blob(repository, digest)?;
            if self.has_blob(repository, digest)? {
                return Ok(Fetched::Done);
            }
        }
        let id = id_of(digest);
        let directory = self.layout().upload(repository, &id);
        let path = directory.join("data");
        let opened = files::start(&directory)
            .and_then(|()| File::options().read(true).write(true).create(true).truncate(false).open(&path));
        let file = opened.map_err(|error| disk("make", &path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let bytes = file.metadata().map_or(0, |metadata| metadata.len());
                return Ok(Fetched::Anothers { bytes });
            }
            Err(error) => return Err(disk("lock", &path, &error.into())),
        }
        // Whoever had it came to the end while we opened it.
        if !is_at(&file, &path) {
            return self.fetch(repository, digest);
        }
        let locked = files::Locked::of(file, path)?;
        let upload = Upload::of(self, repository, &id, Box::new(locked));
        Ok(Fetched::Ours(Box::new(upload)))
    }

    /// What has come so far, to read along. `None`: there is no such fetch.
    pub(crate) fn fetching(&self, repository: &str, digest: &Digest) -> Result<Option<File>> {
        let path = self.layout().upload(repository, &id_of(digest)).join("data");
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if files::is_absent(&error) => Ok(None),
            Err(error) => Err(disk("open", &path, &error)),
        }
    }

    /// Gives up manifests and blobs that were linked `age` ago into repositories that are `mine`; how many.
    pub(crate) fn expire(&self, mine: &dyn Fn(&str) -> bool, age: Duration) -> Result<usize> {
        let now = SystemTime::now();
        let is_old = |at: SystemTime| now.duration_since(at).is_ok_and(|since| since >= age);
        let old = |path: &Path| self.medium().time(path).is_some_and(is_old);
        let mut expired = 0;
        for repository in self.all_repositories()?.into_iter().filter(|name| mine(name)) {
            for digest in self.linked(&self.layout().revisions(&repository))? {
                if old(&self.layout().revision(&repository, &digest)) {
                    match self.delete_manifest(&repository, &digest) {
                        // Its bytes are gone already: the link is all that there is.
                        Err(error) if error.code == Code::ManifestUnknown => {
                            let link = self.layout().revision(&repository, &digest);
                            self.medium().remove(link.parent().unwrap_or(&link))?;
                        }
                        done => done?,
                    }
                    expired += 1;
                }
            }
            for digest in self.linked(&self.layout().layers(&repository))? {
                if old(&self.layout().layer(&repository, &digest)) {
                    self.delete_blob(&repository, &digest)?;
                    expired += 1;
                }
            }
        }
        Ok(expired)
    }
}

/// Made of a hash: version 8.
fn id_of(digest: &Digest) -> String {
    let hash: [u8; 32] = Sha256::digest(digest.as_str()).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    crate::uuid::of(bytes, 8)
}

fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (ours, there) = (file.metadata(), fs::metadata(path));
    ours.is_ok_and(|ours| there.is_ok_and(|there| ours.ino() == there.ino() && ours.dev() == there.dev()))
}
