//! `/v2/<name>/referrers/<digest>`

use http::Response;
use oci::{Digest, media_type};
use serde_json::json;

use super::{Call, FILTERS_APPLIED, blocking, set};
use crate::body::Body;
use crate::error::Result;

pub(crate) async fn list(call: Call, repository: String, subject: Digest) -> Result<Response<Body>> {
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
