//! `docker load`: docker-archives (with `manifest.json`, or the older `repositories`) and OCI layouts.
//!
//! The archive is read once, from front to back; documents may come last. Each file goes straight into the
//! content store's ingest directory, hashed on the way. What no image of the archive needs is dropped at
//! the end; the layers that are needed are unpacked, which checks their diff ids.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use archive::{Compression, Decoder, Entries, Kind, SNIFF_LEN};
use oci::{Descriptor, Digest, History, ImageConfig, Manifest, Platform, Reference, media_type};
use serde::Deserialize;

mod layout;

use super::{Image, Images};
use crate::content::DOCUMENT_BYTES_MAX;
use crate::error::{Error, Result};
use crate::lease::Lease;

/// What happens while an archive is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEvent {
    /// A layer is being unpacked: its diff id, and the size of its blob in bytes.
    Layer { diff_id: Digest, size: u64 },
    /// An image has this name now.
    Tagged(Reference),
    /// An image came without a name.
    Untagged(Digest),
}

/// Told of each event.
pub type Progress<'a> = &'a mut dyn FnMut(LoadEvent);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerItem {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    #[serde(default)]
    parent: Option<Digest>,
}

/// The files of an archive: regular ones as blobs, symbolic links by their resolved target.
#[derive(Debug, Default)]
struct Files {
    blobs: HashMap<String, (Digest, u64)>,
    links: HashMap<String, String>,
}

impl Files {
    fn get(&self, name: &str) -> Option<&(Digest, u64)> {
        let mut name = clean(name);
        // Docker linked equal layers to each other; a longer chain is a loop.
        for _ in 0..8 {
            match self.links.get(&name) {
                Some(target) => name.clone_from(target),
                None => return self.blobs.get(&name),
            }
        }
        None
    }

    fn require(&self, name: &str) -> Result<&(Digest, u64)> {
        self.get(name).ok_or_else(|| Error::Invalid(format!("invalid archive: {name} is missing")))
    }
}

impl Images {
    /// Loads all images of an archive, or those for some platforms. The archive may be compressed.
    pub fn load(
        &self,
        reader: impl Read,
        platforms: &[Platform],
        progress: Progress<'_>,
    ) -> Result<Vec<Arc<Image>>> {
        let lease = self.content.lease();
        let outcome = self.spool(reader, &lease).and_then(|files| {
            let images = if files.get("manifest.json").is_some() && !self.has_index(&files)? {
                self.load_docker(&files, platforms, &lease, progress)?
            } else if files.get("index.json").is_some() {
                self.load_layout(&files, platforms, &lease, progress)?
            } else if files.get("repositories").is_some() {
                self.load_legacy(&files, &lease, progress)?
            } else {
                return Err(Error::Invalid("unrecognized image format".into()));
            };
            Ok(images)
        });
        drop(lease);
        // Documents of the archive, blobs of other platforms, or all of it if it was refused.
        self.tidy();
        outcome
    }

    fn spool(&self, reader: impl Read, lease: &Lease) -> Result<Files> {
        let mut entries = Entries::new(Decoder::new(reader)?);
        let mut files = Files::default();
        let mut buffer = vec![0; 256 << 10];
        while let Some(entry) = entries.next()? {
            let name = clean(&String::from_utf8_lossy(&entry.name));
            match entry.kind {
                Kind::File => {
                    let mut blob = self.content.writer()?;
                    loop {
                        match entries.read(&mut buffer) {
                            Ok(0) => break,
                            Ok(n) => blob.write_all(&buffer[..n])?,
                            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                                return Err(archive::Error::Truncated(name).into());
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                    let size = blob.size();
                    // In a layout the name is a promise.
                    let promised =
                        name.strip_prefix("blobs/").and_then(|rest| rest.replace('/', ":").parse().ok());
                    let digest = blob.commit(lease, promised.as_ref())?;
                    files.links.remove(&name);
                    files.blobs.insert(name, (digest, size));
                }
                Kind::Symlink | Kind::Hardlink => {
                    let target = String::from_utf8_lossy(&entry.link).into_owned();
                    let target = match (entry.kind, name.rsplit_once('/')) {
                        (Kind::Symlink, Some((directory, _))) if !target.starts_with('/') => {
                            clean(&format!("{directory}/{target}"))
                        }
                        _ => clean(&target),
                    };
                    files.links.insert(name, target);
                }
                _ => {}
            }
        }
        Ok(files)
    }

    fn load_docker(
        &self,
        files: &Files,
        platforms: &[Platform],
        lease: &Lease,
        progress: Progress<'_>,
    ) -> Result<Vec<Arc<Image>>> {
        let items: Vec<DockerItem> = self.document(files, "manifest.json")?;
        let mut images: Vec<Arc<Image>> = Vec::new();
        for item in items {
            let (config_digest, config_size) = files.require(&item.config)?.clone();
            let config: ImageConfig = self.parse(&config_digest, &item.config)?;
            if !is_wanted(&config, platforms) {
                continue;
            }
            let names = item
                .repo_tags
                .unwrap_or_default()
                .iter()
                .map(|tag| Reference::parse(tag).map_err(|_| Error::Invalid(format!("invalid tag {tag:?}"))))
                .collect::<Result<Vec<_>>>()?;
            let layers: Vec<Descriptor> = item
                .layers
                .unwrap_or_default()
                .iter()
                .map(|name| {
                    let (digest, size) = files.require(name)?;
                    Ok(Descriptor::new(self.layer_type(digest)?, digest.clone(), *size))
                })
                .collect::<Result<_>>()?;
            // Docker 25 and later put the manifest beside: with it the image keeps its digest.
            let manifest = match self.manifest_for(files, &config_digest)? {
                Some(manifest) => manifest,
                None => {
                    let config = Descriptor::new(media_type::OCI_CONFIG, config_digest.clone(), config_size);
                    self.put_manifest(lease, config, layers)?
                }
            };
            let parent = item.parent.filter(|parent| self.get(parent).is_some());
            images.push(self.bring_in(lease, &config_digest, &manifest, parent, &names, progress)?);
        }
        if images.is_empty() && !platforms.is_empty() {
            return Err(none_for(platforms));
        }
        Ok(images)
    }

    /// Before Docker 1.10: `<id>/json` and `<id>/layer.tar` per layer, and names in `repositories`.
    fn load_legacy(&self, files: &Files, lease: &Lease, progress: Progress<'_>) -> Result<Vec<Arc<Image>>> {
        let repositories: BTreeMap<String, BTreeMap<String, String>> =
            self.document(files, "repositories")?;
        let mut tops: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
        for (repository, tags) in &repositories {
            for (tag, id) in tags {
                let name = Reference::parse(repository)?.with_tag(tag)?;
                tops.entry(id.clone()).or_default().push(name);
            }
        }
        let mut images = Vec::new();
        for (top, names) in tops {
            let mut chain = Vec::new();
            let mut seen = HashSet::new();
            let mut next = Some(top);
            while let Some(id) = next {
                if !seen.insert(id.clone()) {
                    return Err(Error::Invalid(format!("invalid archive: layer {id} is its own ancestor")));
                }
                let json: serde_json::Value = self.document(files, &format!("{id}/json"))?;
                next = json
                    .get("parent")
                    .and_then(|parent| parent.as_str())
                    .filter(|id| !id.is_empty())
                    .map(Into::into);
                chain.push((id, json));
            }
            chain.reverse();
            let mut layers = Vec::new();
            let mut diff_ids = Vec::new();
            let mut history = Vec::new();
            for (id, json) in &chain {
                let (digest, size) = files.require(&format!("{id}/layer.tar"))?.clone();
                diff_ids.push(self.diff_id(&digest)?);
                layers.push(Descriptor::new(self.layer_type(&digest)?, digest, size));
                let text = |key: &str| json.get(key).and_then(|value| value.as_str()).map(str::to_owned);
                history.push(History {
                    created: text("created"),
                    author: text("author"),
                    ..History::default()
                });
            }
            let mut document = chain.pop().map(|(_, json)| json).unwrap_or_default();
            if let Some(fields) = document.as_object_mut() {
                for gone in ["id", "parent", "parent_id", "layer_id", "Size", "throwaway"] {
                    fields.shift_remove(gone);
                }
            }
            let mut config: ImageConfig = serde_json::from_value(document)
                .map_err(|error| Error::Invalid(format!("invalid image config: {error}")))?;
            config.rootfs.diff_ids = diff_ids;
            config.history = history;
            let bytes = serde_json::to_vec(&config).map_err(io::Error::from)?;
            let id = self.content.put(lease, &bytes)?;
            let config = Descriptor::new(media_type::OCI_CONFIG, id.clone(), bytes.len() as u64);
            let manifest = self.put_manifest(lease, config, layers)?;
            images.push(self.bring_in(lease, &id, &manifest, None, &names, progress)?);
        }
        Ok(images)
    }

    /// Unpacks what is missing, then records.
    fn bring_in(
        &self,
        lease: &Lease,
        config: &Digest,
        manifest: &Digest,
        parent: Option<Digest>,
        names: &[Reference],
        progress: Progress<'_>,
    ) -> Result<Arc<Image>> {
        self.unpack_loaded(lease, config, manifest, progress)?;
        let image = self.insert(lease, config, manifest, parent, names)?;
        match names {
            [] => progress(LoadEvent::Untagged(image.id.clone())),
            names => names.iter().for_each(|name| progress(LoadEvent::Tagged(name.clone().or_latest()))),
        }
        Ok(image)
    }

    fn unpack_loaded(
        &self,
        lease: &Lease,
        config: &Digest,
        manifest: &Digest,
        progress: Progress<'_>,
    ) -> Result<()> {
        let image = self.preview(config, manifest)?;
        for layer in &image.layers {
            lease.hold(&layer.chain_id);
            if self.snapshots.get(&layer.chain_id).is_none() {
                progress(LoadEvent::Layer { diff_id: layer.diff_id.clone(), size: layer.descriptor.size });
            }
        }
        self.snapshots.ensure(lease, &image)?;
        Ok(())
    }

    fn put_manifest(&self, lease: &Lease, config: Descriptor, layers: Vec<Descriptor>) -> Result<Digest> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.into()),
            config,
            layers,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        self.content.put(lease, &serde_json::to_vec(&manifest).map_err(io::Error::from)?)
    }

    fn layer_type(&self, blob: &Digest) -> Result<&'static str> {
        let mut head = Vec::new();
        self.content.file(blob)?.take(SNIFF_LEN as u64).read_to_end(&mut head)?;
        Ok(match Compression::sniff(&head)? {
            Compression::Gzip => media_type::OCI_LAYER_GZIP,
            Compression::Zstd => media_type::OCI_LAYER_ZSTD,
            Compression::None | Compression::Xz | Compression::Bzip2 => media_type::OCI_LAYER,
        })
    }

    fn diff_id(&self, blob: &Digest) -> Result<Digest> {
        let mut decoder = Decoder::new(self.content.file(blob)?)?;
        if decoder.compression() == Compression::None {
            return Ok(blob.clone());
        }
        let mut digester = oci::Digester::default();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match decoder.read(&mut buffer).map_err(archive::Error::Decompress)? {
                0 => return Ok(digester.finish()),
                n => digester.update(&buffer[..n]),
            }
        }
    }

    fn document<T: for<'de> Deserialize<'de>>(&self, files: &Files, name: &str) -> Result<T> {
        let (digest, size) = files.require(name)?;
        if *size > DOCUMENT_BYTES_MAX {
            return Err(Error::Invalid(format!("invalid archive: {name} of {size} bytes is too large")));
        }
        self.parse(digest, name)
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self, digest: &Digest, name: &str) -> Result<T> {
        serde_json::from_slice(&self.content.read(digest)?)
            .map_err(|error| Error::Invalid(format!("invalid archive: {name}: {error}")))
    }
}

fn none_for(platforms: &[Platform]) -> Error {
    let platforms: Vec<_> = platforms.iter().map(Platform::to_string).collect();
    Error::NoPlatform(format!("no images providing the requested platform {} found", platforms.join(", ")))
}

/// Is it for one of the platforms? All are wanted if none is said.
fn is_wanted(config: &ImageConfig, platforms: &[Platform]) -> bool {
    platforms.is_empty() || platforms.iter().any(|wanted| config.platform().satisfies(wanted))
}

/// A name within the archive, without `./`, doubled slashes, and `..`.
fn clean(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(name).components() {
        match part {
            std::path::Component::Normal(part) => parts.extend(part.to_str()),
            std::path::Component::ParentDir => _ = parts.pop(),
            _ => {}
        }
    }
    parts.join("/")
}
