//! `/v2/<name>/referrers/<digest>`

use http::Response;
use oci::{Digest, media_type};
use serde_json::json;

use super::{Call, FILTERS_APPLIED, blocking, set};
use crate::body::Body;
use crate::error::Result;
use crate::route::Reference;

pub(crate) async fn list(call: Call, repository: String, subject: Digest) -> Result<Response<Body>> {
    if let Some(upstream) = call.house.upstreams.of(&repository) {
        // Of an upstream there is what clients keep under the fallback tag, if they do.
        let tag = Reference::Tag(subject.as_str().replace(':', "-"));
        let _ = upstream.refresh(&repository, &tag).await;
    }
    let storage = call.house.storage.clone();
    let mut found = blocking(move || storage.referrers(&repository, &subject)).await?;
    let filter = call.query.get("artifactType");
    if let Some(kind) = filter {
        found.retain(|descriptor| descriptor["artifactType"] == kind);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": found });
    let mut response = super::json(media_type::OCI_INDEX, &index);
    if filter.is_some() {
        set(&mut response, FILTERS_APPLIED, "artifactType");
    }
    Ok(response)
}
