//! A file of any server, by its URL: with the proxies, certificates, redirects and patience that registries get. Where it breaks
//! off it is gone on with, if the server can say that it is still the same file.

use base64::Engine as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use http::{Method, StatusCode};

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::transport::{Answer, Asked};
use crate::url::Url;
use std::sync::Arc;

/// Of a server's own words about why not.
const REASON_CHARS_MAX: usize = 200;

/// A file on its way here.
#[derive(Debug)]
pub struct Fetch {
    endpoint: Arc<Endpoint>,
    asked: Asked,
    answer: Option<Answer>,
    /// Says that it is the same file, if the server tells.
    tag: Option<HeaderValue>,
    total: Option<u64>,
    position: u64,
    failures: u32,
    attempts: u32,
}

impl Client {
    /// Begins with it. `user:password@` before the host is told to that host only.
    ///
    /// # Errors
    /// It is no URL of the web; the server does not have it, or does not answer.
    pub async fn fetch(&self, url: &str) -> Result<Fetch> {
        let (url, user) = without_user(url);
        let url = Url::parse(&url)?;
        let base = url.origin.with("/");
        let endpoint = self.endpoint(&format!("fetch {}", url.origin), || vec![base], false, None);
        let mut asked = Asked::new(Method::GET, url);
        if let Some(user) = user {
            let encoded = base64::engine::general_purpose::STANDARD.encode(user);
            let value = HeaderValue::try_from(format!("Basic {encoded}"))
                .map_err(|error| Error::Invalid(error.to_string()))?;
            asked.headers.insert(AUTHORIZATION, value);
        }
        let attempts = self.settings().network.attempts.max(1);
        let mut fetch = Fetch {
            endpoint,
            asked,
            answer: None,
            tag: None,
            total: None,
            position: 0,
            failures: 0,
            attempts,
        };
        fetch.open().await?;
        Ok(fetch)
    }
}

impl Fetch {
    /// Bytes in all, if the server says so.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It broke off, and cannot be gone on with.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let outcome = match self.answer.as_mut() {
                Some(answer) => answer.chunk().await,
                None => match self.open().await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
            };
            let error = match outcome {
                Ok(Some(bytes)) => {
                    self.position += bytes.len() as u64;
                    self.failures = 0;
                    return Ok(Some(bytes));
                }
                Ok(None) if self.total.is_none_or(|total| total == self.position) => return Ok(None),
                Ok(None) => {
                    let total = self.total.unwrap_or_default();
                    self.asked
                        .failed(format!("unexpected EOF after {} of {total} bytes", self.position), true)
                }
                Err(error) => error,
            };
            self.answer = None;
            self.failures += 1;
            // Without its tag nobody could say whether the rest is that of the same file.
            if !error.is_transient() || self.failures >= self.attempts || self.tag.is_none() {
                return Err(error);
            }
            tracing::debug!(url = %self.asked.url, position = self.position, %error, "download: once more");
        }
    }

    async fn open(&mut self) -> Result<()> {
        let mut asked = self.asked.clone();
        if let Some(tag) = self.tag.as_ref().filter(|_| self.position > 0) {
            let range = HeaderValue::try_from(format!("bytes={}-", self.position));
            asked.headers.insert(RANGE, range.unwrap_or_else(|_| HeaderValue::from_static("bytes=0-")));
            asked.headers.insert(IF_RANGE, tag.clone());
        }
        let answer = self.endpoint.follow(asked).await?;
        let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        match answer.status {
            StatusCode::OK if self.position == 0 => {
                self.total = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
                // A weak one may be of another file (RFC 9110, 13.1.5).
                self.tag = answer.headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")).cloned();
            }
            StatusCode::PARTIAL_CONTENT if self.position > 0 => {
                let start = text(CONTENT_RANGE)
                    .and_then(|range| range.trim().strip_prefix("bytes"))
                    .and_then(|range| range.trim().split('-').next()?.parse::<u64>().ok());
                if start != Some(self.position) {
                    return Err(Error::Invalid(format!("{}: another range than asked", self.asked.url)));
                }
            }
            StatusCode::OK => {
                let why = "it broke off, and is another file by now";
                return Err(Error::Invalid(format!("{}: {why}", self.asked.url)));
            }
            status => return Err(refused(&self.asked.url, status, answer).await),
        }
        self.answer = Some(answer);
        Ok(())
    }
}

/// In Docker's words.
async fn refused(url: &Url, status: StatusCode, answer: Answer) -> Error {
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!("failed to GET {url} with status {} {reason}", status.as_u16());
    let body = answer.whole(64 << 10).await.unwrap_or_default();
    let body: String = String::from_utf8_lossy(&body).trim().chars().take(REASON_CHARS_MAX).collect();
    Error::Local(if body.is_empty() { head } else { format!("{head}: {body}") })
}

/// `user:password` out of a URL. Escapes in it are read.
fn without_user(url: &str) -> (String, Option<Vec<u8>>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{scheme}://{host}{target}"), Some(unescaped(user))),
        None => (url.to_owned(), None),
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_taken_out_of_the_url() {
        for (url, bare, user) in [
            ("http://h/x", "http://h/x", None),
            ("http://u:p@h:1/x@y", "http://h:1/x@y", Some("u:p")),
            ("https://u%40x:p%2fq@h?a", "https://h?a", Some("u@x:p/q")),
            ("https://a%zz@h", "https://h", Some("a%zz")),
        ] {
            assert_eq!(
                without_user(url),
                (bare.to_owned(), user.map(|user| user.as_bytes().to_vec())),
                "{url}"
            );
        }
    }
}
