//! What a registry has and whom it knows, without bringing anything in.

use distribution::{Access, Credentials, MANIFEST_BYTES_MAX};
use oci::{Index, Manifest, Platform, Reference, media_type};

use super::Images;
use crate::error::{Error, Result};

/// The name under which clients keep the Hub's credentials.
const HUB: &str = "index.docker.io";

/// An image or index in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteView {
    pub digest: String,
    pub media_type: String,
    /// Of the manifest or index itself.
    pub size_bytes: u64,
    pub platforms: Vec<Platform>,
}

impl Images {
    /// Does a registry know somebody by this name and password? The answer is a token that stands for them, if it gives
    /// one. `server` is a host or a URL; empty: the Hub.
    pub async fn login(&self, server: &str, credentials: Credentials) -> Result<Option<String>> {
        let bare =
            server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
        let domain = match bare.split('/').next().unwrap_or_default() {
            "" | HUB => oci::DEFAULT_DOMAIN,
            host => host,
        };
        Ok(self.registries.client().login(domain, &credentials).await?)
    }

    /// `GET /distribution/{name}/json`.
    pub async fn remote(&self, name: &str, credentials: &Credentials) -> Result<RemoteView> {
        let invalid = |error: oci::ReferenceError| Error::invalid(error.to_string());
        let reference = Reference::parse(name).map_err(invalid)?.or_latest();
        let repository = self.registries.client().repository(&reference, credentials, Access::Pull)?;
        let what = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or(oci::DEFAULT_TAG).to_owned(),
        };
        let found = repository.manifest(&what).await?;
        let damaged = |error: serde_json::Error| Error::internal(format!("{}: {error}", found.digest));
        let platforms = if media_type::is_index(&found.media_type) {
            let index: Index = serde_json::from_slice(&found.bytes).map_err(damaged)?;
            index.manifests.into_iter().filter_map(|descriptor| descriptor.platform).collect()
        } else {
            let manifest: Manifest = serde_json::from_slice(&found.bytes).map_err(damaged)?;
            let size = manifest.config.size;
            if size > MANIFEST_BYTES_MAX as u64 {
                return Err(Error::internal(format!("image config of {size} bytes is too large")));
            }
            let mut blob = repository.blob(&manifest.config.digest, size, 0);
            let mut bytes = Vec::new();
            while let Some(chunk) = blob.chunk().await? {
                bytes.extend_from_slice(&chunk);
            }
            let config: oci::ImageConfig = serde_json::from_slice(&bytes).map_err(damaged)?;
            vec![config.platform()]
        };
        Ok(RemoteView {
            digest: found.digest.to_string(),
            size_bytes: found.bytes.len() as u64,
            media_type: found.media_type,
            platforms,
        })
    }
}
