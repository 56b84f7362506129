//! Push: what is there already is not sent, what another repository of the registry has is mounted, the rest goes in one
//! piece, or, when that breaks off, from where the registry has it.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use http::{Method, StatusCode};
use oci::Digest;

use crate::auth::Caller;
use crate::endpoint::Endpoint;
use crate::error::{Class, Error, Result};
use crate::repository::Repository;
use crate::transport::{Answer, Asked, Payload, Sent};
use crate::url::Url;

/// What is sent with the request that also ends the upload.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Between two looks at how far an upload is.
const LOOK: Duration = Duration::from_millis(100);

/// What became of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Exists,
    /// The registry took it from that repository.
    Mounted(String),
    Uploaded,
}

/// What became of asking for a mount.
pub(crate) enum Mount {
    Done(Pushed),
    /// Not mounted, but an upload has begun, which is as good.
    Begun(Url),
    Refused,
}

impl Repository {
    fn registry(&self) -> Result<&Arc<Endpoint>> {
        self.endpoints.last().ok_or_else(|| Error::Invalid(format!("{}: no registry to ask", self.path)))
    }

    pub(crate) async fn ask(&self, caller: &Caller, asked: Asked) -> Result<Answer> {
        self.registry()?.ask(caller, asked).await
    }

    /// Does the repository have this blob?
    ///
    /// # Errors
    /// It may not be asked, or no registry answers.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        self.has(&format!("/v2/{}/blobs/{digest}", self.path)).await
    }

    /// Does a tag or digest stand for exactly this manifest there?
    ///
    /// # Errors
    /// As [`Repository::has_blob`].
    pub async fn has_manifest(&self, what: &str, digest: &Digest) -> Result<bool> {
        match self.resolve(what).await {
            Ok(there) => Ok(there.as_ref() == Some(digest)),
            Err(error) if error.class() == Class::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn has(&self, path: &str) -> Result<bool> {
        let url = self.registry()?.url(path).await?;
        let answer = self.ask(&self.caller, Asked::new(Method::HEAD, url)).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(answer.refusal().await),
        }
    }

    /// Sends a blob that the repository does not have. `source` is a repository of the registry that has it;
    /// `report` is told the bytes so far.
    ///
    /// # Errors
    /// The registry refuses it, or broke off too often.
    pub async fn push_blob(
        &self,
        digest: &Digest,
        size: u64,
        file: File,
        source: Option<&str>,
        report: impl Fn(u64) + Send + Sync,
    ) -> Result<Pushed> {
        let begun = match self.mount(digest, source).await? {
            Mount::Done(pushed) => return Ok(pushed),
            Mount::Begun(at) => Some(at),
            Mount::Refused => None,
        };
        self.upload(digest, size, Arc::new(file), begun, &report).await
    }

    /// Asks for a blob that another repository of the registry may have.
    pub(crate) async fn mount(&self, digest: &Digest, source: Option<&str>) -> Result<Mount> {
        let Some(source) = source else { return Ok(Mount::Refused) };
        match self.begin(Some((digest, source))).await {
            Ok(None) => Ok(Mount::Done(Pushed::Mounted(source.to_owned()))),
            Ok(Some(at)) => Ok(Mount::Begun(at)),
            // It may not be looked at.
            Err(error) if matches!(error.class(), Class::Denied | Class::Unauthorized | Class::NotFound) => {
                Ok(Mount::Refused)
            }
            Err(error) => Err(error),
        }
    }

    /// A new upload.
    pub(crate) async fn begun(&self) -> Result<Url> {
        self.begin(None).await?.ok_or_else(|| Error::Invalid("an upload did not begin".into()))
    }

    /// Begins an upload. `None`: the blob was mounted.
    async fn begin(&self, mount: Option<(&Digest, &str)>) -> Result<Option<Url>> {
        let mut url = self.registry()?.url(&format!("/v2/{}/blobs/uploads/", self.path)).await?;
        let mut caller = self.caller.clone();
        if let Some((digest, from)) = mount {
            url = url.and("mount", digest.as_str()).and("from", from);
            caller.scopes.push(format!("repository:{from}:pull"));
        }
        let mut asked = Asked::new(Method::POST, url);
        asked.payload = Payload::Bytes(Bytes::new());
        let answer = self.ask(&caller, asked).await?;
        match answer.status {
            StatusCode::CREATED if mount.is_some() => {
                drop(answer.refusal().await);
                Ok(None)
            }
            StatusCode::ACCEPTED => Ok(Some(location(answer).await?)),
            _ => Err(answer.refusal().await),
        }
    }

    async fn upload(
        &self,
        digest: &Digest,
        size: u64,
        file: Arc<File>,
        mut begun: Option<Url>,
        report: &(impl Fn(u64) + Send + Sync),
    ) -> Result<Pushed> {
        let attempts = self.network.attempts.max(1);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let at = match begun.take() {
                Some(at) => at,
                None => self.begun().await?,
            };
            match self.send(digest, size, &file, at, report).await {
                Ok(()) => return Ok(Pushed::Uploaded),
                Err(error) if error.is_transient() && attempt < attempts => {
                    tracing::debug!(%digest, %error, "upload: once more");
                    tokio::time::sleep(self.network.backoff * 2_u32.saturating_pow(attempt - 1).min(64))
                        .await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn send(
        &self,
        digest: &Digest,
        size: u64,
        file: &Arc<File>,
        mut at: Url,
        report: &(impl Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let mut position = 0;
        if size > SMALL_BYTES_MAX {
            let mut failures = 0;
            while position < size {
                match self.patch(&at, file, position, size, report).await {
                    Ok(next) => {
                        at = next;
                        position = size;
                    }
                    Err(error) => {
                        failures += 1;
                        if !error.is_transient() || failures >= self.network.attempts.max(1) {
                            return Err(error);
                        }
                        tokio::time::sleep(self.network.backoff * 2_u32.saturating_pow(failures - 1).min(64))
                            .await;
                        (at, position) = self.progress_of(&at).await?;
                    }
                }
            }
        }
        let mut asked = Asked::new(Method::PUT, at.and("digest", digest.as_str()));
        asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        asked.payload = match position {
            position if position == size => Payload::Bytes(Bytes::new()),
            from => Payload::File { file: file.clone(), from, until: size, sent: Sent::default() },
        };
        let answer = self.ask(&self.caller, asked).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal().await);
        }
        report(size);
        drop(answer.refusal().await);
        Ok(())
    }

    /// Sends all from a position on; answers where the upload goes on.
    async fn patch(
        &self,
        at: &Url,
        file: &Arc<File>,
        from: u64,
        until: u64,
        report: &(impl Fn(u64) + Send + Sync),
    ) -> Result<Url> {
        let sent = Sent::default();
        let mut asked = Asked::new(Method::PATCH, at.clone());
        asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if let Ok(range) = HeaderValue::try_from(format!("{from}-{}", until - 1)) {
            asked.headers.insert(CONTENT_RANGE, range);
        }
        asked.payload = Payload::File { file: file.clone(), from, until, sent: sent.clone() };
        let mut answer = std::pin::pin!(self.ask(&self.caller, asked));
        let answer = loop {
            tokio::select! {
                answer = &mut answer => break answer?,
                () = tokio::time::sleep(LOOK) => report(from + sent.bytes()),
            }
        };
        match answer.status {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED => location(answer).await,
            _ => Err(answer.refusal().await),
        }
    }

    /// How much of an upload the registry has, and where it goes on.
    pub(crate) async fn progress_of(&self, at: &Url) -> Result<(Url, u64)> {
        let answer = self.ask(&self.caller, Asked::new(Method::GET, at.clone())).await?;
        if answer.status != StatusCode::NO_CONTENT {
            return Err(answer.refusal().await);
        }
        // `0-99`, and `0-0` for nothing as well as for one byte.
        let range = answer.headers.get(RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let last = range.rsplit('-').next().and_then(|last| last.parse::<u64>().ok()).unwrap_or_default();
        let next = if answer.headers.contains_key(LOCATION) { location(answer).await? } else { at.clone() };
        Ok((next, if last == 0 { 0 } else { last + 1 }))
    }

    /// Puts a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// The registry refuses it, for instance because a blob is missing.
    pub async fn put_manifest(&self, what: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        let url = self.registry()?.url(&format!("/v2/{}/manifests/{what}", self.path)).await?;
        let mut asked = Asked::new(Method::PUT, url);
        let media_type = HeaderValue::try_from(media_type)
            .map_err(|_| Error::Invalid(format!("invalid media type {media_type:?}")))?;
        asked.headers.insert(CONTENT_TYPE, media_type);
        asked.payload = Payload::Bytes(Bytes::copy_from_slice(bytes));
        let answer = self.ask(&self.caller, asked).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal().await);
        }
        drop(answer.refusal().await);
        Ok(())
    }
}

/// Where an answer says that it goes on. Its body, if it has one, is of no interest.
pub(crate) async fn location(answer: Answer) -> Result<Url> {
    let here = answer.asked.url.clone();
    let there = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    drop(answer.refusal().await);
    match there {
        Some(there) => here.join(&there),
        None => Err(Error::Invalid(format!("{here}: the registry does not say where the upload goes on"))),
    }
}
