//! Manifests of an upstream: a tag is asked for each time, a digest once.

use distribution::Class;
use oci::Digest;

use super::Upstream;
use crate::blocking::blocking;
use crate::error::{Code, Error, Result};
use crate::route::Reference;
use crate::storage::Put;

impl Upstream {
    /// Sees to it that what is here is what is there. When nobody answers there, what is here has to do.
    pub(crate) async fn refresh(&self, repository: &str, reference: &Reference) -> Result<()> {
        match reference {
            Reference::Digest(digest) => {
                if self.has(repository, digest).await? {
                    return Ok(());
                }
                self.take(repository, digest.as_str(), None).await
            }
            Reference::Tag(tag) => {
                let (storage, name, word) = (self.storage.clone(), repository.to_owned(), tag.clone());
                let here = blocking(move || match storage.resolve_tag(&name, &word) {
                    Ok(digest) => Ok(storage.has_manifest(&name, &digest)?.then_some(digest)),
                    Err(error) if error.code == Code::ManifestUnknown => Ok(None),
                    Err(error) => Err(error),
                })
                .await?;
                if here.is_some() && self.is_away() {
                    return Ok(());
                }
                match self.repository(repository)?.resolve(tag).await {
                    Ok(Some(there)) if here.as_ref() == Some(&there) => {
                        self.answered();
                        Ok(())
                    }
                    Ok(_) => {
                        self.answered();
                        self.take(repository, tag, Some(tag)).await
                    }
                    Err(error) if error.class() == Class::Unavailable => {
                        self.unanswered(&error);
                        match here {
                            Some(_) => Ok(()),
                            None => Err(self.refused(&error, || Error::manifest_unknown(tag))),
                        }
                    }
                    Err(error) => Err(self.refused(&error, || Error::manifest_unknown(tag))),
                }
            }
        }
    }

    async fn has(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let (storage, name, digest) = (self.storage.clone(), repository.to_owned(), digest.clone());
        blocking(move || storage.has_manifest(&name, &digest)).await
    }

    /// Fetches one and keeps it.
    async fn take(&self, repository: &str, what: &str, tag: Option<&str>) -> Result<()> {
        let fetched = self.repository(repository)?.manifest(what).await;
        let manifest = fetched.map_err(|error| {
            if error.class() == Class::Unavailable {
                self.unanswered(&error);
            }
            self.refused(&error, || Error::manifest_unknown(what))
        })?;
        let (storage, name, tag) = (self.storage.clone(), repository.to_owned(), tag.map(str::to_owned));
        let put = blocking(move || {
            let put = Put {
                bytes: &manifest.bytes,
                digest: manifest.digest,
                media_type: Some(&manifest.media_type),
                tags: tag.as_deref().into_iter().collect(),
                // Its blobs come when somebody wants them.
                validation: None,
            };
            storage.put_manifest(&name, &put)
        });
        put.await.map(drop)
    }
}
