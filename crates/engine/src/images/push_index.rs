//! Pushing an index. It goes as it is, so that its digest stays, if all that it names is here, or there already, or in another
//! repository of the registry, from where it passes over. Otherwise the one image that is here goes by itself, as in Docker.

use std::sync::Arc;

use distribution::Access;
use oci::{Platform, Reference};
use store::{ImageIndex, Lease, Member, MemberKind};

use super::copy::Copy;
use super::push::{PushedAs, Pushing, say, tag_of};
use super::{Images, Progress};
use crate::core::blocking;
use crate::error::{Error, Result};

impl Images {
    pub(super) async fn push_of_index(
        &self,
        pushing: &Pushing<'_>,
        lease: &Arc<Lease>,
        name: &Reference,
        index: &ImageIndex,
    ) -> Result<PushedAs> {
        index.documents().for_each(|digest| lease.hold(digest));
        index.members.iter().flat_map(Member::blobs).for_each(|blob| lease.hold(&blob.digest));
        if let Some(platform) = pushing.platform {
            let Some((member, _)) = self.store.images().member_for(index, platform) else {
                return Err(Error::not_found(format!(
                    "image with reference {} was found but does not provide the specified platform ({platform})",
                    name.familiar()
                )));
            };
            return self.push_member(pushing, lease, name, &member).await;
        }
        // Whoever has the index has all that it names.
        let tag = tag_of(name);
        if !pushing.repository.has_manifest(tag, &index.digest).await? {
            if !self.gather(pushing, lease, name, index).await? {
                return self.push_instead(pushing, lease, name, index).await;
            }
            // Those within it first: a registry takes one only with all that it names.
            let documents: Vec<_> = index.documents().cloned().collect();
            for digest in documents.iter().rev() {
                let (store, wanted) = (self.store.clone(), digest.clone());
                let bytes = blocking(move || store.content().read(&wanted)).await?;
                let what = if *digest == index.digest { tag } else { digest.as_str() };
                pushing.repository.put_manifest(what, &kind_of(&bytes, index), &bytes).await?;
            }
        }
        Ok(PushedAs { digest: index.digest.clone(), size: index.size, whole: true })
    }

    /// Brings all there that the index names. False: something is nowhere to be had; nothing was sent then.
    async fn gather(
        &self,
        pushing: &Pushing<'_>,
        lease: &Arc<Lease>,
        name: &Reference,
        index: &ImageIndex,
    ) -> Result<bool> {
        let images = self.store.images();
        let (here, elsewhere): (Vec<&Member>, Vec<&Member>) =
            index.members.iter().partition(|member| images.is_available(member));
        let mut missing = Vec::new();
        for member in elsewhere {
            let digest = &member.descriptor.digest;
            if !pushing.repository.has_manifest(digest.as_str(), digest).await? {
                missing.push(member);
            }
        }
        if !missing.is_empty() {
            let Some(from) = self.copy_from(pushing, name, index)? else { return Ok(false) };
            for member in missing {
                let digest = &member.descriptor.digest;
                if !from.has(digest).await? {
                    return Ok(false);
                }
                from.bring(&member.descriptor).await?;
            }
        }
        for member in here {
            let digest = &member.descriptor.digest;
            if member.manifest.is_some() {
                self.push_manifest(pushing, lease, name, digest, None).await?;
            }
        }
        Ok(true)
    }

    /// Another repository of the registry that this index came from, or went to.
    fn copy_from(&self, pushing: &Pushing<'_>, name: &Reference, index: &ImageIndex) -> Result<Option<Copy>> {
        let images = self.store.images();
        let is_source = |other: &Reference| {
            other.digest() == Some(&index.digest)
                && other.domain() == name.domain()
                && other.path() != name.path()
        };
        let names = images.list().into_iter().flat_map(|image| images.names(&image.id));
        let Some(source) = names.into_iter().find(is_source) else { return Ok(None) };
        let from = pushing.client.repository(&source, pushing.credentials, Access::Pull)?;
        let turns = self.core.settings().uploads_max;
        Ok(Some(Copy::between(from, pushing.repository.clone(), source.path(), turns, pushing.report)))
    }

    /// Not all of the index can be had: the image for this machine goes, or the only one that is here.
    async fn push_instead(
        &self,
        pushing: &Pushing<'_>,
        lease: &Arc<Lease>,
        name: &Reference,
        index: &ImageIndex,
    ) -> Result<PushedAs> {
        let host = Platform::host();
        let here = self.store.images().members_of(index);
        let chosen = match here.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|(_, image)| image.config.platform().satisfies(&host)),
        };
        let Some((member, _)) = chosen else {
            return Err(Error::conflict(
                "multiple matching manifests found but no specific platform requested",
            ));
        };
        let pushed = self.push_member(pushing, lease, name, member).await?;
        let descriptor = |digest: &oci::Digest, kind: &str, size| super::Target {
            digest: digest.to_string(),
            media_type: kind.to_owned(),
            size_bytes: size,
        };
        let of = &member.descriptor;
        say(
            pushing.report,
            Progress::PushedInstead {
                index: descriptor(&index.digest, &index.media_type, index.size),
                manifest: descriptor(&of.digest, &of.media_type, of.size),
            },
        );
        Ok(pushed)
    }

    async fn push_member(
        &self,
        pushing: &Pushing<'_>,
        lease: &Arc<Lease>,
        name: &Reference,
        member: &Member,
    ) -> Result<PushedAs> {
        debug_assert_eq!(member.kind, MemberKind::Image);
        let digest = member.descriptor.digest.clone();
        let size = self.push_manifest(pushing, lease, name, &digest, Some(tag_of(name))).await?;
        Ok(PushedAs { digest, size, whole: false })
    }
}

/// An index's own word, or what the outermost is.
fn kind_of(bytes: &[u8], index: &ImageIndex) -> String {
    let document: Option<oci::Index> = serde_json::from_slice(bytes).ok();
    document.and_then(|document| document.media_type).unwrap_or_else(|| index.media_type.clone())
}
