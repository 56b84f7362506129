//! The image service.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::Arc;

use jiff::Timestamp;
use oci::Reference;
use store::{Deleted, Found, Image, ImageUse, LoadEvent, Store};

use super::layers::Layers;
use super::{HistoryEntry, ImageListRequest, ImageSummary, ImageView, ImportRequest, Progress, Removed};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::registries::Registries;
use crate::storage::image_config;

/// Everything about images. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    pub(crate) core: Arc<Core>,
    pub(crate) store: Arc<Store>,
    pub(super) registries: Arc<Registries>,
    pub(super) layers: Arc<Layers>,
}

const FILTER_KEYS: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];

impl Images {
    pub(crate) fn new(core: Arc<Core>, store: Arc<Store>, registries: Arc<Registries>) -> Self {
        let settings = core.settings();
        let layers = Arc::new(Layers::new(store.clone(), settings.downloads_max));
        Self { core, store, registries, layers }
    }

    pub async fn list(&self, request: ImageListRequest) -> Result<Vec<ImageSummary>> {
        let filters = &request.filters;
        filters.check(FILTER_KEYS)?;
        let dangling = filters.flag("dangling")?;
        let time_of = |key: &str| -> Result<Option<Timestamp>> {
            match filters.get(key).first() {
                Some(reference) => Ok(created(&*self.find(reference)?)),
                None => Ok(None),
            }
        };
        let (before, since) = (time_of("before")?, time_of("since")?);
        let until = crate::container::until(&self.core, filters)?;
        let all = self.store.images().list();
        let mut users: BTreeMap<&oci::Digest, usize> = BTreeMap::new();
        if request.shared_size {
            for layer in all.iter().flat_map(|image| &image.layers) {
                *users.entry(&layer.chain_id).or_default() += 1;
            }
        }
        let shared = |image: &Image| -> u64 {
            let layers = image.layers.iter().map(|layer| &layer.chain_id).filter(|chain| users[chain] > 1);
            layers.filter_map(|chain| self.store.snapshots().layer_size(chain)).sum()
        };
        let mut summaries = Vec::new();
        for image in &all {
            // Shown with the index that it is a part of.
            if self.store.images().is_member_only(&image.id) {
                continue;
            }
            let (mut tags, digests) = self.names(image);
            let at = created(image);
            let labels = image.config.config.labels.clone().unwrap_or_default();
            let wanted = dangling.is_none_or(|dangling| dangling == tags.is_empty())
                && before.is_none_or(|limit| at.is_some_and(|at| at < limit))
                && since.is_none_or(|limit| at.is_some_and(|at| at > limit))
                && until.is_none_or(|limit| at.is_some_and(|at| at < limit))
                && filters.labels_match("label", &labels);
            if !wanted {
                continue;
            }
            if filters.has("reference") {
                tags.retain(|tag| {
                    filters.get("reference").iter().any(|pattern| reference_matches(pattern, tag))
                });
                if tags.is_empty() {
                    continue;
                }
            }
            let found = Found { image: image.clone(), index: self.store.images().index_of(&image.id) };
            let family = self.family(&found);
            summaries.push(ImageSummary {
                containers: family.iter().map(|image| self.containers(image).len() as u64).sum(),
                shared_bytes: request.shared_size.then(|| family.iter().map(|image| shared(image)).sum()),
                target: self.target(&found),
                manifests: if request.manifests { self.manifests(&found) } else { Vec::new() },
                id: image.id.to_string(),
                repo_tags: tags,
                repo_digests: digests,
                created: at,
                size_bytes: family.iter().map(|image| image.size).sum(),
                labels,
            });
        }
        summaries.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(summaries)
    }

    /// Bytes of the layers of all images, each once.
    pub(crate) fn layers_bytes(&self) -> u64 {
        let all = self.store.images().list();
        let layers = all.iter().flat_map(|image| &image.layers);
        let chains: BTreeSet<&oci::Digest> = layers.map(|layer| &layer.chain_id).collect();
        chains.into_iter().filter_map(|chain| self.store.snapshots().layer_size(chain)).sum()
    }

    /// Whether the image is one for `wanted`.
    ///
    /// # Errors
    /// No such image, or it is for another platform (not found, too, as in Docker).
    pub fn check_platform(&self, reference: &str, wanted: &oci::Platform) -> Result<()> {
        self.store.images().find_for(reference, Some(wanted))?;
        Ok(())
    }

    /// By name, `name:tag`, `name@digest`, id or id prefix; for a platform, or for whatever the image is for.
    pub async fn inspect(&self, reference: &str, platform: Option<&oci::Platform>) -> Result<ImageView> {
        let found = self.store.images().find_for(reference, platform)?;
        let image = &found.image;
        let (repo_tags, repo_digests) = self.names_of(&found);
        let config = &image.config;
        Ok(ImageView {
            id: image.id.to_string(),
            repo_tags,
            repo_digests,
            comment: config.history.last().and_then(|line| line.comment.clone()).unwrap_or_default(),
            created: created(image),
            author: config.author.clone().unwrap_or_default(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone().unwrap_or_default(),
            os: config.os.clone(),
            os_version: config.os_version.clone().unwrap_or_default(),
            size_bytes: image.size,
            config: image_config(&config.config),
            layers: config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
            driver: self.core.ports.storage.driver().to_owned(),
            driver_data: self.core.ports.storage.image_directories(image.id.as_ref())?,
            target: self.target(&found),
            manifests: self.manifests(&found),
            last_tagged: self.store.images().last_tagged(&image.id).and_then(|at| at.parse().ok()),
        })
    }

    /// Ids of the containers made from it.
    pub(super) fn containers(&self, image: &Image) -> Vec<String> {
        let id = image.id.to_string();
        let views = self.core.index.views();
        views.into_iter().filter(|view| view.image_id == id).map(|view| view.id.clone()).collect()
    }

    pub async fn history(
        &self,
        reference: &str,
        platform: Option<&oci::Platform>,
    ) -> Result<Vec<HistoryEntry>> {
        let found = self.store.images().find_for(reference, platform)?;
        let image = &found.image;
        let mut layers = image.layers.iter();
        let mut rows: Vec<HistoryEntry> = image
            .config
            .history
            .iter()
            .map(|line| {
                let layer = if line.empty_layer { None } else { layers.next() };
                HistoryEntry {
                    id: "<missing>".into(),
                    created: line.created.as_deref().and_then(|at| at.parse().ok()),
                    created_by: line.created_by.clone().unwrap_or_default(),
                    tags: Vec::new(),
                    // What it takes here, as `images` counts; the blob may be compressed.
                    size_bytes: layer.map_or(0, |layer| {
                        self.store.snapshots().layer_size(&layer.chain_id).unwrap_or(layer.descriptor.size)
                    }),
                    comment: line.comment.clone().unwrap_or_default(),
                }
            })
            .collect();
        rows.reverse();
        if let Some(newest) = rows.first_mut() {
            newest.id = image.id.to_string();
            newest.tags = self.names_of(&found).0;
        }
        Ok(rows)
    }

    pub async fn tag(&self, reference: &str, repo: &str, tag: &str) -> Result<()> {
        let Found { image, index } = self.store.images().find(reference)?;
        let name = name_of(repo, tag)?;
        let store = self.store.clone();
        let (id, target) = (image.id.clone(), name.clone());
        let index = index.map(|index| index.digest.clone());
        blocking(move || store.images().tag_through(&id, index.as_ref(), &target)).await?;
        self.event("tag", image.id.as_ref(), &name.familiar());
        Ok(())
    }

    /// `platforms`: those whose part of the image goes; none for all of it.
    pub async fn remove(
        &self,
        reference: &str,
        platforms: Vec<oci::Platform>,
        force: bool,
        prune: bool,
    ) -> Result<Vec<Removed>> {
        // An event names the image that lost a name; afterwards nobody could say which it was.
        let untagged = self.find(reference)?.id.to_string();
        let (images, text) = (self.clone(), reference.to_owned());
        let deleted = blocking(move || {
            let uses = |id: &oci::Digest| images.uses(id);
            let store = &images.store;
            match platforms.as_slice() {
                [] => store.images().delete(&text, force, prune, &uses),
                platforms => store.images().delete_platforms(&text, platforms, force, prune, &uses),
            }
        })
        .await?;
        Ok(self.told(&untagged, deleted))
    }

    /// The containers that were made from an image.
    pub(super) fn uses(&self, id: &oci::Digest) -> Vec<ImageUse> {
        let id = id.to_string();
        let views = self.core.index.views().into_iter().filter(|view| view.image_id == id);
        views.map(|view| ImageUse { container: view.id.clone(), running: view.state.is_running() }).collect()
    }

    /// What went, as events and in the engine's shape. `untagged` is the image that lost names.
    pub(super) fn told(&self, untagged: &str, deleted: Vec<Deleted>) -> Vec<Removed> {
        deleted
            .into_iter()
            .map(|line| match line {
                Deleted::Untagged(name) => {
                    self.event("untag", untagged, &name);
                    Removed::Untagged(name)
                }
                Deleted::Image(id) => {
                    let id = id.to_string();
                    self.event("delete", &id, &id);
                    Removed::Deleted(id)
                }
                // Layers are told of, but they are no images.
                Deleted::Layer(id) => Removed::Deleted(id.to_string()),
            })
            .collect()
    }

    /// docker-archive or OCI-layout tar; of several platforms those in `platforms`, or all. `progress` is called from a
    /// blocking thread.
    pub async fn load(
        &self,
        from: Box<dyn Read + Send>,
        platforms: Vec<oci::Platform>,
        mut progress: Box<dyn FnMut(Progress) + Send>,
    ) -> Result<()> {
        let store = self.store.clone();
        let loaded = blocking(move || {
            store.images().load(from, &platforms, &mut |event| match event {
                LoadEvent::Layer { diff_id, size } => progress(Progress::Status {
                    id: diff_id.short().to_owned(),
                    status: format!("Loading layer ({size} bytes)"),
                }),
                LoadEvent::Tagged(name) => {
                    progress(Progress::Line(format!("Loaded image: {}", name.familiar())))
                }
                LoadEvent::Untagged(id) => progress(Progress::Line(format!("Loaded image ID: {id}"))),
            })
        })
        .await?;
        for image in loaded {
            let id = image.id.to_string();
            self.event("load", &id, &id);
        }
        Ok(())
    }

    /// docker-archive (with OCI layout) of these images, to `to`, from a blocking thread. References are
    /// checked before the first byte is written.
    pub async fn save(
        &self,
        references: Vec<String>,
        platforms: Vec<oci::Platform>,
        to: Box<dyn Write + Send>,
    ) -> Result<()> {
        self.check_save(&references).await?;
        let store = self.store.clone();
        let names = references.clone();
        blocking(move || store.images().save(&names, &platforms, to)).await?;
        for reference in references {
            let id = self.find(&reference).map_or_else(|_| reference.clone(), |image| image.id.to_string());
            self.event("save", &id, &reference);
        }
        Ok(())
    }

    /// Check that all these can be saved.
    pub async fn check_save(&self, references: &[String]) -> Result<()> {
        references.iter().try_for_each(|reference| self.find(reference).map(drop))
    }

    /// A root file system tar becomes an image; answers its id.
    pub async fn import(&self, request: ImportRequest, from: Box<dyn Read + Send>) -> Result<String> {
        let reference = match request.repo.as_str() {
            "" => None,
            repo => Some(name_of(repo, &request.tag)?),
        };
        let mut options = store::ImportOptions {
            reference: reference.clone(),
            changes: request.changes,
            message: Some(match request.message.as_str() {
                // Docker's comment on an import without one.
                "" if request.source.is_empty() => "Imported from -".to_owned(),
                "" => format!("Imported from {}", request.source),
                message => message.to_owned(),
            }),
            ..store::ImportOptions::default()
        };
        if !request.platform.is_empty() {
            options.platform = request
                .platform
                .parse()
                .map_err(|error| Error::invalid(format!("invalid platform {}: {error}", request.platform)))?;
        }
        let store = self.store.clone();
        let image = blocking(move || store.images().import(from, &options)).await?;
        let id = image.id.to_string();
        let name = reference.map_or_else(|| id.clone(), |reference| reference.familiar());
        self.event("import", &id, &name);
        Ok(id)
    }

    fn find(&self, reference: &str) -> Result<Arc<Image>> {
        Ok(self.store.images().resolve(reference)?)
    }

    /// Tags and digests under which the image is known, familiar and sorted.
    pub(super) fn names(&self, image: &Image) -> (Vec<String>, Vec<String>) {
        let mut tags = Vec::new();
        let mut digests = Vec::new();
        for name in self.store.images().names(&image.id) {
            match name.digest() {
                Some(_) => digests.push(name.familiar()),
                None => tags.push(name.familiar()),
            }
        }
        tags.sort();
        digests.sort();
        (tags, digests)
    }

    /// As [`Images::names`]: of a part, those of the whole.
    fn names_of(&self, found: &Found) -> (Vec<String>, Vec<String>) {
        match self.family(found).iter().find(|image| !self.store.images().names(&image.id).is_empty()) {
            Some(face) if self.store.images().is_member_only(&found.image.id) => self.names(face),
            _ => self.names(&found.image),
        }
    }

    pub(super) fn event(&self, action: &str, id: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.core.events.publish("image", action, id, attributes);
        if matches!(action, "pull" | "load" | "import") {
            self.core.garbage.notify_one();
        }
    }
}

pub(super) fn created(image: &Image) -> Option<Timestamp> {
    image.created().and_then(|at| at.parse().ok())
}

/// `repo` + `tag` of a query; the tag may also be a digest, or be part of the name.
pub(crate) fn name_of(repo: &str, tag: &str) -> Result<Reference> {
    let text = match tag {
        "" => repo.to_owned(),
        digest if digest.contains(':') => format!("{repo}@{digest}"),
        tag => format!("{repo}:{tag}"),
    };
    let reference = Reference::parse(&text).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(reference.or_latest())
}

/// `reference=` filters: Go's path.Match over the familiar name, with or without the tag.
fn reference_matches(pattern: &str, name: &str) -> bool {
    let without_tag = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    glob(pattern.as_bytes(), name.as_bytes()) || glob(pattern.as_bytes(), without_tag.as_bytes())
}

/// Go's path.Match: `*` and `?` stop at slashes, `[a-z]` and `[^a-z]` are classes, a backslash takes the next as it is.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            glob(rest, text) || matches!(text, [byte, tail @ ..] if *byte != b'/' && glob(pattern, tail))
        }
        ([b'?', rest @ ..], [byte, tail @ ..]) => *byte != b'/' && glob(rest, tail),
        ([b'[', class @ ..], [byte, tail @ ..]) => {
            class_of(class, *byte).is_some_and(|(matches, rest)| matches && glob(rest, tail))
        }
        ([b'\\', literal, rest @ ..], [byte, tail @ ..]) => literal == byte && glob(rest, tail),
        ([a, rest @ ..], [b, tail @ ..]) => a == b && glob(rest, tail),
        _ => false,
    }
}

/// Is a byte in the class that follows a `[`, and what comes after the class? `None`: the class is malformed.
fn class_of(class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    let mut first = true;
    loop {
        match rest {
            [b']', after @ ..] if !first => return Some((found != negated && byte != b'/', after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                rest = after;
            }
            [one, after @ ..] => {
                found |= *one == byte;
                rest = after;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_match_as_go_matches_paths() {
        for (pattern, name, wanted) in [
            ("busybox", "busybox:1", true),
            ("busybox:1", "busybox:1", true),
            ("busy*", "busybox:1", true),
            ("*", "a/b:1", false),
            ("*/*", "a/b:1", true),
            ("bb:[1-3]", "bb:2", true),
            ("bb:[^1-3]", "bb:2", false),
            ("bb:[^1-3]", "bb:7", true),
            ("bb:[12", "bb:1", false),
            ("b?", "bb:1", true),
            ("b\\*", "bb:1", false),
            ("bus", "busybox:1", false),
        ] {
            assert_eq!(reference_matches(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
