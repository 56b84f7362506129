//! `/v2/_catalog`: which repositories there are, as far as one may read them.

use http::Response;
use http::header::LINK;
use serde_json::json;

use super::tags::page;
use super::{Call, blocking, set};
use crate::body::Body;
use crate::error::Result;

/// As Docker's registry.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

pub(crate) async fn list(call: Call) -> Result<Response<Body>> {
    let most = call.house.settings.catalog_max.unwrap_or(PAGE_MAX);
    let limit = call.query.limit()?.unwrap_or(PAGE).min(most);
    let page = page(readable(&call).await?, call.query.get("last"), Some(limit));
    let mut response = super::json("application/json", &json!({ "repositories": page.items }));
    if page.more
        && let Some(last) = page.items.last()
    {
        let last = last.replace('/', "%2F");
        set(&mut response, LINK, &format!("</v2/_catalog?last={last}&n={limit}>; rel=\"next\""));
    }
    Ok(response)
}

/// Names of all repositories that the caller may pull from.
pub(crate) async fn readable(call: &Call) -> Result<Vec<String>> {
    let storage = call.house.storage.clone();
    let mut names = blocking(move || storage.repositories()).await?;
    call.house.access.readable(&call.caller, &mut names);
    Ok(names)
}
