//! A blob on its way here: taken up where it broke off, from whoever has it, and never longer than promised.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE};
use http::{Method, StatusCode};
use oci::Digest;

use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::transport::{Answer, Asked};

/// A connection that brought this much was worth it: breaking off afterwards costs no attempt.
const PROGRESS_BYTES: u64 = 64 << 10;

/// A download. It is not hashed here: whoever keeps the bytes does that, together with those of before.
#[derive(Debug)]
pub struct Blob {
    repository: Repository,
    digest: Digest,
    size: u64,
    position: u64,
    answer: Option<Answer>,
    /// Of an answer that begins before our position: a registry without ranges.
    skip: u64,
    failures: u32,
    since_failure: u64,
    /// Of the repository's endpoints.
    endpoint: usize,
}

impl Repository {
    /// Bytes of a blob from a position on. Nothing is asked before the first piece is.
    pub fn blob(&self, digest: &Digest, size: u64, position: u64) -> Blob {
        Blob {
            repository: self.clone(),
            digest: digest.clone(),
            size,
            position,
            answer: None,
            skip: 0,
            failures: 0,
            since_failure: 0,
            endpoint: 0,
        }
    }
}

impl Blob {
    /// Where the next piece belongs.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next piece; `None` when all is here.
    ///
    /// # Errors
    /// The registry does not have it, sends more or less than promised, or broke off too often.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        while self.position < self.size || self.answer.is_some() {
            match self.piece().await {
                Ok(Some(bytes)) => return Ok(Some(bytes)),
                Ok(None) if self.answer.is_none() => return Ok(None),
                Ok(None) => {}
                Err(error) => self.failed(error).await?,
            }
        }
        Ok(None)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let opened = self.open().await?;
                self.answer.insert(opened)
            }
        };
        let Some(mut bytes) = answer.chunk().await? else {
            let asked = answer.asked.clone();
            self.answer = None;
            if self.position == self.size {
                return Ok(None);
            }
            return Err(
                asked.failed(format!("unexpected EOF after {} of {} bytes", self.position, self.size), true)
            );
        };
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        // At most the length of a piece.
        let bytes = bytes.split_off(skipped as usize);
        let length = bytes.len() as u64;
        if length > self.size - self.position {
            self.answer = None;
            return Err(self.wrong_size("more"));
        }
        self.position += length;
        self.since_failure += length;
        if self.since_failure >= PROGRESS_BYTES {
            self.failures = 0;
        }
        // Of an empty one nobody would learn anything.
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    async fn open(&mut self) -> Result<Answer> {
        let endpoint = self.repository.endpoints[self.endpoint].clone();
        let url = endpoint.url(&format!("/v2/{}/blobs/{}", self.repository.path, self.digest)).await?;
        let mut asked = Asked::new(Method::GET, url);
        if self.position > 0 {
            let range = format!("bytes={}-", self.position);
            asked.headers.insert(
                RANGE,
                HeaderValue::try_from(range).unwrap_or_else(|_| HeaderValue::from_static("bytes=0-")),
            );
        }
        let answer = endpoint.ask(&self.repository.caller_for(&endpoint), asked).await?;
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        match answer.status {
            StatusCode::PARTIAL_CONTENT => {
                // `bytes 10-99/100`
                let start = header(CONTENT_RANGE)
                    .and_then(|range| range.trim().strip_prefix("bytes"))
                    .and_then(|range| range.trim().split('-').next()?.parse::<u64>().ok());
                if start != Some(self.position) {
                    return Err(Error::Invalid(format!(
                        "{}: the registry sends another range than asked",
                        self.digest
                    )));
                }
                self.skip = 0;
            }
            StatusCode::OK => {
                if header(CONTENT_LENGTH).is_some_and(|length| length != self.size.to_string()) {
                    return Err(self.wrong_size(header(CONTENT_LENGTH).unwrap_or_default()));
                }
                self.skip = self.position;
            }
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.wrong_size("fewer")),
            _ => return Err(answer.refusal().await),
        }
        Ok(answer)
    }

    fn wrong_size(&self, how_many: &str) -> Error {
        Error::Invalid(format!(
            "{}: the registry has {how_many} bytes where the manifest says {}",
            self.digest, self.size
        ))
    }

    /// Another attempt, here or at the next endpoint; or that was it.
    async fn failed(&mut self, error: Error) -> Result<()> {
        self.answer = None;
        if self.position == self.size {
            // All is here; how it ended is nobody's concern.
            return Ok(());
        }
        self.since_failure = 0;
        self.failures += 1;
        let network = &self.repository.network;
        if error.is_transient() && self.failures < network.attempts.max(1) {
            tracing::debug!(digest = %self.digest, position = self.position, %error, "download: once more");
            tokio::time::sleep(network.backoff * 2_u32.saturating_pow(self.failures - 1).min(64)).await;
            return Ok(());
        }
        if self.endpoint + 1 < self.repository.endpoints.len() {
            tracing::info!(digest = %self.digest, %error, "a mirror failed, asking the next");
            self.endpoint += 1;
            self.failures = 0;
            return Ok(());
        }
        Err(error)
    }
}
