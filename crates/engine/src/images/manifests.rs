//! What an image consists of, for each platform: the manifests of its index, or its own.

use store::{Found, Image, ImageIndex, Member, MemberKind};

use super::{Images, Manifest, ManifestKind, Target};

impl Images {
    /// What the name points to.
    pub(super) fn target(&self, found: &Found) -> Option<Target> {
        if let Some(index) = &found.index {
            return Some(Target {
                digest: index.digest.to_string(),
                media_type: index.media_type.clone(),
                size_bytes: index.size,
            });
        }
        Some(Target {
            digest: found.image.manifest.to_string(),
            media_type: found.image.manifest_type().to_owned(),
            size_bytes: self.store.content().size(&found.image.manifest).ok()?,
        })
    }

    /// In the order of the index.
    pub(super) fn manifests(&self, found: &Found) -> Vec<Manifest> {
        match &found.index {
            Some(index) => index.members.iter().map(|member| self.of_member(member)).collect(),
            None => self.own(&found.image).into_iter().collect(),
        }
    }

    /// All images that one name stands for: those of an index that are here.
    pub(super) fn family(&self, found: &Found) -> Vec<std::sync::Arc<Image>> {
        let of_index = |index: &ImageIndex| self.store.images().members_of(index);
        let members = found.index.as_deref().map(of_index).unwrap_or_default();
        let mut family: Vec<_> = members.into_iter().map(|(_, image)| image).collect();
        if family.is_empty() {
            family.push(found.image.clone());
        }
        family
    }

    fn of_member(&self, member: &Member) -> Manifest {
        let descriptor = &member.descriptor;
        let image = member.image_id().and_then(|id| self.store.images().get(id));
        let own_platform = image.as_ref().map(|image| image.config.platform());
        Manifest {
            digest: descriptor.digest.to_string(),
            media_type: descriptor.media_type.clone(),
            size_bytes: descriptor.size,
            content_bytes: member
                .blobs()
                .filter_map(|blob| self.store.content().size(&blob.digest).ok())
                .sum(),
            unpacked_bytes: image.as_ref().map_or(0, |image| image.size),
            platform: descriptor.platform.clone().or(own_platform),
            annotations: descriptor.annotations.clone(),
            available: self.store.images().is_available(member),
            kind: match &member.kind {
                MemberKind::Image => ManifestKind::Image,
                MemberKind::Attestation(of) => ManifestKind::Attestation(of.to_string()),
                MemberKind::Unknown => ManifestKind::Unknown,
            },
            containers: image.map(|image| self.containers(&image)).unwrap_or_default(),
        }
    }

    /// `None` when the content store has lost it.
    fn own(&self, image: &Image) -> Option<Manifest> {
        let size_bytes = self.store.content().size(&image.manifest).ok()?;
        let config_bytes = self.store.content().size(&image.id).unwrap_or_default();
        let layers_bytes: u64 = image.layers.iter().map(|layer| layer.descriptor.size).sum();
        Some(Manifest {
            digest: image.manifest.to_string(),
            media_type: image.manifest_type().to_owned(),
            size_bytes,
            content_bytes: size_bytes + config_bytes + layers_bytes,
            unpacked_bytes: image.size,
            platform: Some(image.config.platform()),
            annotations: std::collections::BTreeMap::new(),
            available: true,
            kind: ManifestKind::Image,
            containers: self.containers(image),
        })
    }
}
