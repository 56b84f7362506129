//! Blobs of an upstream: one fetch for all who ask, each of whom reads what has come so far.
//!
//! What has come lies in an upload whose id is made of the digest, so that it is found again: by another process, which waits
//! while the one that holds its lock goes on, and takes it up where that one died.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use oci::Digest;
use tokio::sync::watch;

use super::Upstream;
use crate::blocking::blocking;
use crate::body::{Arriving, Progress};
use crate::error::{Code, Error, Result};
use crate::log::Level;
use crate::storage::{Blob, Fetched};

/// How often another process's progress is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// One that goes on.
#[derive(Debug)]
pub(crate) struct Fetch {
    size: u64,
    progress: watch::Receiver<Progress>,
}

/// What there is of a blob.
#[derive(Debug)]
pub(crate) enum Found {
    Here(Blob),
    /// It is there, and as large as this.
    There(u64),
    Coming(Arriving),
}

impl Upstream {
    /// Whether it is here, or there; with `fetch`, it is on its way here when this returns.
    pub(crate) async fn blob(
        self: &Arc<Self>,
        repository: &str,
        digest: &Digest,
        fetch: bool,
    ) -> Result<Found> {
        if let Some(blob) = self.here(repository, digest).await? {
            return Ok(Found::Here(blob));
        }
        let key = (repository.to_owned(), digest.clone());
        let known = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let running = match known {
            Some(fetch) => fetch,
            None => {
                let found = self.repository(repository)?.blob_size(digest).await;
                let size = found.map_err(|error| self.refused(&error, || Error::blob_unknown(digest)))?;
                if !fetch {
                    return Ok(Found::There(size));
                }
                self.begin(key, size)
            }
        };
        if !fetch {
            return Ok(Found::There(running.size));
        }
        // It may fail before anything has come; then that is the answer.
        let mut progress = running.progress.clone();
        loop {
            let now = progress.borrow_and_update().clone();
            match now {
                Progress::Beginning => {}
                Progress::Failed(error) => return Err(error),
                // It was there before we looked, or another process has it by now.
                Progress::Done => {
                    let blob = self.here(repository, digest).await?;
                    return blob.map(Found::Here).ok_or_else(|| Error::blob_unknown(digest));
                }
                Progress::Going { .. } => break,
            }
            if progress.changed().await.is_err() {
                return Err(broken_off(digest));
            }
        }
        let (storage, name, wanted) = (self.storage.clone(), repository.to_owned(), digest.clone());
        match blocking(move || storage.fetching(&name, &wanted)).await? {
            Some(file) => Ok(Found::Coming(Arriving { file, size: running.size, progress })),
            // It came to its end in between.
            None => {
                let blob = self.here(repository, digest).await?;
                blob.map(Found::Here).ok_or_else(|| broken_off(digest))
            }
        }
    }

    async fn here(&self, repository: &str, digest: &Digest) -> Result<Option<Blob>> {
        let (storage, name, digest) = (self.storage.clone(), repository.to_owned(), digest.clone());
        blocking(move || match storage.blob(&name, &digest) {
            Ok(blob) => Ok(Some(blob)),
            Err(error) if error.code == Code::BlobUnknown => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    /// Joins whoever was first, or is it. It goes on when whoever asked goes away: the next one will.
    fn begin(self: &Arc<Self>, key: (String, Digest), size: u64) -> Arc<Fetch> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetch) = running.get(&key) {
            return fetch.clone();
        }
        let (tell, progress) = watch::channel(Progress::Beginning);
        let fetch = Arc::new(Fetch { size, progress });
        running.insert(key.clone(), fetch.clone());
        let upstream = self.clone();
        tokio::spawn(async move {
            let (repository, digest) = &key;
            let done = upstream.fetch(repository, digest, size, &tell).await;
            if let Err(error) = &done {
                upstream.log.say(Level::Warn, &format!("{repository}@{digest}: {error}"));
            }
            upstream.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            tell.send_replace(match done {
                Ok(()) => Progress::Done,
                Err(error) => Progress::Failed(error),
            });
        });
        fetch
    }

    async fn fetch(
        &self,
        repository: &str,
        digest: &Digest,
        size: u64,
        tell: &watch::Sender<Progress>,
    ) -> Result<()> {
        let mut upload = loop {
            let (storage, name, wanted) = (self.storage.clone(), repository.to_owned(), digest.clone());
            match blocking(move || storage.fetch(&name, &wanted)).await? {
                Fetched::Ours(upload) => break upload,
                Fetched::Done => return Ok(()),
                Fetched::Anothers { bytes } => {
                    tell.send_replace(Progress::Going { bytes });
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        // What is longer than it should be was never this blob.
        let mut blob = self.repository(repository)?.blob(digest, size, upload.size().min(size));
        tell.send_replace(Progress::Going { bytes: upload.size() });
        loop {
            let piece = match blob.chunk().await {
                Ok(piece) => piece,
                Err(error) => {
                    blocking(move || upload.suspend()).await?;
                    return Err(self.refused(&error, || Error::blob_unknown(digest)));
                }
            };
            let Some(piece) = piece else { break };
            let written;
            (upload, written) = blocking(move || {
                let written = upload.write(&piece);
                Ok((upload, written))
            })
            .await?;
            if let Err(error) = written {
                blocking(move || upload.suspend()).await?;
                return Err(error);
            }
            tell.send_replace(Progress::Going { bytes: upload.size() });
        }
        let digest = digest.clone();
        blocking(move || upload.commit(&digest)).await
    }
}

fn broken_off(digest: &Digest) -> Error {
    Error::new(Code::Unavailable, "the fetch of a blob was broken off").with("digest", digest.as_str())
}
