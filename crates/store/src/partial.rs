//! Blobs that come from far away, and may break off on the way: `content/partial/<algorithm>-<hex>`. What is there of one
//! stays when its download fails, is given up, or dies with the engine; the next one goes on behind it.
//!
//! A blob that has come whole is in its place, but no image names it before all of the others have come, too. So that the
//! collector does not take it away meanwhile, `content/partial/whole-<algorithm>-<hex>` stands for it until then.
//!
//! Nobody trusts what is there: it is hashed again, together with what follows. What turns out to be wrong goes.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use oci::{Digest, Digester};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::content::{Content, put_in_place};
use crate::error::{At, Error, Result};
use crate::layout::{Layout, WHOLE};
use crate::lease::Lease;

/// What nobody went on with for so long is deleted at the next start.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Makes their directory, and empties it of what is old.
pub(crate) fn open(layout: &Layout) -> Result<()> {
    let directory = layout.partials();
    fs::create_dir_all(&directory).at("create", &directory)?;
    for entry in fs::read_dir(&directory).at("list", &directory)?.flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_none_or(|age| age > LIFE) {
            // Tried again at the next start.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// One such blob. First read what is there, to its end; then write what is missing.
#[derive(Debug)]
pub struct Partial {
    digest: Digest,
    size: u64,
    file: File,
    path: PathBuf,
    target: PathBuf,
    whole: PathBuf,
    digester: Digester,
    /// Bytes that were there at the beginning.
    kept: u64,
    /// Bytes hashed: read again, or written.
    position: u64,
}

impl Content {
    /// Begins or goes on with a blob. Only one can at a time.
    pub fn partial(&self, lease: &Lease, digest: &Digest, size: u64) -> Result<Partial> {
        lease.hold(digest);
        let path = self.layout().partial(digest);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .at("open", &path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Error::Conflict(format!("{digest} is being downloaded already")));
            }
            Err(error) => return Err(error).at("lock", &path),
        }
        let mut kept = file.metadata().at("stat", &path)?.len();
        if kept > size {
            // Of a manifest that lied, or a disk that did.
            file.set_len(0).at("truncate", &path)?;
            kept = 0;
        }
        Ok(Partial {
            digest: digest.clone(),
            size,
            file,
            path,
            target: self.layout().blob(digest),
            whole: self.layout().whole(digest),
            digester: Digester::new(digest.algorithm()),
            kept,
            position: 0,
        })
    }
}

impl Content {
    /// Blobs of downloads that are not finished.
    pub(crate) fn unfinished(&self) -> Result<Vec<Digest>> {
        let directory = self.layout().partials();
        let mut digests = Vec::new();
        for entry in fs::read_dir(&directory).at("list", &directory)? {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_prefix(WHOLE)?.split_once('-'));
            digests.extend(name.and_then(|(algorithm, hex)| format!("{algorithm}:{hex}").parse().ok()));
        }
        Ok(digests)
    }

    /// An image has them now.
    pub(crate) fn finished<'a>(&self, digests: impl Iterator<Item = &'a Digest>) {
        for digest in digests {
            // Left there, it keeps the blob for some days longer than needed.
            let _ = fs::remove_file(self.layout().whole(digest));
        }
    }
}

impl Partial {
    /// Bytes that need not be asked for any more.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Forgets what is there: it turned out to be wrong.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).at("truncate", &self.path)?;
        self.file.rewind().at("seek", &self.path)?;
        self.digester = Digester::new(self.digest.algorithm());
        (self.kept, self.position) = (0, 0);
        Ok(())
    }

    /// The next of the bytes that are there. Zero: now come those that are not.
    pub(crate) fn read_kept(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.kept.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let n = self.file.read(&mut buffer[..length])?;
        if n == 0 {
            return Err(io::Error::other(format!("{} became shorter", self.path.display())));
        }
        self.digester.update(&buffer[..n]);
        self.position += n as u64;
        Ok(n)
    }

    /// Appends.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let there = self.position;
        self.file.write_all(bytes).map_err(|error| {
            if error.kind() == io::ErrorKind::StorageFull {
                // Half a download is not worth a full disk.
                let _ = self.file.set_len(0);
            } else {
                let _ = self.file.set_len(there);
            }
            io::Error::new(error.kind(), format!("write {}: {error}", self.path.display()))
        })?;
        self.digester.update(bytes);
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Verifies, syncs, and puts the blob in its place. What is wrong is gone then.
    pub(crate) fn commit(self, lease: &Lease) -> Result<()> {
        let wrong = if self.position == self.size {
            let actual = self.digester.clone().finish();
            let expected = self.digest.clone();
            (actual != expected).then_some(Error::DigestMismatch { expected, actual })
        } else {
            let (digest, expected) = (self.digest.clone(), self.size);
            Some(Error::WrongSize { digest, expected, actual: self.position })
        };
        if let Some(error) = wrong {
            fs::remove_file(&self.path).at("remove", &self.path)?;
            return Err(error);
        }
        lease.hold(&self.digest);
        File::create(&self.whole).at("create", &self.whole)?;
        put_in_place(&self.file, &self.path, &self.target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
