//! Referrers: manifests that name another one as their subject (distribution specification, "Listing Referrers").

use oci::Digest;
use serde_json::{Value, json};

use super::Storage;
use crate::error::Result;

impl Storage {
    /// Descriptors of what refers to a digest, which need not be there.
    pub(crate) fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Value>> {
        let directory = self.layout().referrers(repository, subject);
        let mut names = self.names(&directory)?;
        names.sort_unstable();
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let path = directory.join(name);
            let bytes = self.medium().read(&path)?;
            found.extend(bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()));
        }
        self.add_fallback(repository, subject, &mut found)?;
        Ok(found)
    }

    /// Clients of registries without this API keep an index under the tag `<algorithm>-<hex>`: what was pushed that way, to
    /// the registry that had this directory before, counts too.
    fn add_fallback(&self, repository: &str, subject: &Digest, found: &mut Vec<Value>) -> Result<()> {
        let tag = subject.as_str().replace(':', "-");
        let Ok(digest) = self.resolve_tag(repository, &tag) else { return Ok(()) };
        let Ok(index) = self.manifest(repository, &digest) else { return Ok(()) };
        let Ok(index) = serde_json::from_slice::<Value>(&index.bytes) else { return Ok(()) };
        for descriptor in index["manifests"].as_array().into_iter().flatten() {
            if !found.iter().any(|known| known["digest"] == descriptor["digest"]) {
                found.push(descriptor.clone());
            }
        }
        Ok(())
    }

    pub(super) fn add_referrer(
        &self,
        repository: &str,
        subject: &Digest,
        digest: &Digest,
        descriptor: &Value,
    ) -> Result<()> {
        let path = self.layout().referrer(repository, subject, digest);
        self.medium().write(&path, descriptor.to_string().as_bytes())
    }

    pub(super) fn remove_referrer(&self, repository: &str, subject: &Digest, digest: &Digest) -> Result<()> {
        self.medium().remove(&self.layout().referrer(repository, subject, digest)).map(drop)
    }
}

/// What is shown of a manifest to who asks for referrers.
pub(super) fn descriptor(manifest: &Value, media_type: &str, digest: &Digest, size: usize) -> Value {
    let mut descriptor = json!({ "mediaType": media_type, "digest": digest.as_str(), "size": size });
    let own = manifest["artifactType"].as_str().filter(|kind| !kind.is_empty());
    // "If the artifactType is empty or missing in an image manifest, it is the config descriptor's mediaType."
    if let Some(kind) = own.or_else(|| manifest["config"]["mediaType"].as_str()) {
        descriptor["artifactType"] = kind.into();
    }
    if manifest["annotations"].as_object().is_some_and(|annotations| !annotations.is_empty()) {
        descriptor["annotations"] = manifest["annotations"].clone();
    }
    descriptor
}
