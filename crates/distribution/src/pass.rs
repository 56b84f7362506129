//! A blob from one registry to another, which nobody keeps on the way: read and sent piece by piece, side by side, hashed in
//! between. Either side may break off: a piece is small enough to be kept until the other has it.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use oci::{Digest, Digester};

use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::transport::{Asked, Payload};
use crate::upload::{Mount, Pushed, location};
use crate::url::Url;

/// Two of these are in memory for each blob.
const PIECE_BYTES: usize = 4 << 20;

impl Repository {
    /// Brings a blob here that `from` has and we do not. `mount` is a repository of this registry that has it; `report` is
    /// told the bytes so far.
    ///
    /// # Errors
    /// It is not what its digest says; either registry refuses, or broke off too often.
    pub async fn pass_blob(
        &self,
        from: &Repository,
        digest: &Digest,
        size: u64,
        mount: Option<&str>,
        report: impl Fn(u64) + Send + Sync,
    ) -> Result<Pushed> {
        let mut at = match self.mount(digest, mount).await? {
            Mount::Done(pushed) => return Ok(pushed),
            Mount::Begun(at) => at,
            Mount::Refused => self.begun().await?,
        };
        let mut blob = from.blob(digest, size, 0);
        let mut digester = Digester::new(digest.algorithm());
        let mut sent = 0;
        let mut piece = read(&mut blob).await?;
        loop {
            digester.update(&piece);
            if sent + piece.len() as u64 >= size {
                break;
            }
            let (patched, next) = tokio::join!(self.patch_piece(at, &piece, sent), read(&mut blob));
            at = patched?;
            sent += piece.len() as u64;
            report(sent);
            piece = next?;
        }
        if digester.finish() != *digest {
            return Err(Error::Invalid(format!("filesystem layer verification failed for digest {digest}")));
        }
        let mut asked = Asked::new(Method::PUT, at.and("digest", digest.as_str()));
        asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        asked.payload = Payload::Bytes(piece);
        let refused = match self.ask(&self.caller, asked).await {
            Ok(answer) if answer.status.is_success() => {
                drop(answer.refusal().await);
                report(size);
                return Ok(Pushed::Uploaded);
            }
            Ok(answer) => answer.refusal().await,
            Err(error) => error,
        };
        // Its answer may have been lost, and the second attempt found no upload any more.
        if self.has_blob(digest).await? { Ok(Pushed::Uploaded) } else { Err(refused) }
    }

    /// Sends one piece, which begins at a position; answers where the upload goes on.
    pub(crate) async fn patch_piece(&self, mut at: Url, piece: &Bytes, from: u64) -> Result<Url> {
        let until = from + piece.len() as u64;
        let mut position = from;
        for failures in 1.. {
            let mut asked = Asked::new(Method::PATCH, at.clone());
            asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            if let Ok(range) = HeaderValue::try_from(format!("{position}-{}", until - 1)) {
                asked.headers.insert(CONTENT_RANGE, range);
            }
            // Within the piece, whose length is a usize.
            asked.payload = Payload::Bytes(piece.slice((position - from) as usize..));
            let (error, again) = match self.ask(&self.caller, asked).await {
                Ok(answer) => match answer.status {
                    StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED => {
                        return location(answer).await;
                    }
                    status => {
                        let error = answer.refusal().await;
                        // An attempt before may have come further than its answer.
                        let again = status == StatusCode::RANGE_NOT_SATISFIABLE || error.is_transient();
                        (error, again)
                    }
                },
                Err(error) => {
                    let again = error.is_transient();
                    (error, again)
                }
            };
            if !again || failures >= self.network.attempts.max(1) {
                return Err(error);
            }
            tokio::time::sleep(self.network.backoff * 2_u32.saturating_pow(failures - 1).min(64)).await;
            (at, position) = self.progress_of(&at).await?;
            if position == until {
                return Ok(at);
            }
            if position < from || position > until {
                return Err(error);
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// The next piece; empty at the end.
async fn read(blob: &mut Blob) -> Result<Bytes> {
    let mut piece = BytesMut::new();
    while piece.len() < PIECE_BYTES {
        match blob.chunk().await? {
            Some(bytes) => piece.extend_from_slice(&bytes),
            None => break,
        }
    }
    Ok(piece.freeze())
}
