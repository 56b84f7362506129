//! OCI layouts: `index.json` names manifests, and indexes, which are kept whole.

use std::sync::Arc;

use oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, annotation, media_type};

use super::{Files, LoadEvent, Progress, is_wanted, none_for};
use crate::error::{Error, Result};
use crate::images::platforms::nameless;
use crate::images::{INDEX_DEPTH_MAX, Image, ImageIndex, Images, Member, MemberKind};
use crate::lease::Lease;

/// An image that is not within an index that is kept.
struct Single {
    digest: Digest,
    manifest: Manifest,
    name: Option<Reference>,
}

impl Images {
    /// Does the archive's layout have an index? Then it says more than Docker's own view of it.
    pub(super) fn has_index(&self, files: &Files) -> Result<bool> {
        if files.get("index.json").is_none() {
            return Ok(false);
        }
        let index: Index = self.document(files, "index.json")?;
        let is_here = |descriptor: &Descriptor| {
            media_type::is_index(&descriptor.media_type)
                && files.get(&blob_name(&descriptor.digest)).is_some()
        };
        Ok(index.manifests.iter().any(is_here))
    }

    /// The manifest of a config within the archive's layout, if there is a layout.
    pub(super) fn manifest_for(&self, files: &Files, config: &Digest) -> Result<Option<Digest>> {
        if files.get("index.json").is_none() {
            return Ok(None);
        }
        let index: Index = self.document(files, "index.json")?;
        let mut found = Vec::new();
        self.singles(files, &index, None, 0, &mut found)?;
        Ok(found.into_iter().find(|one| one.manifest.config.digest == *config).map(|one| one.digest))
    }

    pub(super) fn load_layout(
        &self,
        files: &Files,
        platforms: &[Platform],
        lease: &Lease,
        progress: Progress<'_>,
    ) -> Result<Vec<Arc<Image>>> {
        let top: Index = self.document(files, "index.json")?;
        let mut images: Vec<Arc<Image>> = Vec::new();
        let mut refused = None;
        let mut others = Index { manifests: Vec::new(), ..top.clone() };
        for descriptor in &top.manifests {
            let is_index = media_type::is_index(&descriptor.media_type)
                && files.get(&blob_name(&descriptor.digest)).is_some();
            let name = name_of(descriptor);
            if !is_index || (name.is_none() && !self.has_images(descriptor)?) {
                others.manifests.push(descriptor.clone());
                continue;
            }
            match self.load_index(descriptor, name.as_ref(), platforms, lease, progress) {
                Ok(loaded) => images.extend(loaded),
                Err(error @ Error::NoPlatform(_)) => _ = refused.get_or_insert(error),
                Err(error) => return Err(error),
            }
        }
        let mut singles = Vec::new();
        self.singles(files, &others, None, 0, &mut singles)?;
        self.load_singles(files, singles, platforms, lease, progress, &mut images, &mut refused)?;
        images.sort_by(|a, b| a.id.cmp(&b.id));
        images.dedup_by(|a, b| a.id == b.id);
        match (images.is_empty(), refused) {
            (true, Some(error)) => Err(error),
            _ => Ok(images),
        }
    }

    /// Of what there is in an index, is anything an image?
    fn has_images(&self, descriptor: &Descriptor) -> Result<bool> {
        let index = ImageIndex::read(&self.content, &descriptor.digest)?;
        Ok(index.members.iter().any(|member| member.image_id().is_some()))
    }

    /// An index, with all of its images that the archive has. Without a name it is kept until it has one, or is removed.
    fn load_index(
        &self,
        descriptor: &Descriptor,
        name: Option<&Reference>,
        platforms: &[Platform],
        lease: &Lease,
        progress: Progress<'_>,
    ) -> Result<Vec<Arc<Image>>> {
        let index = ImageIndex::read(&self.content, &descriptor.digest)?;
        index.documents().for_each(|digest| lease.hold(digest));
        let mut chosen: Vec<(&Member, Digest)> = Vec::new();
        let mut missing = None;
        for member in index.members.iter().filter(|member| member.kind == MemberKind::Image) {
            let Some(manifest) = &member.manifest else { continue };
            member.blobs().for_each(|blob| lease.hold(&blob.digest));
            if let Some(blob) = member.blobs().find(|blob| !self.content.contains(&blob.digest)) {
                missing.get_or_insert(blob_name(&blob.digest));
                continue;
            }
            let config: ImageConfig = self.parse(&manifest.config.digest, "image config")?;
            if is_wanted(&config, platforms) {
                chosen.push((member, manifest.config.digest.clone()));
            }
        }
        let mut images = Vec::new();
        if chosen.is_empty() {
            return Err(match (missing, platforms) {
                (Some(blob), []) => Error::Invalid(format!("invalid archive: {blob} is missing")),
                (_, platforms) => none_for(platforms),
            });
        }
        let own = name.cloned().unwrap_or_else(|| nameless(&index.digest));
        for (at, (member, config)) in chosen.iter().enumerate() {
            let manifest = &member.descriptor.digest;
            self.unpack_loaded(lease, config, manifest, progress)?;
            // From the first on all are the index's; nothing is listed as an image of its own.
            let names = if at == 0 { std::slice::from_ref(&own) } else { &[] };
            images.push(self.insert_through(lease, config, manifest, None, names, Some(&index.digest))?);
        }
        match (name, self.face_of(&index)) {
            (Some(name), _) => progress(LoadEvent::Tagged(name.clone().or_latest())),
            (None, Some(face)) => progress(LoadEvent::Untagged(face)),
            (None, None) => {}
        }
        Ok(images)
    }

    #[expect(clippy::too_many_arguments, reason = "what a load carries along, and its two results")]
    fn load_singles(
        &self,
        files: &Files,
        singles: Vec<Single>,
        platforms: &[Platform],
        lease: &Lease,
        progress: Progress<'_>,
        images: &mut Vec<Arc<Image>>,
        refused: &mut Option<Error>,
    ) -> Result<()> {
        let mut whole: Vec<(Single, ImageConfig)> = Vec::new();
        for one in singles {
            let Manifest { config, layers, .. } = &one.manifest;
            for descriptor in std::iter::once(config).chain(layers) {
                let blob = blob_name(&descriptor.digest);
                if files.get(&blob).is_none() && !self.content.contains(&descriptor.digest) {
                    // A layout made for one platform lists the others all the same.
                    refused.get_or_insert(Error::Invalid(format!("invalid archive: {blob} is missing")));
                }
                lease.hold(&descriptor.digest);
            }
            if self.content.contains(&config.digest) {
                let config = self.parse(&config.digest, "image config")?;
                whole.push((one, config));
            }
        }
        // Only one can have a name: this machine's, if there is one for it.
        let host = Platform::host();
        let hosts: Vec<Option<Reference>> = whole
            .iter()
            .filter(|(_, config)| config.platform().satisfies(&host))
            .map(|(one, _)| one.name.clone())
            .collect();
        for (one, config) in whole {
            let own = config.platform();
            // Those without a name are in nobody's way.
            let is_rival = one.name.is_some() && hosts.contains(&one.name);
            let is_other = is_rival && !config.os.is_empty() && !own.satisfies(&host);
            if !is_wanted(&config, platforms) || (platforms.is_empty() && is_other) {
                let wanted = platforms.first().unwrap_or(&host);
                refused.get_or_insert(Error::Invalid(format!("image is for {own}, not for {wanted}")));
                continue;
            }
            let names: Vec<Reference> = one.name.into_iter().collect();
            let config = &one.manifest.config.digest;
            images.push(self.bring_in(lease, config, &one.digest, None, &names, progress)?);
        }
        Ok(())
    }

    /// All image manifests below an index, with the name that each has.
    fn singles(
        &self,
        files: &Files,
        index: &Index,
        inherited: Option<&Reference>,
        depth: usize,
        found: &mut Vec<Single>,
    ) -> Result<()> {
        if depth > INDEX_DEPTH_MAX {
            return Err(Error::Invalid("invalid archive: indexes are nested too deeply".into()));
        }
        for descriptor in &index.manifests {
            if descriptor.annotations.contains_key(annotation::REFERENCE_TYPE) {
                continue;
            }
            let name = name_of(descriptor).or_else(|| inherited.cloned());
            let blob = blob_name(&descriptor.digest);
            if files.get(&blob).is_none() {
                continue;
            }
            if media_type::is_index(&descriptor.media_type) {
                let below: Index = self.document(files, &blob)?;
                self.singles(files, &below, name.as_ref(), depth + 1, found)?;
            } else if media_type::is_manifest(&descriptor.media_type) {
                let manifest: Manifest = self.document(files, &blob)?;
                if media_type::is_config(&manifest.config.media_type) {
                    found.push(Single { digest: descriptor.digest.clone(), manifest, name });
                }
            }
        }
        Ok(())
    }
}

/// A bare tag is no name; a full one, as skopeo writes it, is.
fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let named = |key: &str| descriptor.annotations.get(key).map(String::as_str);
    let full = named(annotation::REF_NAME).filter(|name| name.contains([':', '/']));
    named(annotation::CONTAINERD_NAME).or(full).and_then(|name| Reference::parse(name).ok())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
