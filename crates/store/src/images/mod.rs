//! Images: an id (the digest of the config, as with Docker's classic store), its config, manifest and
//! layers, and the names that point to it.
//!
//! All of it is in memory; records and documents are read once, at start. The index's lock is held for
//! look-ups and for the commit of a change, so that memory and disk agree.

mod arrive;
mod changes;
mod collect;
mod commit;
mod delete;
mod garbage;
mod import;
mod load;
mod platforms;
mod resolve;
mod save;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use oci::{Descriptor, Digest, ImageConfig, Manifest, Reference, media_type};
use serde::{Deserialize, Serialize};

pub use self::arrive::Arrived;
pub use self::changes::apply as apply_changes;
pub use self::commit::CommitOptions;
pub use self::delete::{Deleted, ImageUse, InUse};
pub use self::garbage::Garbage;
pub use self::import::ImportOptions;
pub use self::load::{LoadEvent, Progress};
pub use self::platforms::{Found, INDEX_DEPTH_MAX, ImageIndex, MEMBERS_MAX, Member, MemberKind, kind_of};

use crate::content::Content;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::records::{Batch, Durability, Record, Records};
use crate::snapshots::Snapshots;

/// An image, as it was when it was looked up.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the config.
    pub id: Digest,
    pub config: ImageConfig,
    /// Digest of the manifest, which is in the content store.
    pub manifest: Digest,
    /// Lowest first.
    pub layers: Vec<ImageLayer>,
    /// Bytes of all layers, unpacked.
    pub size: u64,
    /// The image it was committed or built from here, if any.
    pub parent: Option<Digest>,
    /// When it came into this store, RFC 3339.
    pub imported: String,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageLayer {
    /// The blob, as it came.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Identifies the layer together with all below it.
    pub chain_id: Digest,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ImageRecord {
    manifest: Digest,
    layers: Vec<Descriptor>,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<Digest>,
    imported: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_tagged: Option<String>,
    /// By a container, as far as it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used: Option<jiff::Timestamp>,
}

impl Record for ImageRecord {
    const NAMESPACE: &'static str = "images";
    const VERSION: u32 = 1;
}

/// Key: the canonical reference, with tag or digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct NameRecord {
    /// With an index: its face.
    image: Digest,
    // Older engines neither write nor see it: to them the name is one of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<Digest>,
}

impl Record for NameRecord {
    const NAMESPACE: &'static str = "names";
    const VERSION: u32 = 1;
}

#[derive(Debug, Default)]
struct Index {
    images: BTreeMap<Digest, Arc<Image>>,
    names: BTreeMap<Reference, Digest>,
    /// The indexes that names point to; those images are their faces.
    through: BTreeMap<Reference, Digest>,
    indexes: HashMap<Digest, Arc<ImageIndex>>,
    /// The names of each image.
    references: HashMap<Digest, BTreeSet<Reference>>,
    last_tagged: HashMap<Digest, String>,
}

impl Index {
    fn insert_name(&mut self, name: Reference, id: Digest, index: Option<&Digest>) {
        match index {
            Some(index) => _ = self.through.insert(name.clone(), index.clone()),
            None => _ = self.through.remove(&name),
        }
        if let Some(previous) = self.names.insert(name.clone(), id.clone())
            && previous != id
            && let Some(names) = self.references.get_mut(&previous)
        {
            names.remove(&name);
        }
        self.references.entry(id).or_default().insert(name);
    }

    fn remove_name(&mut self, name: &Reference) {
        self.through.remove(name);
        if let Some(id) = self.names.remove(name)
            && let Some(names) = self.references.get_mut(&id)
        {
            names.remove(name);
        }
    }

    fn names_of(&self, id: &Digest) -> Vec<Reference> {
        self.references.get(id).map(|names| names.iter().cloned().collect()).unwrap_or_default()
    }
}

/// The images of one store.
#[derive(Debug)]
pub struct Images {
    records: Arc<Records>,
    content: Arc<Content>,
    snapshots: Arc<Snapshots>,
    index: RwLock<Index>,
    // When containers were made from images last. A look or an insertion, with no other lock.
    uses: Mutex<HashMap<Digest, Use>>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: jiff::Timestamp,
    is_written: bool,
}

impl Images {
    pub(crate) fn open(
        records: Arc<Records>,
        content: Arc<Content>,
        snapshots: Arc<Snapshots>,
        warnings: &mut Vec<String>,
    ) -> Result<Images> {
        let mut index = Index::default();
        let mut uses = HashMap::new();
        for (key, record) in records.list::<ImageRecord>()? {
            let image = record.and_then(|record| {
                let id = key.parse::<Digest>().map_err(|error| Error::Invalid(error.to_string()))?;
                Ok((Image::new(id.clone(), &content.read(&id)?, &record)?, record))
            });
            match image {
                Ok((image, record)) => {
                    if let Some(time) = record.last_used {
                        uses.insert(image.id.clone(), Use { at: time, is_written: true });
                    }
                    if let Some(time) = record.last_tagged {
                        index.last_tagged.insert(image.id.clone(), time);
                    }
                    index.images.insert(image.id.clone(), Arc::new(image));
                }
                Err(error) => warnings.push(format!("image {key} is damaged and not shown: {error}")),
            }
        }
        for (key, record) in records.list::<NameRecord>()? {
            match (Reference::parse(&key), record) {
                (Ok(name), Ok(record)) if index.images.contains_key(&record.image) => {
                    let known = record.index.as_ref().is_none_or(|digest| index.indexes.contains_key(digest));
                    if !known && let Some(digest) = &record.index {
                        // Without it the name is still one of the image.
                        match ImageIndex::read(&content, digest) {
                            Ok(read) => _ = index.indexes.insert(digest.clone(), Arc::new(read)),
                            Err(error) => warnings.push(format!("index of {key} is damaged: {error}")),
                        }
                    }
                    let through = record.index.filter(|digest| index.indexes.contains_key(digest));
                    index.insert_name(name, record.image, through.as_ref());
                }
                (_, Err(error)) => warnings.push(format!("name {key} is damaged: {error}")),
                _ => warnings.push(format!("name {key} points to no image")),
            }
        }
        Ok(Images { records, content, snapshots, index: RwLock::new(index), uses: Mutex::new(uses) })
    }

    /// All images, by id.
    pub fn list(&self) -> Vec<Arc<Image>> {
        self.read().images.values().cloned().collect()
    }

    pub fn get(&self, id: &Digest) -> Option<Arc<Image>> {
        self.read().images.get(id).cloned()
    }

    /// All names of an image that are to be seen, with tag or digest, sorted.
    pub fn names(&self, id: &Digest) -> Vec<Reference> {
        let mut names = self.all_names(id);
        names.retain(|name| !platforms::is_nameless(name));
        names
    }

    fn all_names(&self, id: &Digest) -> Vec<Reference> {
        self.read().names_of(id)
    }

    /// When a name was last given to it here, RFC 3339.
    pub fn last_tagged(&self, id: &Digest) -> Option<String> {
        self.read().last_tagged.get(id).cloned()
    }

    /// The images that name this one as their parent.
    pub fn children(&self, id: &Digest) -> Vec<Arc<Image>> {
        self.read().images.values().filter(|image| image.parent.as_ref() == Some(id)).cloned().collect()
    }

    /// Gives an image one more name; one that another image had is taken from it.
    /// A name without tag and digest means `latest`.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        self.tag_through(id, None, name)
    }

    /// As [`Images::tag`], for an index with the image that is its face.
    pub fn tag_through(&self, id: &Digest, through: Option<&Digest>, name: &Reference) -> Result<()> {
        let name = name.clone().or_latest();
        let mut index = self.write();
        if !index.images.contains_key(id) {
            return Err(Error::NoSuchImage(id.to_string()));
        }
        if let Some(digest) = through.filter(|digest| !index.indexes.contains_key(digest)) {
            return Err(Error::NoSuchImage(digest.to_string()));
        }
        let now = jiff::Timestamp::now().to_string();
        let mut batch = Batch::new();
        batch.put(&name.to_string(), &NameRecord { image: id.clone(), index: through.cloned() })?;
        if let Some(mut record) = self.records.get::<ImageRecord>(id.as_str())? {
            record.last_tagged = Some(now.clone());
            batch.put(id.as_str(), &record)?;
        }
        let obsolete = through.map(platforms::nameless);
        if let Some(obsolete) = &obsolete {
            batch.delete::<NameRecord>(&obsolete.to_string());
        }
        self.records.commit(batch, Durability::Full)?;
        index.last_tagged.insert(id.clone(), now);
        index.insert_name(name, id.clone(), through);
        if let Some(obsolete) = &obsolete {
            index.remove_name(obsolete);
        }
        index.forget_indexes();
        Ok(())
    }

    /// Records an image whose config, manifest and layers are in the content store, and its names.
    /// An image that is there already only gets the names.
    pub(crate) fn insert(
        &self,
        lease: &Lease,
        config: &Digest,
        manifest: &Digest,
        parent: Option<Digest>,
        names: &[Reference],
    ) -> Result<Arc<Image>> {
        self.insert_through(lease, config, manifest, parent, names, None)
    }

    /// As [`Images::insert`], where the names are those of an index that is in the content store. They get its face, which
    /// need not be this image; other names of the index get it, too.
    pub(crate) fn insert_through(
        &self,
        _lease: &Lease,
        config: &Digest,
        manifest: &Digest,
        parent: Option<Digest>,
        names: &[Reference],
        through: Option<&Digest>,
    ) -> Result<Arc<Image>> {
        let names: Vec<Reference> = names.iter().map(|name| name.clone().or_latest()).collect();
        let now = jiff::Timestamp::now().to_string();
        let mut image = self.preview(config, manifest)?;
        image.parent = parent;
        image.imported.clone_from(&now);
        image.size = image
            .layers
            .iter()
            .filter_map(|layer| self.snapshots.get(&layer.chain_id))
            .map(|layer| layer.size)
            .sum();
        let record = ImageRecord {
            manifest: manifest.clone(),
            layers: image.layers.iter().map(|layer| layer.descriptor.clone()).collect(),
            size: image.size,
            parent: image.parent.clone(),
            imported: now.clone(),
            last_tagged: (!names.is_empty()).then(|| now.clone()),
            last_used: None,
        };
        let mut index = self.write();
        // Of its documents, what has come since it was read last. Under the lock: others bring in other parts of it.
        let through = through.map(|digest| ImageIndex::read(&self.content, digest)).transpose()?;
        let mut batch = Batch::new();
        let known = index.images.get(config).cloned();
        let is_new = known.is_none();
        match &known {
            None => batch.put(config.as_str(), &record)?,
            Some(_) if names.is_empty() => {}
            Some(_) => {
                if let Some(mut record) = self.records.get::<ImageRecord>(config.as_str())? {
                    record.last_tagged = Some(now.clone());
                    batch.put(config.as_str(), &record)?;
                }
            }
        }
        let image = known.unwrap_or_else(|| Arc::new(image));
        index.images.insert(config.clone(), image.clone());
        let mut names = names;
        // What has a name needs none that nobody sees.
        let obsolete =
            through.as_ref().map(|through| platforms::nameless(&through.digest)).filter(|nameless| {
                let known = through.iter().flat_map(|through| index.names_through(&through.digest));
                names.iter().cloned().chain(known).any(|name| name != *nameless)
            });
        names.retain(|name| Some(name) != obsolete.as_ref());
        let mut faced = names.clone();
        let mut face = config.clone();
        if let Some(through) = &through {
            face = index.face(through, &[]).unwrap_or(face);
            let others = index.names_through(&through.digest).into_iter();
            let others = others.filter(|name| !names.contains(name) && Some(name) != obsolete.as_ref());
            faced.extend(others.filter(|name| index.names.get(name) != Some(&face)));
        }
        let digest = through.as_ref().map(|through| &through.digest);
        if let Some(obsolete) = &obsolete {
            batch.delete::<NameRecord>(&obsolete.to_string());
        }
        let put = |name: &Reference| {
            batch.put(&name.to_string(), &NameRecord { image: face.clone(), index: digest.cloned() })
        };
        let committed =
            faced.iter().try_for_each(put).and_then(|()| self.records.commit(batch, Durability::Full));
        if let Err(error) = committed {
            if is_new {
                index.images.remove(config);
            }
            return Err(error);
        }
        for name in &faced {
            index.insert_name(name.clone(), face.clone(), digest);
        }
        if let Some(obsolete) = &obsolete {
            index.remove_name(obsolete);
        }
        if !names.is_empty() {
            index.last_tagged.insert(config.clone(), now);
        }
        if let Some(through) = through {
            index.indexes.insert(through.digest.clone(), Arc::new(through));
        }
        index.forget_indexes();
        Ok(image)
    }

    /// An image from its documents, before it is recorded.
    fn preview(&self, config: &Digest, manifest: &Digest) -> Result<Image> {
        let bytes = self.content.read(manifest)?;
        let document: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Invalid(format!("manifest {manifest}: {error}")))?;
        for blob in std::iter::once(&document.config).chain(&document.layers) {
            self.content.check_size(blob)?;
        }
        let record = ImageRecord {
            manifest: manifest.clone(),
            layers: document.layers,
            size: 0,
            parent: None,
            imported: String::new(),
            last_tagged: None,
            last_used: None,
        };
        Image::new(config.clone(), &self.content.read(config)?, &record)
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Image {
    fn new(id: Digest, config: &[u8], record: &ImageRecord) -> Result<Image> {
        let config: ImageConfig = serde_json::from_slice(config)
            .map_err(|error| Error::Invalid(format!("image config {id}: {error}")))?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != record.layers.len() {
            return Err(Error::Invalid(format!(
                "invalid manifest, layers length mismatch: expected {}, got {}",
                diff_ids.len(),
                record.layers.len()
            )));
        }
        let layers = record
            .layers
            .iter()
            .zip(diff_ids)
            .zip(oci::chain_ids(diff_ids))
            .map(|((descriptor, diff_id), chain_id)| ImageLayer {
                descriptor: descriptor.clone(),
                diff_id: diff_id.clone(),
                chain_id,
            })
            .collect();
        Ok(Image {
            id,
            config,
            manifest: record.manifest.clone(),
            layers,
            size: record.size,
            parent: record.parent.clone(),
            imported: record.imported.clone(),
        })
    }

    /// Media type of the manifest: images of before OCI keep theirs.
    pub fn manifest_type(&self) -> &'static str {
        match self.layers.first() {
            Some(layer) if layer.descriptor.media_type.starts_with("application/vnd.docker.") => {
                media_type::DOCKER_MANIFEST
            }
            _ => media_type::OCI_MANIFEST,
        }
    }

    /// When it was made, RFC 3339, as its config says.
    pub fn created(&self) -> Option<&str> {
        self.config.created.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Engines of before indexes wrote names without one.
    #[test]
    fn names_of_earlier_engines_are_read_and_written_as_they_were() {
        let text = format!(r#"{{"image":"{}"}}"#, Digest::of(b"config"));
        let record: NameRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(record.index, None);
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }
}
