//! What is attested of an image: statements about where it came from and what is in it, which stand beside it in its index.

use oci::{Descriptor, Platform, annotation};
use store::Found;

use super::Images;
use crate::core::blocking;
use crate::error::{Error, Result};

/// `GET /images/{name}/attestations`.
#[derive(Debug, Clone, Default)]
pub struct AttestationRequest {
    pub name: String,
    /// This machine's, if none is said.
    pub platform: Option<Platform>,
    /// URIs of predicates; empty: all.
    pub predicates: Vec<String>,
    /// With the statements themselves.
    pub statements: bool,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Attestation {
    pub descriptor: Descriptor,
    pub predicate: String,
    /// As it came; if it was asked for.
    pub statement: Option<String>,
}

impl Images {
    /// In the order of the index. An image without one has nothing attested.
    ///
    /// # Errors
    /// The index has no image for the platform, or what is attested of it was not fetched with it.
    pub async fn attestations(&self, request: AttestationRequest) -> Result<Vec<Attestation>> {
        let images = self.store.images();
        let found = images.find(&request.name)?;
        if found.index.is_none() {
            images.find_for(&request.name, request.platform.as_ref())?;
            return Ok(Vec::new());
        }
        let images = self.clone();
        blocking(move || images.attested(&found, &request)).await
    }

    fn attested(&self, found: &Found, request: &AttestationRequest) -> Result<Vec<Attestation>> {
        let Some(index) = &found.index else { return Ok(Vec::new()) };
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        let (member, _) = self.store.images().member_for(index, &platform).ok_or_else(|| {
            Error::not_found(format!(
                "image with reference {} was found but does not provide the specified platform ({platform})",
                request.name
            ))
        })?;
        // What is read here must not be collected meanwhile.
        let lease = self.store.content().lease();
        let mut all = Vec::new();
        for attesting in index.attestations(&member.descriptor.digest) {
            let Some(manifest) = &attesting.manifest else {
                let digest = &attesting.descriptor.digest;
                return Err(Error::not_found(format!(
                    "attestation manifest {digest} of {} is not available locally: pull the image again",
                    request.name
                )));
            };
            for layer in &manifest.layers {
                let Some(predicate) = layer.annotations.get(annotation::PREDICATE_TYPE) else { continue };
                if !request.predicates.is_empty() && !request.predicates.contains(predicate) {
                    continue;
                }
                lease.hold(&layer.digest);
                let statement = request.statements.then(|| self.statement(layer)).transpose()?;
                all.push(Attestation { descriptor: layer.clone(), predicate: predicate.clone(), statement });
            }
        }
        Ok(all)
    }

    fn statement(&self, descriptor: &Descriptor) -> Result<String> {
        let digest = &descriptor.digest;
        let bytes = match self.store.content().read_large(digest) {
            Err(store::Error::NoSuchBlob(_)) => {
                return Err(Error::not_found(format!(
                    "attestation statement {digest} is not available locally: pull the image again"
                )));
            }
            read => read?,
        };
        String::from_utf8(bytes)
            .map_err(|error| Error::internal(format!("attestation statement {digest}: {error}")))
    }
}
