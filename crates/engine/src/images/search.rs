//! Search: by words, at the Hub or at another registry that answers it.

use distribution::{Credentials, Found};

use super::Images;
use crate::container::Filters;
use crate::error::{Error, Result};

const LIMIT: i64 = 25;
const LIMIT_MAX: i64 = 100;

/// `GET /images/search`.
#[derive(Debug, Clone, Default)]
pub struct SearchRequest {
    /// Words; before a slash, a registry's host.
    pub term: String,
    /// Zero: as many as is usual.
    pub limit: i64,
    pub filters: Filters,
    pub credentials: Credentials,
}

impl Images {
    /// What a registry finds, in its order.
    pub async fn search(&self, request: SearchRequest) -> Result<Vec<Found>> {
        let SearchRequest { term, limit, filters, credentials } = request;
        filters.check(&["is-automated", "is-official", "stars"])?;
        // There are no automated builds any more.
        if filters.flag("is-automated")? == Some(true) {
            return Ok(Vec::new());
        }
        let official = filters.flag("is-official")?;
        let mut stars = 0;
        for text in filters.get("stars") {
            let number = text.parse::<i64>().map_err(|_| {
                Error::invalid(format!(
                    "invalid filter 'stars={text}': strconv.Atoi: parsing {text:?}: invalid syntax"
                ))
            })?;
            stars = stars.max(number);
        }
        let limit = if limit == 0 { LIMIT } else { limit };
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Error::invalid(format!("limit {limit} is outside the range of [1, {LIMIT_MAX}]")));
        }
        if term.contains("://") {
            return Err(Error::invalid(format!(
                "invalid repository name: repository name ({term}) should not have a scheme"
            )));
        }
        let (domain, words) = split(&term);
        let client = self.registries.client();
        // Between 1 and 100.
        let mut found = client.search(domain, words, limit as usize, &credentials).await?;
        found
            .retain(|one| official.is_none_or(|wanted| wanted == one.is_official) && one.star_count >= stars);
        Ok(found)
    }
}

/// The registry to ask, and for what. The Hub keeps its own images under their bare names.
fn split(term: &str) -> (&str, &str) {
    let host = term.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
    let (domain, words) = host.unwrap_or((oci::DEFAULT_DOMAIN, term));
    match domain {
        "docker.io" | "index.docker.io" => {
            (oci::DEFAULT_DOMAIN, words.strip_prefix("library/").unwrap_or(words))
        }
        _ => (domain, words),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_term_may_begin_with_a_host() {
        assert_eq!(split("busybox"), ("docker.io", "busybox"));
        assert_eq!(split("library/busybox"), ("docker.io", "busybox"));
        assert_eq!(split("me/thing"), ("docker.io", "me/thing"));
        assert_eq!(split("docker.io/thing"), ("docker.io", "thing"));
        assert_eq!(split("localhost/x"), ("localhost", "x"));
        assert_eq!(split("reg:5000/a/b"), ("reg:5000", "a/b"));
    }
}
