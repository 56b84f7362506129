//! Manifests and indexes, as a registry hands them out: bounded, and what their digest says.

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use oci::{Digest, Digester, media_type};

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::repository::{Repository, first};
use crate::transport::{Answer, Asked};

/// Docker's registry takes no larger one.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

const ACCEPTED: &[&str] = &[
    media_type::OCI_INDEX,
    media_type::DOCKER_MANIFEST_LIST,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_MANIFEST,
    // Refused, but with the reason.
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
];

/// A manifest or an index, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteManifest {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub digest: Digest,
}

impl Repository {
    /// The digest that a tag has now, or the digest itself if the registry has it. `None`: the registry does not say, the
    /// manifest itself must be asked for.
    ///
    /// # Errors
    /// There is none, or no registry answers.
    pub async fn resolve(&self, what: &str) -> Result<Option<Digest>> {
        first!(self, endpoint => self.resolve_at(endpoint, what))
    }

    async fn resolve_at(&self, endpoint: &Endpoint, what: &str) -> Result<Option<Digest>> {
        let answer = self.ask_manifest(endpoint, Method::HEAD, what).await?;
        if answer.status == StatusCode::OK {
            return Ok(answer.headers.get(DIGEST).and_then(|value| value.to_str().ok()?.parse().ok()));
        }
        // Why is said to a GET only.
        let answer = self.ask_manifest(endpoint, Method::GET, what).await?;
        if answer.status.is_success() { Ok(None) } else { Err(answer.refusal().await) }
    }

    /// The manifest or index of a tag or digest.
    ///
    /// # Errors
    /// There is none; it is too large; it is not what its digest says; no registry answers.
    pub async fn manifest(&self, what: &str) -> Result<RemoteManifest> {
        first!(self, endpoint => self.manifest_at(endpoint, what))
    }

    async fn manifest_at(&self, endpoint: &Endpoint, what: &str) -> Result<RemoteManifest> {
        let answer = self.ask_manifest(endpoint, Method::GET, what).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal().await);
        }
        read(answer, what).await
    }

    async fn ask_manifest(&self, endpoint: &Endpoint, method: Method, what: &str) -> Result<Answer> {
        if !endpoint.resolves() && what.parse::<Digest>().is_err() {
            return Err(Error::Unsupported(format!(
                "{}: its hosts.toml has no host that resolves tags",
                self.path
            )));
        }
        let url = endpoint.url(&format!("/v2/{}/manifests/{what}", self.path)).await?;
        let mut asked = Asked::new(method, url);
        for accepted in ACCEPTED {
            asked.headers.append(ACCEPT, HeaderValue::from_static(accepted));
        }
        endpoint.ask(&self.caller_for(endpoint), asked).await
    }
}

async fn read(answer: Answer, what: &str) -> Result<RemoteManifest> {
    let header = |headers: &HeaderMap, name: HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let too_large = || Error::Invalid(format!("manifest {what}: larger than {MANIFEST_BYTES_MAX} bytes"));
    let announced = header(&answer.headers, CONTENT_LENGTH).parse::<usize>().unwrap_or_default();
    if announced > MANIFEST_BYTES_MAX {
        return Err(too_large());
    }
    let content_type = header(&answer.headers, CONTENT_TYPE);
    let bytes = answer.whole(MANIFEST_BYTES_MAX).await.map_err(|error| match error {
        Error::Invalid(_) => too_large(),
        other => other,
    })?;
    let digest = match what.parse::<Digest>() {
        Ok(wanted) => {
            let mut digester = Digester::new(wanted.algorithm());
            digester.update(&bytes);
            if digester.finish() != wanted {
                return Err(Error::Invalid(format!("manifest verification failed for digest {wanted}")));
            }
            wanted
        }
        Err(_) => Digest::of(&bytes),
    };
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        #[serde(default)]
        media_type: Option<String>,
        #[serde(default)]
        schema_version: u32,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = serde_json::from_slice(&bytes)
        .map_err(|error| Error::Invalid(format!("manifest {what} is no JSON document: {error}")))?;
    let sent = content_type.split(';').next().unwrap_or_default().trim().to_owned();
    // The document's own word counts; a header that says it is only JSON says nothing.
    let media_type = match kind.media_type {
        Some(own) if !own.is_empty() => own,
        _ if media_type::is_manifest(&sent) || media_type::is_index(&sent) => sent,
        _ if kind.schema_version == 1 => ACCEPTED[4].to_owned(),
        _ if kind.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
        _ => media_type::OCI_MANIFEST.to_owned(),
    };
    Ok(RemoteManifest { bytes, media_type, digest })
}
