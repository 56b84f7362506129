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
use oci::{Descriptor, Digest, Index, Reference, annotation, media_type};
use serde_json::{Value, json};

use super::{Image, Images};
use crate::error::{Error, Result};

impl Images {
    /// Writes the images that the texts name. A repository without tag means all of its tags.
    /// The same images in the same state give the same bytes.
    pub fn save(&self, texts: &[String], writer: impl Write) -> Result<()> {
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
        for (image, names) in &selected {
            let documents = [image.id.clone(), image.manifest.clone()];
            for digest in documents.iter().chain(image.layers.iter().map(|layer| &layer.descriptor.digest)) {
                lease.hold(digest);
                blobs.insert(digest.clone(), self.content.size(digest)?);
            }
            let manifest: oci::Manifest = serde_json::from_slice(&self.content.read(&image.manifest)?)
                .map_err(|error| Error::Invalid(format!("manifest {}: {error}", image.manifest)))?;
            let kind = manifest.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST);
            let mut descriptor =
                Descriptor::new(kind, image.manifest.clone(), self.content.size(&image.manifest)?);
            descriptor.platform = Some(image.config.platform());
            if names.is_empty() {
                index.manifests.push(descriptor.clone());
            }
            for name in names {
                let mut named = descriptor.clone();
                named.annotations.insert(annotation::CONTAINERD_NAME.into(), name.to_string());
                let tag = name.tag().unwrap_or_default();
                named.annotations.insert(annotation::REF_NAME.into(), tag.into());
                index.manifests.push(named);
                if let (Some(tag), Some(top)) = (name.tag(), image.layers.last()) {
                    let tags = repositories.entry(name.familiar_name()).or_default();
                    tags.insert(tag.into(), top.descriptor.digest.hex().into());
                }
            }
            docker.push(json!({
                "Config": blob_name(&image.id),
                "RepoTags": names.iter().map(Reference::familiar).collect::<Vec<_>>(),
                "Layers": image.layers.iter().map(|layer| blob_name(&layer.descriptor.digest)).collect::<Vec<_>>(),
                "LayerSources": image.layers.iter().map(|layer| {
                    (layer.diff_id.to_string(), json!(layer.descriptor))
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

    /// Each image once, with the tags by which it was asked for.
    fn select(&self, texts: &[String]) -> Result<Vec<(Arc<Image>, Vec<Reference>)>> {
        let mut selected: Vec<(Arc<Image>, Vec<Reference>)> = Vec::new();
        let mut add = |image: Arc<Image>, name: Option<Reference>| {
            let at = selected.iter().position(|(known, _)| known.id == image.id);
            let at = at.unwrap_or_else(|| {
                selected.push((image, Vec::new()));
                selected.len() - 1
            });
            if let Some(name) = name
                && !selected[at].1.contains(&name)
            {
                selected[at].1.push(name);
            }
        };
        for text in texts {
            let name = Reference::parse(text).ok();
            if let Some(name) = name.as_ref().filter(|name| name.is_name_only()) {
                let tagged: Vec<(Reference, Digest)> = {
                    let index = self.read();
                    let of_it = index
                        .names
                        .iter()
                        .filter(|(other, _)| other.tag().is_some() && other.name() == name.name());
                    of_it.map(|(name, id)| (name.clone(), id.clone())).collect()
                };
                if !tagged.is_empty() {
                    for (name, id) in tagged {
                        self.get(&id).into_iter().for_each(|image| add(image, Some(name.clone())));
                    }
                    continue;
                }
            }
            let image = self.resolve(text)?;
            let tag = name.filter(|name| name.tag().is_some() && name.digest().is_none());
            let tag = tag.filter(|name| self.by_name(name).is_some_and(|named| named.id == image.id));
            add(image, tag);
        }
        Ok(selected)
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
