//! What a registry has and whom it knows, without bringing anything in.

use distribution::{Access, Credentials, MANIFEST_BYTES_MAX};
use oci::{Digest, Index, Manifest, Platform, Reference, media_type};

use super::Images;
use super::registry::pull_error;
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

/// The same, with what the registry sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDocument {
    pub view: RemoteView,
    pub bytes: Vec<u8>,
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
        Ok(self.remote_document(name, credentials, false).await?.view)
    }

    /// A manifest or index, and what there is to know of it. `insecure`: the registry's certificate need not be good, for
    /// this once.
    pub async fn remote_document(
        &self,
        name: &str,
        credentials: &Credentials,
        insecure: bool,
    ) -> Result<RemoteDocument> {
        let reference = parsed(name)?.or_latest();
        let client = self.registries.client_for(reference.domain(), insecure);
        let repository = client.repository(&reference, credentials, Access::Pull)?;
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
        let view = RemoteView {
            digest: found.digest.to_string(),
            size_bytes: found.bytes.len() as u64,
            media_type: found.media_type,
            platforms,
        };
        Ok(RemoteDocument { view, bytes: found.bytes })
    }

    /// Puts a manifest or index under a tag or its digest; all that it names must be there. Answers its digest.
    pub async fn put_remote(
        &self,
        name: &str,
        media_type: &str,
        bytes: &[u8],
        credentials: &Credentials,
        insecure: bool,
    ) -> Result<Digest> {
        let reference = parsed(name)?.or_latest();
        let digest = Digest::of(bytes);
        let what = match reference.digest() {
            Some(wanted) if *wanted != digest => {
                return Err(Error::invalid(format!("the manifest's digest is {digest}, not {wanted}")));
            }
            Some(wanted) => wanted.to_string(),
            None => reference.tag().unwrap_or(oci::DEFAULT_TAG).to_owned(),
        };
        let client = self.registries.client_for(reference.domain(), insecure);
        let repository = client.repository(&reference, credentials, Access::Push)?;
        repository.put_manifest(&what, media_type, bytes).await?;
        Ok(digest)
    }

    /// All tags of a repository, in its registry's order; and its full name.
    pub async fn remote_tags(&self, name: &str, credentials: &Credentials) -> Result<(String, Vec<String>)> {
        let reference = parsed(name)?;
        if !reference.is_name_only() {
            return Err(Error::invalid(format!("{name}: a repository is wanted, without tag or digest")));
        }
        let failed = |error: distribution::Error| pull_error(&error, &reference);
        let repository =
            self.registries.client().repository(&reference, credentials, Access::Pull).map_err(failed)?;
        let tags = repository.tags().await.map_err(failed)?;
        Ok((reference.name(), tags))
    }
}

fn parsed(name: &str) -> Result<Reference> {
    Reference::parse(name).map_err(|error| Error::invalid(error.to_string()))
}
