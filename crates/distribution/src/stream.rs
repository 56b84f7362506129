//! A blob that is made while it is sent, so that nobody knows its digest or its length before its end, and nobody keeps
//! it: sent piece by piece, hashed in between. When it is not finished, the registry is told to forget what it has.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use oci::{Algorithm, Digest, Digester};
use tokio::sync::mpsc::Receiver;

use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::transport::{Asked, Payload};
use crate::url::Url;

/// Before each attempt to take an upload back.
const TAKE_BACK: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

/// Where an upload goes on; nothing once it is over. Dropped before that, it is taken back.
struct Upload {
    repository: Repository,
    at: Option<Url>,
}

impl Upload {
    /// In a task of its own: who does not wait for the answer any more leaves an upload that nobody knows the place of.
    async fn begin(repository: &Repository) -> Result<Upload> {
        let repository = repository.clone();
        let beginning = tokio::spawn(async move {
            let at = Some(repository.begun().await?);
            Ok(Upload { repository, at })
        });
        beginning.await.map_err(|error| Error::Invalid(error.to_string()))?
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(at), Ok(runtime)) = (self.at.take(), tokio::runtime::Handle::try_current()) else { return };
        let repository = self.repository.clone();
        // Whoever asked may be gone; what a registry does not take back, it forgets by itself in the end.
        runtime.spawn(async move {
            for pause in TAKE_BACK {
                // What was being sent has to be given up there first.
                tokio::time::sleep(pause).await;
                let asked = Asked::new(Method::DELETE, at.clone());
                let Ok(answer) = repository.ask(&repository.caller, asked).await else { continue };
                let done = answer.status.is_success() || answer.status == StatusCode::NOT_FOUND;
                drop(answer.refusal().await);
                if done {
                    return;
                }
            }
        });
    }
}

impl Repository {
    /// Sends pieces as a blob, until an empty one, which is its end; answers digest and length. Pieces of some megabytes
    /// are best: each is a request. `report` is told the bytes so far.
    ///
    /// # Errors
    /// Whoever makes them failed, or stopped before the end; the registry refuses it, or broke off too often.
    pub async fn push_stream(
        &self,
        pieces: &mut Receiver<io::Result<Bytes>>,
        mut report: impl FnMut(u64) + Send,
    ) -> Result<(Digest, u64)> {
        let mut upload = Upload::begin(self).await?;
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut sent = 0;
        loop {
            let piece = match pieces.recv().await {
                Some(piece) => piece.map_err(|error| Error::Invalid(error.to_string()))?,
                None => return Err(Error::Invalid("it ended before its end".into())),
            };
            if piece.is_empty() {
                break;
            }
            digester.update(&piece);
            let at = upload.at.clone().ok_or_else(over)?;
            upload.at = Some(self.patch_piece(at, &piece, sent).await?);
            sent += piece.len() as u64;
            report(sent);
        }
        let digest = digester.finish();
        let at = upload.at.clone().ok_or_else(over)?;
        self.end(at, &digest, Bytes::new()).await?;
        upload.at = None;
        Ok((digest, sent))
    }

    /// Sends a small blob that is in memory.
    ///
    /// # Errors
    /// As [`Repository::push_stream`].
    pub async fn push_bytes(&self, digest: &Digest, bytes: &'static [u8]) -> Result<()> {
        let mut upload = Upload::begin(self).await?;
        let at = upload.at.clone().ok_or_else(over)?;
        self.end(at, digest, Bytes::from_static(bytes)).await?;
        upload.at = None;
        Ok(())
    }

    async fn end(&self, at: Url, digest: &Digest, rest: Bytes) -> Result<()> {
        let mut asked = Asked::new(Method::PUT, at.and("digest", digest.as_str()));
        asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        asked.payload = Payload::Bytes(rest);
        let refused = match self.ask(&self.caller, asked).await {
            Ok(answer) if answer.status.is_success() => {
                drop(answer.refusal().await);
                return Ok(());
            }
            Ok(answer) => answer.refusal().await,
            Err(error) => error,
        };
        // Its answer may have been lost, and the second attempt found no upload any more.
        if self.has_blob(digest).await? { Ok(()) } else { Err(refused) }
    }
}

fn over() -> Error {
    Error::Invalid("an upload is over".into())
}
