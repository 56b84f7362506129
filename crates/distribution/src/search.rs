//! Search by words, as Docker's Hub and its first registries answer it (`/v1/search`).

use http::Method;
use serde::Deserialize;

use crate::auth::Caller;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::settings::Credentials;
use crate::transport::Asked;

/// Where the Hub answers searches.
const HUB_INDEX: &str = "index.docker.io";
/// A hundred results with long descriptions.
const RESULTS_BYTES_MAX: usize = 4 << 20;

/// A repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Found {
    pub name: String,
    pub description: String,
    pub star_count: i64,
    pub is_official: bool,
}

impl Client {
    /// Repositories of a registry that have to do with a word, at most `limit`, in its order.
    ///
    /// # Errors
    /// It does not search, or no registry answers.
    pub async fn search(
        &self,
        domain: &str,
        term: &str,
        limit: usize,
        credentials: &Credentials,
    ) -> Result<Vec<Found>> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            results: Option<Vec<Found>>,
        }
        let endpoint = self.registry(if domain == oci::DEFAULT_DOMAIN { HUB_INDEX } else { domain })?;
        let url = endpoint.url("/v1/search").await?.and("q", term).and("n", &limit.to_string());
        let caller = Caller { credentials: credentials.clone(), scopes: Vec::new() };
        let answer = endpoint.ask(&caller, Asked::new(Method::GET, url.clone())).await?;
        if !answer.status.is_success() {
            let status = answer.status.as_u16();
            let error = answer.refusal().await;
            return Err(match error {
                Error::Refused { .. } => error,
                _ => Error::Local(format!("Unexpected status code {status}")),
            });
        }
        let bytes = answer.whole(RESULTS_BYTES_MAX).await?;
        let page: Page = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Invalid(format!("{url}: no results of a search: {error}")))?;
        let mut results = page.results.unwrap_or_default();
        results.truncate(limit);
        Ok(results)
    }
}
