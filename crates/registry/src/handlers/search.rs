//! `/v1/search`: what `docker search` asks.

use http::Response;
use serde_json::json;

use super::{Call, catalog};
use crate::body::Body;
use crate::error::Result;

/// As Docker's hub.
const PAGE: usize = 25;
const PAGE_MAX: usize = 100;

/// Repositories with the words in their names, the closest first.
pub(crate) async fn find(call: Call) -> Result<Response<Body>> {
    let asked = call.query.get("q").unwrap_or_default().to_lowercase();
    let size = call.query.limit()?.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let number = call.query.get("page").and_then(|text| text.parse::<usize>().ok()).unwrap_or(1).max(1);
    let mut names = catalog::readable(&call).await?;
    names.retain(|name| name.contains(&asked));
    names.sort_by_key(|name| (*name != asked, !name.ends_with(&asked), name.len()));
    let page: Vec<_> = names
        .iter()
        .skip(size * (number - 1))
        .take(size)
        .map(|name| {
            json!({
                "name": name,
                "description": "",
                "star_count": 0,
                "is_official": !name.contains('/'),
                "is_automated": false,
                "is_trusted": false,
            })
        })
        .collect();
    let answer = json!({
        "query": asked,
        "num_results": names.len(),
        "num_pages": names.len().div_ceil(size),
        "page": number,
        "page_size": size,
        "results": page,
    });
    Ok(super::json("application/json", &answer))
}
