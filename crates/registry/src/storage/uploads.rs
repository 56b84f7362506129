//! Blobs on their way in. What has arrived stays when client or registry die, and is continued from there.
//!
//! One request at a time writes to an upload: it holds a flock(2) on the data, which the kernel lets go when a process
//! dies, whichever process of those that serve the directory it was.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci::{Algorithm, Digest, Digester};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Storage, files};
use crate::error::{Code, Error, Result, disk};

/// How long a request waits for the one before it, whose connection may just be breaking.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);
const BUFFER_BYTES: usize = 1 << 20;

/// An upload that nobody else writes to.
#[derive(Debug)]
pub(crate) struct Upload {
    storage: Storage,
    repository: String,
    id: String,
    directory: PathBuf,
    file: File,
    digester: Option<Digester>,
    size: u64,
    /// More is not taken; `None`: any number of bytes.
    bytes_max: Option<u64>,
}

impl Storage {
    /// Begins one; its id.
    pub(crate) fn begin_upload(&self, repository: &str) -> Result<String> {
        let id = crate::uuid::random()
            .map_err(|error| Error::new(Code::Unknown, format!("get random bytes: {error}")))?;
        let directory = self.layout().upload(repository, &id);
        let begun = start(&directory).and_then(|()| File::create_new(directory.join("data")).map(drop));
        begun.map_err(|error| disk("make", &directory, &error))?;
        self.digesters().insert(id.clone(), (0, Digester::default()));
        Ok(id)
    }

    /// How many bytes have arrived.
    pub(crate) fn upload_size(&self, repository: &str, id: &str) -> Result<u64> {
        let path = self.layout().upload(repository, id).join("data");
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if files::is_absent(&error) => Err(Error::upload_unknown(id)),
            Err(error) => Err(disk("look at", &path, &error)),
        }
    }

    /// Takes it for one request.
    pub(crate) fn upload(&self, repository: &str, id: &str) -> Result<Upload> {
        let directory = self.layout().upload(repository, id);
        let path = directory.join("data");
        let opened = File::options().read(true).write(true).open(&path);
        let file = opened.map_err(|error| match files::is_absent(&error) {
            true => Error::upload_unknown(id),
            false => disk("open", &path, &error),
        })?;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK {
                return Err(disk("lock", &path, &error.into()));
            }
            if Instant::now() > deadline {
                let message = "another request is writing to this upload";
                return Err(Error::new(Code::BlobUploadInvalid, message).with("upload", id));
            }
            std::thread::sleep(PAUSE);
        }
        // Committed or cancelled while we waited.
        if !path.exists() {
            return Err(Error::upload_unknown(id));
        }
        Upload::of(self, repository, id, file)
    }

    /// Gives one up.
    pub(crate) fn cancel_upload(&self, repository: &str, id: &str) -> Result<()> {
        let upload = self.upload(repository, id)?;
        files::remove(&upload.directory).map(drop)
    }

    pub(super) fn digesters(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, (u64, Digester)>> {
        self.inner.digesters.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Upload {
    /// Of a file that is locked.
    pub(super) fn of(storage: &Storage, repository: &str, id: &str, mut file: File) -> Result<Upload> {
        let directory = storage.layout().upload(repository, id);
        let size = file.seek(SeekFrom::End(0));
        let size = size.map_err(|error| disk("seek in", &directory.join("data"), &error))?;
        let known = storage.digesters().remove(id);
        let digester = match size {
            0 => Some(Digester::default()),
            size => known.filter(|(bytes, _)| *bytes == size).map(|(_, digester)| digester),
        };
        Ok(Upload {
            storage: storage.clone(),
            repository: repository.to_owned(),
            id: id.to_owned(),
            directory,
            file,
            digester,
            size,
            bytes_max: None,
        })
    }

    /// Bytes that have arrived.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let path = self.directory.join("data");
        if self.bytes_max.is_some_and(|most| self.size + bytes.len() as u64 > most) {
            return Err(Error::new(
                Code::Denied,
                "quota exceeded: this blob is larger than what is left of it",
            ));
        }
        self.file.write_all(bytes).map_err(|error| {
            // What was written of it would be a hole in what the digest covers.
            self.digester = None;
            disk("write", &path, &error)
        })?;
        if let Some(digester) = &mut self.digester {
            digester.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    #[must_use]
    pub(crate) fn at_most(mut self, bytes: Option<u64>) -> Upload {
        self.bytes_max = bytes;
        self
    }

    /// Nobody will go on with it.
    pub(crate) fn discard(self) -> Result<()> {
        files::remove(&self.directory).map(drop)
    }

    /// For the next request.
    pub(crate) fn suspend(self) {
        if let Some(digester) = self.digester {
            self.storage.digesters().insert(self.id, (self.size, digester));
        }
    }

    /// All has arrived: it becomes a blob of the repository if it is what was promised, and else it is gone.
    pub(crate) fn commit(mut self, digest: &Digest) -> Result<()> {
        let path = self.directory.join("data");
        let known = self.digester.take().filter(|_| digest.algorithm() == Algorithm::Sha256);
        let found = match known {
            Some(digester) => digester.finish(),
            None => self.hash(digest.algorithm()).map_err(|error| disk("read", &path, &error))?,
        };
        if found != *digest {
            files::remove(&self.directory)?;
            let message = "provided digest did not match uploaded content";
            return Err(Error::new(Code::DigestInvalid, message).with("digest", digest.as_str()));
        }
        if self.storage.layout().blob(digest).exists() {
            self.storage.keep(digest)?;
        } else {
            self.file.sync_data().map_err(|error| disk("sync", &path, &error))?;
            self.storage.adopt(&path, digest)?;
        }
        self.storage.link_blob(&self.repository, digest)?;
        files::remove(&self.directory).map(drop)
    }

    fn hash(&mut self, algorithm: Algorithm) -> std::io::Result<Digest> {
        self.file.rewind()?;
        let mut digester = Digester::new(algorithm);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(digester.finish()),
                bytes => digester.update(&buffer[..bytes]),
            }
        }
    }
}

/// The directory of one, with the time at which it began.
pub(super) fn start(directory: &Path) -> std::io::Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    files::create_directories(directory)?;
    match directory.join("startedat").exists() {
        true => Ok(()),
        false => fs::write(directory.join("startedat"), now),
    }
}
