//! Manifests and indexes: checked when they come, so that what is there can be pulled.

use oci::{Digest, media_type};
use serde_json::Value;

use super::{Storage, referrers};
use crate::error::{Code, Error, Result, disk};
use crate::validation::Validation;

/// As Docker's registry: four mebibytes.
pub(crate) const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// One as it was pushed.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

/// One that comes in.
#[derive(Debug)]
pub(crate) struct Put<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) digest: Digest,
    /// `Content-Type`, if the client sent one.
    pub(crate) media_type: Option<&'a str>,
    pub(crate) tags: Vec<&'a str>,
    /// What it has to be, too. `None`: it comes from another registry, and is kept as it is; what it names comes later.
    pub(crate) validation: Option<&'a Validation>,
}

impl Storage {
    pub(crate) fn manifest(&self, repository: &str, digest: &Digest) -> Result<Manifest> {
        if !self.has_revision(repository, digest)? {
            return Err(Error::manifest_unknown(digest.as_str()));
        }
        let blob = self.data(digest).map_err(|error| match error.code {
            Code::BlobUnknown => Error::manifest_unknown(digest.as_str()),
            _ => error,
        })?;
        let read = blob.read(MANIFEST_BYTES_MAX as u64);
        let bytes = read.map_err(|error| disk("read", &self.layout().blob(digest), &error))?;
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let media_type = kind_of(&value, None).unwrap_or(media_type::OCI_MANIFEST).to_owned();
        Ok(Manifest { digest: digest.clone(), media_type, bytes })
    }

    /// Takes it in; the digest of its subject, if it has one.
    pub(crate) fn put_manifest(&self, repository: &str, put: &Put<'_>) -> Result<Option<Digest>> {
        let value: Value = serde_json::from_slice(put.bytes)
            .map_err(|error| invalid(format!("manifest invalid: {error}")))?;
        let media_type = check_kind(&value, put.media_type)?;
        if let Some(validation) = put.validation {
            self.check(repository, &value, media_type, validation)?;
        }
        let subject = value.get("subject").filter(|subject| !subject.is_null()).map(digest_of).transpose()?;
        self.store(&put.digest, put.bytes)?;
        self.link(&self.layout().revision(repository, &put.digest), &put.digest)?;
        if let Some(subject) = &subject {
            let descriptor = referrers::descriptor(&value, media_type, &put.digest, put.bytes.len());
            self.add_referrer(repository, subject, &put.digest, &descriptor)?;
        }
        for tag in &put.tags {
            self.tag(repository, tag, &put.digest)?;
        }
        Ok(subject)
    }

    /// Takes it out of the repository, with all tags that mean it.
    pub(crate) fn delete_manifest(&self, repository: &str, digest: &Digest) -> Result<()> {
        let manifest = self.manifest(repository, digest)?;
        self.untag(repository, digest)?;
        let value: Value = serde_json::from_slice(&manifest.bytes).unwrap_or(Value::Null);
        if let Some(subject) = value["subject"]["digest"].as_str().and_then(|text| text.parse().ok()) {
            self.remove_referrer(repository, &subject, digest)?;
        }
        let link = self.layout().revision(repository, digest);
        self.medium().remove(link.parent().unwrap_or(&link)).map(drop)
    }

    /// Is all there that it needs?
    fn check(&self, repository: &str, value: &Value, kind: &str, validation: &Validation) -> Result<()> {
        validation.class(value)?;
        if media_type::is_index(kind) {
            for child in list(value, "manifests")? {
                let digest = digest_of(child)?;
                if validation.wants(child) && !self.has_revision(repository, &digest)? {
                    return Err(missing(&digest));
                }
            }
        } else {
            let config = value.get("config").ok_or_else(|| invalid("manifest invalid: it has no config"))?;
            for descriptor in std::iter::once(config).chain(list(value, "layers")?) {
                let digest = digest_of(descriptor)?;
                if is_elsewhere(descriptor) {
                    validation.elsewhere(descriptor)?;
                } else if !self.has_blob(repository, &digest)? {
                    return Err(missing(&digest));
                }
            }
        }
        Ok(())
    }
}

/// The media type, from what the client said and what the manifest says itself.
fn check_kind<'a>(value: &'a Value, said: Option<&str>) -> Result<&'a str> {
    if value["schemaVersion"] != 2 {
        return Err(invalid("manifest invalid: schemaVersion is not 2"));
    }
    let own = value["mediaType"].as_str().filter(|own| !own.is_empty());
    let said = said.map(|said| said.split(';').next().unwrap_or_default().trim());
    let said = said.filter(|said| !matches!(*said, "" | "application/json" | "application/octet-stream"));
    if let (Some(own), Some(said)) = (own, said)
        && own != said
    {
        let message = format!("manifest invalid: if present, mediaType should be '{said}' not '{own}'");
        return Err(invalid(message));
    }
    let kind = kind_of(value, said);
    kind.ok_or_else(|| {
        let named = own.or(said).unwrap_or("none");
        invalid(format!("manifest invalid: media type {named} is neither an image's nor an index's"))
    })
}

/// The media type of a manifest: what it says, or what its fields make of it.
fn kind_of<'a>(value: &'a Value, said: Option<&str>) -> Option<&'a str> {
    let known = |kind: &str| media_type::is_manifest(kind) || media_type::is_index(kind);
    if let Some(own) = value["mediaType"].as_str().filter(|own| !own.is_empty()) {
        return known(own).then_some(own);
    }
    let kinds = [
        media_type::OCI_MANIFEST,
        media_type::OCI_INDEX,
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_MANIFEST_LIST,
    ];
    match said {
        Some(said) => kinds.into_iter().find(|kind| *kind == said),
        None if value["manifests"].is_array() => Some(media_type::OCI_INDEX),
        None if value["config"].is_object() => Some(media_type::OCI_MANIFEST),
        None => None,
    }
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    static NONE: Vec<Value> = Vec::new();
    match value.get(key) {
        None | Some(Value::Null) => Ok(&NONE),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(invalid(format!("manifest invalid: {key} is not a list"))),
    }
}

fn digest_of(descriptor: &Value) -> Result<Digest> {
    let text = descriptor["digest"].as_str().unwrap_or_default();
    text.parse().map_err(|error: oci::DigestError| {
        invalid(format!("manifest invalid: digest \"{text}\" of a descriptor: {error}"))
    })
}

/// Layers that are not to be pushed: foreign ones, or with addresses of their own.
fn is_elsewhere(descriptor: &Value) -> bool {
    let kind = descriptor["mediaType"].as_str().unwrap_or_default();
    kind.contains(".nondistributable.") || kind.contains(".foreign.")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, message)
}

fn missing(digest: &Digest) -> Error {
    Error::new(Code::ManifestBlobUnknown, "blob unknown to registry").with("digest", digest.as_str())
}
