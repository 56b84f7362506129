//! Which bucket, and how things are kept in it.

/// A bucket of S3, and who we are to it.
#[derive(Clone)]
pub struct BucketSettings {
    pub bucket: String,
    pub region: String,
    /// `https://s3.eu-central-1.amazonaws.com`
    pub endpoint: String,
    /// `endpoint/bucket/...` rather than `bucket.endpoint/...`.
    pub path_style: bool,
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
    /// Of the parts of an upload.
    pub chunk_bytes: usize,
    /// All names begin with it.
    pub root: String,
    pub storage_class: Option<String>,
    /// Server-side: `AES256`, or `aws:kms` with a key.
    pub encrypt: bool,
    pub key_id: Option<String>,
    /// Clients get blobs from the bucket themselves.
    pub redirect: bool,
}

impl BucketSettings {
    /// What is said with every object that is made.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(class) = &self.storage_class {
            headers.push(("x-amz-storage-class", class.clone()));
        }
        if self.encrypt {
            let how = if self.key_id.is_some() { "aws:kms" } else { "AES256" };
            headers.push(("x-amz-server-side-encryption", how.to_owned()));
        }
        if let Some(key) = self.key_id.as_ref().filter(|_| self.encrypt) {
            headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.clone()));
        }
        headers
    }
}

impl std::fmt::Debug for BucketSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketSettings")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
