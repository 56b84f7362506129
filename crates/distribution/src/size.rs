//! How large a blob is, for whoever has its digest only.

use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use oci::Digest;

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::repository::{Repository, first};
use crate::transport::Asked;

impl Repository {
    /// Bytes of a blob.
    ///
    /// # Errors
    /// There is none, or no registry answers.
    pub async fn blob_size(&self, digest: &Digest) -> Result<u64> {
        first!(self, endpoint => self.blob_size_at(endpoint, digest))
    }

    async fn blob_size_at(&self, endpoint: &Endpoint, digest: &Digest) -> Result<u64> {
        let url = endpoint.url(&format!("/v2/{}/blobs/{digest}", self.path)).await?;
        let answer = endpoint.ask(&self.caller_for(endpoint), Asked::new(Method::HEAD, url)).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal().await);
        }
        let length = answer.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // Read to its end, so that the connection is kept.
        drop(answer.whole(0).await);
        length.ok_or_else(|| Error::Invalid(format!("{digest}: the registry does not say how large it is")))
    }
}
