//! `/v2/<name>/tags/list`

use http::Response;
use http::header::LINK;
use serde_json::json;

use super::{Call, blocking, set};
use crate::body::Body;
use crate::error::Result;

pub(crate) async fn list(call: Call, repository: String) -> Result<Response<Body>> {
    let limit = match (call.query.limit()?, call.house.settings.tags_max) {
        (Some(asked), Some(most)) => Some(asked.min(most)),
        (asked, most) => asked.or(most),
    };
    let there = match call.house.upstreams.of(&repository) {
        Some(upstream) => upstream.tags(&repository).await?,
        None => None,
    };
    let (tags, repository) = match there {
        Some(tags) => (tags, repository),
        None => {
            let storage = call.house.storage.clone();
            blocking(move || Ok((storage.tags(&repository)?, repository))).await?
        }
    };
    let page = page(tags, call.query.get("last"), limit);
    let mut response = super::json("application/json", &json!({ "name": repository, "tags": page.items }));
    if page.more
        && let Some((last, limit)) = page.items.last().zip(limit)
    {
        let link = format!("</v2/{repository}/tags/list?n={limit}&last={last}>; rel=\"next\"");
        set(&mut response, LINK, &link);
    }
    Ok(response)
}

/// A part of a sorted list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) items: Vec<String>,
    /// There are more behind it.
    pub(super) more: bool,
}

/// What comes after `last` (which need not be there), at most `limit` of it.
pub(super) fn page(mut items: Vec<String>, last: Option<&str>, limit: Option<usize>) -> Page {
    if let Some(last) = last {
        items.retain(|item| item.as_str() > last);
    }
    let more = limit.is_some_and(|limit| items.len() > limit);
    if let Some(limit) = limit {
        items.truncate(limit);
    }
    Page { items, more }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let all = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let of = |last, limit| {
            let page = page(all(), last, limit);
            (page.items.concat(), page.more)
        };
        assert_eq!(of(None, None), ("abc".into(), false));
        assert_eq!(of(None, Some(2)), ("ab".into(), true));
        assert_eq!(of(Some("b"), Some(2)), ("c".into(), false));
        assert_eq!(of(Some("aa"), Some(1)), ("b".into(), true));
        assert_eq!(of(None, Some(0)), (String::new(), true));
    }
}
