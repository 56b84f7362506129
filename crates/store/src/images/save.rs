//! `docker save`: images as one tar that is an OCI layout and a docker-archive at once, as Docker 29 writes.
//!
//! ```text
//! blobs/sha256/<hex>   layers, configs, manifests     index.json, oci-layout   the OCI view
//! manifest.json        Docker's view, by blob         repositories            the oldest view
//! ```

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use archive::{FileEntry, TarWriter};
use oci::{Descriptor, Digest, Index, Manifest, Platform, Reference, annotation, media_type};
use serde_json::{Value, json};

use super::{Found, Image, ImageIndex, Images, Member, MemberKind};
use crate::error::{Error, Result};

/// What goes into an archive: an image, or an index, and the tags by which it was asked for.
struct Selected {
    image: Arc<Image>,
    index: Option<Arc<ImageIndex>>,
    names: Vec<Reference>,
}

/// What stands in `index.json` for it.
struct Target {
    descriptor: Descriptor,
    /// Everything below it, itself too.
    blobs: Vec<Digest>,
    /// What `manifest.json` shows of it, which knows no platforms.
    image: Arc<Image>,
    manifest: Digest,
}

impl Images {
    /// Writes the images that the texts name. A repository without tag means all of its tags. Of several platforms all that
    /// are here, or those that are asked for: one of them without its index, as an image of its own.
    /// The same images in the same state give the same bytes.
    pub fn save(&self, texts: &[String], platforms: &[Platform], writer: impl Write) -> Result<()> {
        let selected = self.select(texts)?;
        let lease = self.content.lease();
        let mut blobs: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut index = Index {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.into()),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        let mut docker = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for one in &selected {
            let target = self.target(one, platforms)?;
            for digest in &target.blobs {
                lease.hold(digest);
                blobs.insert(digest.clone(), self.content.size(digest)?);
            }
            let names = &one.names;
            let manifest = self.manifest_of(&target.manifest)?;
            if names.is_empty() {
                index.manifests.push(target.descriptor.clone());
            }
            for name in names {
                let mut named = target.descriptor.clone();
                named.annotations.insert(annotation::CONTAINERD_NAME.into(), name.to_string());
                let tag = name.tag().unwrap_or_default();
                named.annotations.insert(annotation::REF_NAME.into(), tag.into());
                index.manifests.push(named);
                if let (Some(tag), Some(top)) = (name.tag(), manifest.layers.last()) {
                    let tags = repositories.entry(name.familiar_name()).or_default();
                    tags.insert(tag.into(), top.digest.hex().into());
                }
            }
            let diff_ids = target.image.config.rootfs.diff_ids.iter();
            docker.push(json!({
                "Config": blob_name(&target.image.id),
                "RepoTags": names.iter().map(Reference::familiar).collect::<Vec<_>>(),
                "Layers": manifest.layers.iter().map(|layer| blob_name(&layer.digest)).collect::<Vec<_>>(),
                "LayerSources": diff_ids.zip(&manifest.layers).map(|(diff_id, layer)| {
                    (diff_id.to_string(), json!(layer))
                }).collect::<serde_json::Map<String, Value>>(),
            }));
        }

        let mut tar = TarWriter::new(writer);
        tar.append(&FileEntry::directory("blobs/", 0o755), std::io::empty())?;
        tar.append(&FileEntry::directory("blobs/sha256/", 0o755), std::io::empty())?;
        for (digest, size) in &blobs {
            tar.append(&FileEntry::file(&blob_name(digest), 0o644, *size), self.content.file(digest)?)?;
        }
        let documents = [
            ("index.json", serde_json::to_vec(&index)),
            ("manifest.json", serde_json::to_vec(&docker)),
            ("oci-layout", Ok(br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())),
            ("repositories", serde_json::to_vec(&repositories)),
        ];
        for (name, bytes) in documents {
            let bytes = bytes.map_err(std::io::Error::from)?;
            tar.append(&FileEntry::file(name, 0o644, bytes.len() as u64), &bytes[..])?;
        }
        tar.finish()?;
        Ok(())
    }

    fn target(&self, one: &Selected, platforms: &[Platform]) -> Result<Target> {
        let Some(index) = &one.index else {
            let text = one.names.first().map_or_else(|| one.image.id.to_string(), Reference::familiar);
            for wanted in platforms {
                self.find_for(&text, Some(wanted))?;
            }
            return self.single(&one.image, &one.image.manifest);
        };
        let here = self.members_of(index);
        let mut chosen: Vec<&(Member, Arc<Image>)> = Vec::new();
        for wanted in platforms {
            let fits = here.iter().find(|(_, image)| image.config.platform().satisfies(wanted));
            let fits = fits.ok_or_else(|| {
                let text = one.names.first().map_or_else(|| index.digest.to_string(), Reference::familiar);
                Error::NoPlatform(format!(
                    "image with reference {text} was found but does not provide the specified platform ({wanted})"
                ))
            })?;
            if !chosen.iter().any(|(_, image)| image.id == fits.1.id) {
                chosen.push(fits);
            }
        }
        if let ([(member, image)], [_, ..]) = (&chosen[..], platforms) {
            return self.single(image, &member.descriptor.digest);
        }
        if platforms.is_empty() {
            chosen = here.iter().filter(|(member, _)| self.is_available(member)).collect();
        }
        let mut blobs: Vec<Digest> = index.documents().cloned().collect();
        for (member, _) in &chosen {
            let attested = index.attestations(&member.descriptor.digest);
            let whole = std::iter::once(member).chain(attested.filter(|about| self.is_available(about)));
            blobs.extend(whole.flat_map(Member::blobs).map(|blob| blob.digest.clone()));
        }
        if platforms.is_empty() {
            let others = index.members.iter().filter(|member| member.kind == MemberKind::Unknown);
            let others = others.filter(|member| self.is_available(member));
            blobs.extend(others.flat_map(Member::blobs).map(|blob| blob.digest.clone()));
        }
        let face = chosen.iter().find(|(_, image)| image.id == one.image.id).or(chosen.first());
        let (member, image) = face.ok_or_else(|| Error::NoSuchImage(index.digest.to_string()))?;
        Ok(Target {
            descriptor: Descriptor::new(&index.media_type, index.digest.clone(), index.size),
            blobs,
            image: image.clone(),
            manifest: member.descriptor.digest.clone(),
        })
    }

    fn single(&self, image: &Arc<Image>, digest: &Digest) -> Result<Target> {
        let manifest = self.manifest_of(digest)?;
        let kind = manifest.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST);
        let mut descriptor = Descriptor::new(kind, digest.clone(), self.content.size(digest)?);
        descriptor.platform = Some(image.config.platform());
        let layers = manifest.layers.into_iter().map(|layer| layer.digest);
        let blobs = [image.id.clone(), digest.clone()].into_iter().chain(layers).collect();
        Ok(Target { descriptor, blobs, image: image.clone(), manifest: digest.clone() })
    }

    fn manifest_of(&self, digest: &Digest) -> Result<Manifest> {
        serde_json::from_slice(&self.content.read(digest)?)
            .map_err(|error| Error::Invalid(format!("manifest {digest}: {error}")))
    }

    /// Each image once, with the tags by which it was asked for.
    fn select(&self, texts: &[String]) -> Result<Vec<Selected>> {
        let mut selected: Vec<Selected> = Vec::new();
        let mut add = |Found { image, index }: Found, name: Option<Reference>| {
            let digest = index.as_ref().map(|index| &index.digest);
            let at = selected.iter().position(|known| {
                known.image.id == image.id && known.index.as_ref().map(|index| &index.digest) == digest
            });
            let at = at.unwrap_or_else(|| {
                selected.push(Selected { image, index, names: Vec::new() });
                selected.len() - 1
            });
            if let Some(name) = name
                && !selected[at].names.contains(&name)
            {
                selected[at].names.push(name);
            }
        };
        for text in texts {
            let name = Reference::parse(text).ok();
            if let Some(name) = name.as_ref().filter(|name| name.is_name_only()) {
                let tagged: Vec<Reference> = {
                    let index = self.read();
                    let of_it = index
                        .names
                        .keys()
                        .filter(|other| other.tag().is_some() && other.name() == name.name());
                    of_it.cloned().collect()
                };
                if !tagged.is_empty() {
                    for name in tagged {
                        self.find(&name.to_string())
                            .into_iter()
                            .for_each(|found| add(found, Some(name.clone())));
                    }
                    continue;
                }
            }
            let found = self.find(text)?;
            let tag = name.filter(|name| name.tag().is_some() && name.digest().is_none());
            let tag = tag.filter(|name| self.by_name(name).is_some_and(|named| named.id == found.image.id));
            add(found, tag);
        }
        Ok(selected)
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
