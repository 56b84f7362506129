//! Blobs on their way in. What has arrived stays when client or registry die, and is continued from there, by one request at a
//! time.

use std::path::PathBuf;
use std::time::Duration;

use oci::{Algorithm, Digest, Digester};

use super::Storage;
use super::medium::{Sink, Taken};
use crate::error::{Code, Error, Result};

/// How long a request waits for the one before it, whose connection may just be breaking.
const PATIENCE: Duration = Duration::from_secs(5);

/// An upload that nobody else writes to.
#[derive(Debug)]
pub(crate) struct Upload {
    storage: Storage,
    repository: String,
    id: String,
    directory: PathBuf,
    sink: Box<dyn Sink>,
    digester: Option<Digester>,
    /// More is not taken; `None`: any number of bytes.
    bytes_max: Option<u64>,
}

impl Storage {
    /// Begins one; its id.
    pub(crate) fn begin_upload(&self, repository: &str) -> Result<String> {
        let id = crate::uuid::random()
            .map_err(|error| Error::new(Code::Unknown, format!("get random bytes: {error}")))?;
        self.medium().begin(&self.layout().upload(repository, &id))?;
        self.digesters().insert(id.clone(), (0, Digester::default()));
        Ok(id)
    }

    /// How many bytes have arrived.
    pub(crate) fn upload_size(&self, repository: &str, id: &str) -> Result<u64> {
        let received = self.medium().received(&self.layout().upload(repository, id))?;
        received.ok_or_else(|| Error::upload_unknown(id))
    }

    /// Takes it for one request.
    pub(crate) fn upload(&self, repository: &str, id: &str) -> Result<Upload> {
        match self.medium().take(&self.layout().upload(repository, id), PATIENCE)? {
            Taken::Ours(sink) => Ok(Upload::of(self, repository, id, sink)),
            Taken::Gone => Err(Error::upload_unknown(id)),
            Taken::Busy => {
                let message = "another request is writing to this upload";
                Err(Error::new(Code::BlobUploadInvalid, message).with("upload", id))
            }
        }
    }

    /// Gives one up.
    pub(crate) fn cancel_upload(&self, repository: &str, id: &str) -> Result<()> {
        self.upload(repository, id)?.discard()
    }

    pub(super) fn digesters(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, (u64, Digester)>> {
        self.inner.digesters.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Upload {
    pub(super) fn of(storage: &Storage, repository: &str, id: &str, sink: Box<dyn Sink>) -> Upload {
        let known = storage.digesters().remove(id);
        let digester = match sink.size() {
            0 => Some(Digester::default()),
            size => known.filter(|(bytes, _)| *bytes == size).map(|(_, digester)| digester),
        };
        Upload {
            storage: storage.clone(),
            repository: repository.to_owned(),
            id: id.to_owned(),
            directory: storage.layout().upload(repository, id),
            sink,
            digester,
            bytes_max: None,
        }
    }

    /// Bytes that have arrived.
    pub(crate) fn size(&self) -> u64 {
        self.sink.size()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.bytes_max.is_some_and(|most| self.size() + bytes.len() as u64 > most) {
            return Err(Error::new(
                Code::Denied,
                "quota exceeded: this blob is larger than what is left of it",
            ));
        }
        self.sink.write(bytes).inspect_err(|_| {
            // What was written of it would be a hole in what the digest covers.
            self.digester = None;
        })?;
        if let Some(digester) = &mut self.digester {
            digester.update(bytes);
        }
        Ok(())
    }

    #[must_use]
    pub(crate) fn at_most(mut self, bytes: Option<u64>) -> Upload {
        self.bytes_max = bytes;
        self
    }

    /// Nobody will go on with it.
    pub(crate) fn discard(self) -> Result<()> {
        self.storage.medium().remove(&self.directory).map(drop)
    }

    /// For the next request.
    pub(crate) fn suspend(mut self) -> Result<()> {
        self.sink.suspend()?;
        let size = self.size();
        if let Some(digester) = self.digester {
            self.storage.digesters().insert(self.id, (size, digester));
        }
        Ok(())
    }

    /// All has arrived: it becomes a blob of the repository if it is what was promised, and else it is gone.
    pub(crate) fn commit(mut self, digest: &Digest) -> Result<()> {
        let medium = self.storage.medium();
        let mut is_sealed = false;
        let known = self.digester.take().filter(|_| digest.algorithm() == Algorithm::Sha256);
        let found = match known {
            Some(digester) => digester.finish(),
            None => {
                self.sink.seal()?;
                is_sealed = true;
                let mut digester = Digester::new(digest.algorithm());
                self.sink.read(&mut |bytes| digester.update(bytes))?;
                digester.finish()
            }
        };
        if found != *digest {
            medium.remove(&self.directory)?;
            let message = "provided digest did not match uploaded content";
            return Err(Error::new(Code::DigestInvalid, message).with("digest", digest.as_str()));
        }
        let path = self.storage.layout().blob(digest);
        if self.storage.has(&path)? {
            self.storage.keep(digest)?;
        } else {
            if !is_sealed {
                self.sink.seal()?;
            }
            self.sink.adopt(&path)?;
        }
        self.storage.link_blob(&self.repository, digest)?;
        medium.remove(&self.directory).map(drop)
    }
}
