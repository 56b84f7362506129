//! One repository of a registry, and whoever asks for it.

use std::sync::Arc;

use http::Method;
use serde::Deserialize;

use crate::auth::Caller;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::settings::{Credentials, Network};
use crate::transport::Asked;

/// Of one page of tags.
const TAGS_BYTES_MAX: usize = 16 << 20;
/// A registry whose pages never end is not followed for ever.
const TAG_PAGES_MAX: usize = 10_000;

/// The first endpoint's answer that is none but good; of failures, the registry's own.
macro_rules! first {
    ($repository:ident, $endpoint:ident => $ask:expr) => {{
        let mut failed = None;
        for $endpoint in &$repository.endpoints {
            match $ask.await {
                Ok(answer) => return Ok(answer),
                Err(error) => $repository.note($endpoint, &mut failed, error),
            }
        }
        let nobody = || Error::Invalid(format!("{}: no registry to ask", $repository.path));
        Err(failed.unwrap_or_else(nobody))
    }};
}
pub(crate) use first;

/// What is to be done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Pull,
    Push,
}

/// A repository, with its mirrors if it is to be read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Mirrors first; the registry itself is the last.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// `library/debian`.
    pub(crate) path: String,
    pub(crate) caller: Caller,
    pub(crate) network: Network,
}

impl Repository {
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All tags, in the registry's order.
    ///
    /// # Errors
    /// There is no such repository, or no registry answers.
    pub async fn tags(&self) -> Result<Vec<String>> {
        first!(self, endpoint => self.tags_at(endpoint))
    }

    async fn tags_at(&self, endpoint: &Endpoint) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut url = endpoint.url(&format!("/v2/{}/tags/list", self.path)).await?;
        let mut tags = Vec::new();
        for _ in 0..TAG_PAGES_MAX {
            let asked = Asked::new(Method::GET, url.clone());
            let answer = endpoint.ask(&self.caller_for(endpoint), asked).await?;
            if !answer.status.is_success() {
                return Err(answer.refusal().await);
            }
            let link = answer.headers.get(http::header::LINK).and_then(|value| value.to_str().ok());
            let next = link.and_then(next_page).map(|location| url.join(location)).transpose()?;
            let bytes = answer.whole(TAGS_BYTES_MAX).await?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|error| Error::Invalid(format!("{url}: no list of tags: {error}")))?;
            tags.extend(page.tags.unwrap_or_default());
            match next {
                Some(next) if next != url => url = next,
                _ => return Ok(tags),
            }
        }
        Err(Error::Invalid(format!("{}: its list of tags does not end", self.path)))
    }

    /// Notes that an endpoint failed; the last one's error is the one to tell.
    pub(crate) fn note(&self, endpoint: &Endpoint, failed: &mut Option<Error>, error: Error) {
        if endpoint.is_mirror {
            tracing::info!(repository = self.path, %error, "a mirror failed, asking the next");
        }
        *failed = Some(error);
    }

    /// As whom an endpoint is asked: a mirror gets no credentials.
    pub(crate) fn caller_for(&self, endpoint: &Endpoint) -> Caller {
        match endpoint.is_mirror {
            true => Caller { credentials: Credentials::default(), ..self.caller.clone() },
            false => self.caller.clone(),
        }
    }
}

/// `</v2/a/tags/list?last=x>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|one| {
        let (url, parameters) = one.trim().strip_prefix('<')?.split_once('>')?;
        parameters.replace(['"', ' '], "").contains("rel=next").then_some(url)
    })
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(next_page("</v2/a?last=b&n=1>; rel=\"next\""), Some("/v2/a?last=b&n=1"));
        assert_eq!(next_page("<x>; rel=prev, <y>; rel=next"), Some("y"));
        assert_eq!(next_page("<x>; rel=\"prev\""), None);
        assert_eq!(next_page("junk"), None);
    }
}
