//! Of an index a pull brings in what one platform needs: its manifest, and what is attested of that. The index itself is kept
//! as it came, so that its digest stays what it is wherever it goes from here.

use std::io::Write;

use distribution::RemoteManifest;
use oci::{Descriptor, Index, Manifest, media_type};
use store::{INDEX_DEPTH_MAX, MEMBERS_MAX, MemberKind, kind_of};

use super::pull::Pull;
use super::registry::pull_error;
use crate::core::blocking;
use crate::error::{Class, Error, Result};

/// Of all blobs of one attestation: they are lists of packages and the like, and are kept as they are.
const ATTESTATION_BYTES_MAX: u64 = 256 << 20;

/// What a name is for one platform.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) manifest: RemoteManifest,
    /// Those that lead to it, from the outside.
    pub(super) indexes: Vec<RemoteManifest>,
    /// What the innermost says is attested of it.
    pub(super) attestations: Vec<Descriptor>,
}

impl Pull {
    /// The manifest of the platform that is wanted; one that is not an index is for whatever it is for.
    pub(super) async fn for_platform(&self, mut found: RemoteManifest) -> Result<Chosen> {
        let mut indexes = Vec::new();
        let mut attestations = Vec::new();
        while media_type::is_index(&found.media_type) {
            if indexes.len() >= INDEX_DEPTH_MAX {
                return Err(Error::internal(format!(
                    "{}: indexes are nested too deeply",
                    self.reference.familiar()
                )));
            }
            let index: Index = serde_json::from_slice(&found.bytes)
                .map_err(|error| Error::internal(format!("index {}: {error}", found.digest)))?;
            if index.manifests.len() > MEMBERS_MAX {
                return Err(Error::internal(format!(
                    "index {}: more than {MEMBERS_MAX} manifests",
                    found.digest
                )));
            }
            let fits = |descriptor: &&Descriptor| {
                let platform = descriptor.platform.as_ref();
                platform.is_some_and(|platform| platform.satisfies(&self.platform))
                    && (media_type::is_manifest(&descriptor.media_type)
                        || media_type::is_index(&descriptor.media_type))
            };
            let Some(chosen) = index.manifests.iter().find(fits).cloned() else {
                let none = distribution::Error::NoPlatform(self.platform.to_string());
                return Err(pull_error(&none, &self.reference));
            };
            let about = |descriptor: &Descriptor| matches!(kind_of(descriptor, None), MemberKind::Attestation(of) if of == chosen.digest);
            attestations = index.manifests.into_iter().filter(about).collect();
            let asked = self.repository.manifest(chosen.digest.as_str()).await;
            let below = asked.map_err(|error| pull_error(&error, &self.reference))?;
            indexes.push(std::mem::replace(&mut found, below));
        }
        Ok(Chosen { manifest: found, indexes, attestations })
    }

    /// The documents, as they came.
    pub(super) async fn keep_indexes(&self, indexes: Vec<RemoteManifest>) -> Result<()> {
        let (store, lease) = (self.images.store.clone(), self.lease.clone());
        blocking(move || -> store::Result<()> {
            indexes.iter().try_for_each(|index| store.content().add(&lease, &index.digest, &index.bytes))
        })
        .await?;
        Ok(())
    }

    /// What is attested of an image, whole. One that its registry does not have is no reason to do without the image.
    pub(super) async fn attestation(&self, descriptor: &Descriptor) -> Result<()> {
        let failed = |error: distribution::Error| pull_error(&error, &self.reference);
        self.lease.hold(&descriptor.digest);
        if !media_type::is_manifest(&descriptor.media_type) {
            return Ok(());
        }
        let remote = match self.repository.manifest(descriptor.digest.as_str()).await.map_err(failed) {
            Err(error) if error.class == Class::NotFound => return Ok(()),
            other => other?,
        };
        let manifest: Manifest = serde_json::from_slice(&remote.bytes)
            .map_err(|error| Error::internal(format!("manifest {}: {error}", remote.digest)))?;
        let bytes: u64 = manifest.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
        if bytes > ATTESTATION_BYTES_MAX {
            tracing::warn!(digest = %remote.digest, bytes, "attestations are too large to be kept");
            return Ok(());
        }
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            self.lease.hold(&blob.digest);
            if !self.images.store.content().contains(&blob.digest) {
                self.attested(blob).await?;
            }
        }
        // Last: with it all is said to be here.
        self.keep_indexes(vec![remote]).await
    }

    async fn attested(&self, descriptor: &Descriptor) -> Result<()> {
        let store = self.images.store.clone();
        let mut writer = store.content().writer()?;
        let mut blob = self.repository.blob(&descriptor.digest, descriptor.size, 0);
        while let Some(piece) = blob.chunk().await.map_err(|error| pull_error(&error, &self.reference))? {
            writer = blocking(move || -> std::io::Result<_> {
                writer.write_all(&piece)?;
                Ok(writer)
            })
            .await
            .map_err(|error| Error::internal(error.to_string()))?;
        }
        let (lease, digest) = (self.lease.clone(), descriptor.digest.clone());
        blocking(move || writer.commit(&lease, Some(&digest))).await?;
        Ok(())
    }
}
