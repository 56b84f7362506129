//! Indexes: what a name stands for when there is an image for each of several platforms. The index is kept as it came;
//! of what it names, that which was fetched is here, and the rest is known by its descriptor only.
//!
//! ```text
//! name ─► index ─► manifest (linux/amd64) ─► an image, which is here
//!            ├───► attestation of it         kept with that image
//!            └───► manifest (linux/arm64)    not here
//! ```
//!
//! A name has a *face*, the image that it means where no platform is asked for: this machine's, or the first that is here.
//! So whoever knows nothing of indexes sees one image, as before. An index without an image is not kept.
//!
//! One that came without a name has one that nobody sees ([`nameless`]), until it gets another.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use oci::{Descriptor, Digest, Index as Document, Manifest, Platform, Reference, annotation, media_type};

use super::{Image, Images, Index};
use crate::content::Content;
use crate::error::{Error, Result};

/// Indexes in indexes, deeper than anybody has reason to nest them.
pub const INDEX_DEPTH_MAX: usize = 4;
/// In all of them together.
pub const MEMBERS_MAX: usize = 2000;

/// Of a domain that nobody has (RFC 2606).
const NAMELESS: &str = "nameless.invalid/index";

/// What keeps an index that came without a name.
pub(super) fn nameless(index: &Digest) -> Reference {
    // Both are well-formed.
    let name = Reference::parse(NAMELESS).unwrap_or_else(|_| unreachable!("a valid name"));
    name.with_digest(index.clone())
}

/// Is it such a name, which is not to be shown?
pub(super) fn is_nameless(name: &Reference) -> bool {
    name.digest().is_some() && name.name() == NAMELESS
}

/// An index that a name points to.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageIndex {
    pub digest: Digest,
    pub media_type: String,
    /// Of the document, in bytes.
    pub size: u64,
    /// In the order of the document, those of indexes within it in their places.
    pub members: Vec<Member>,
    /// Indexes within it.
    nested: Vec<Digest>,
}

/// What an index names.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub descriptor: Descriptor,
    pub kind: MemberKind,
    /// If the document is here.
    pub manifest: Option<Manifest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    Image,
    /// What is attested of an image: its manifest.
    Attestation(Digest),
    Unknown,
}

/// What a text means: an image, and the index through which it was found, if there is one.
#[derive(Debug, Clone)]
pub struct Found {
    pub image: Arc<Image>,
    pub index: Option<Arc<ImageIndex>>,
}

impl ImageIndex {
    /// From the content store.
    pub fn read(content: &Content, digest: &Digest) -> Result<ImageIndex> {
        let mut index = ImageIndex {
            digest: digest.clone(),
            media_type: media_type::OCI_INDEX.into(),
            size: content.size(digest)?,
            members: Vec::new(),
            nested: Vec::new(),
        };
        let document = parse(digest, &content.read(digest)?)?;
        if let Some(kind) = &document.media_type {
            index.media_type.clone_from(kind);
        }
        let mut seen = HashSet::from([digest.clone()]);
        index.add(content, document, 1, &mut seen)?;
        Ok(index)
    }

    fn add(
        &mut self,
        content: &Content,
        document: Document,
        depth: usize,
        seen: &mut HashSet<Digest>,
    ) -> Result<()> {
        if depth > INDEX_DEPTH_MAX {
            return Err(Error::Invalid(format!("{}: indexes are nested too deeply", self.digest)));
        }
        for descriptor in document.manifests {
            // What is named twice is there once; and an index cannot be within itself.
            if !seen.insert(descriptor.digest.clone()) {
                continue;
            }
            if self.members.len() >= MEMBERS_MAX {
                return Err(Error::Invalid(format!(
                    "{}: an index of more than {MEMBERS_MAX} manifests",
                    self.digest
                )));
            }
            let is_index = media_type::is_index(&descriptor.media_type);
            let is_known = is_index || media_type::is_manifest(&descriptor.media_type);
            // What nobody leases may go at any time.
            let bytes = match is_known.then(|| content.read(&descriptor.digest)) {
                Some(Ok(bytes)) => Some(bytes),
                Some(Err(Error::NoSuchBlob(_))) | None => None,
                Some(Err(error)) => return Err(error),
            };
            if let Some(bytes) = bytes.as_ref().filter(|_| is_index) {
                let below = parse(&descriptor.digest, bytes)?;
                self.nested.push(descriptor.digest);
                self.add(content, below, depth + 1, seen)?;
                continue;
            }
            let manifest = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let kind = kind_of(&descriptor, manifest.as_ref());
            self.members.push(Member { descriptor, kind, manifest });
        }
        Ok(())
    }

    /// Those that attest something of an image, by its manifest.
    pub fn attestations(&self, subject: &Digest) -> impl Iterator<Item = &Member> {
        let of_it =
            move |member: &&Member| matches!(&member.kind, MemberKind::Attestation(of) if of == subject);
        self.members.iter().filter(of_it)
    }

    /// The index itself, and the indexes within it that are here.
    pub fn documents(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.digest).chain(&self.nested)
    }
}

impl Member {
    /// Digest of the config: the image's id.
    pub fn image_id(&self) -> Option<&Digest> {
        (self.kind == MemberKind::Image).then_some(())?;
        self.manifest.as_ref().map(|manifest| &manifest.config.digest)
    }

    /// Its document, and the blobs that this names, as far as they are known.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let below =
            self.manifest.iter().flat_map(|manifest| manifest.layers.iter().chain([&manifest.config]));
        std::iter::once(&self.descriptor).chain(below)
    }
}

/// Parses an index, with what is wrong in its own name.
pub(super) fn parse(digest: &Digest, bytes: &[u8]) -> Result<Document> {
    serde_json::from_slice(bytes).map_err(|error| Error::Invalid(format!("index {digest}: {error}")))
}

/// What an index says that it names.
pub fn kind_of(descriptor: &Descriptor, manifest: Option<&Manifest>) -> MemberKind {
    let annotated = |key: &str| descriptor.annotations.get(key).map(String::as_str);
    if annotated(annotation::REFERENCE_TYPE) == Some(annotation::ATTESTATION)
        && let Some(of) = annotated(annotation::REFERENCE_DIGEST).and_then(|text| text.parse().ok())
    {
        return MemberKind::Attestation(of);
    }
    let unknown = descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    let other = annotated(annotation::REFERENCE_TYPE).is_some()
        || manifest.is_some_and(|manifest| !media_type::is_config(&manifest.config.media_type));
    if unknown || other || !media_type::is_manifest(&descriptor.media_type) {
        return MemberKind::Unknown;
    }
    MemberKind::Image
}

impl Index {
    /// The index that a name points to.
    pub(super) fn index_of_name(&self, name: &Reference) -> Option<Arc<ImageIndex>> {
        self.through.get(name).and_then(|digest| self.indexes.get(digest)).cloned()
    }

    /// Of the names of an image, the first that points to an index.
    pub(super) fn index_of(&self, id: &Digest) -> Option<Arc<ImageIndex>> {
        self.references.get(id)?.iter().find_map(|name| self.index_of_name(name))
    }

    /// The images of an index that are here, in its order.
    pub(super) fn images_of<'a>(
        &'a self,
        index: &'a ImageIndex,
    ) -> impl Iterator<Item = (&'a Member, &'a Arc<Image>)> {
        index.members.iter().filter_map(|member| Some((member, self.images.get(member.image_id()?)?)))
    }

    /// The image that stands for an index, once these are gone.
    pub(super) fn face(&self, index: &ImageIndex, gone: &[Digest]) -> Option<Digest> {
        let host = Platform::host();
        let left = || self.images_of(index).filter(|(_, image)| !gone.contains(&image.id));
        let fits = left().find(|(_, image)| image.config.platform().satisfies(&host));
        fits.or_else(|| left().next()).map(|(_, image)| image.id.clone())
    }

    /// Names that point to an index.
    pub(super) fn names_through(&self, index: &Digest) -> Vec<Reference> {
        self.through.iter().filter(|(_, through)| *through == index).map(|(name, _)| name.clone()).collect()
    }

    /// Is an image known only because an index names it?
    pub(super) fn is_member_only(&self, id: &Digest) -> bool {
        self.references.get(id).is_none_or(BTreeSet::is_empty)
            && self
                .indexes
                .values()
                .any(|index| index.members.iter().any(|member| member.image_id() == Some(id)))
    }

    /// An image, with those that are here only because its index names them.
    pub(super) fn family(&self, id: &Digest) -> Vec<Arc<Image>> {
        let Some(image) = self.images.get(id) else { return Vec::new() };
        let index = self.index_of(id);
        let others = index.iter().flat_map(|index| self.images_of(index)).map(|(_, image)| image);
        let others = others.filter(|other| other.id != *id && self.is_member_only(&other.id));
        std::iter::once(image).chain(others).cloned().collect()
    }

    /// Forgets indexes that no name points to any more.
    pub(super) fn forget_indexes(&mut self) {
        let through: BTreeSet<&Digest> = self.through.values().collect();
        self.indexes.retain(|digest, _| through.contains(digest));
    }

    /// Blobs that indexes keep: their documents, what is attested of images that are here, and what those consist of by the
    /// manifests of the index, which need not be those that they came with.
    pub(super) fn kept_by_indexes(&self, keep: &mut HashSet<Digest>) {
        for index in self.indexes.values() {
            keep.extend(index.documents().cloned());
            let subjects: HashSet<&Digest> =
                self.images_of(index).map(|(member, _)| &member.descriptor.digest).collect();
            for member in &index.members {
                let kept = match &member.kind {
                    MemberKind::Image => subjects.contains(&member.descriptor.digest),
                    MemberKind::Attestation(of) => subjects.contains(of),
                    MemberKind::Unknown => true,
                };
                if kept {
                    keep.extend(member.blobs().map(|blob| blob.digest.clone()));
                }
            }
        }
    }
}

impl Images {
    /// As [`Images::resolve`], with the index.
    pub fn find(&self, text: &str) -> Result<Found> {
        self.find_in(text)
    }

    /// The image for a platform; any if none is said.
    ///
    /// # Errors
    /// There is no such image, or none of it for that platform, in Docker's words.
    pub fn find_for(&self, text: &str, platform: Option<&Platform>) -> Result<Found> {
        let found = self.find(text)?;
        let Some(wanted) = platform else { return Ok(found) };
        let own = found.image.config.platform();
        let Some(index) = &found.index else {
            if own.satisfies(wanted) || (own.os.is_empty() && own.architecture.is_empty()) {
                return Ok(found);
            }
            return Err(Error::NoPlatform(format!(
                "image with reference {text} was found but its platform ({own}) does not match the specified platform ({wanted})"
            )));
        };
        match self.member_for(index, wanted) {
            Some((_, image)) => Ok(Found { image, index: found.index }),
            None => Err(Error::NoPlatform(format!(
                "image with reference {text} was found but does not provide the specified platform ({wanted})"
            ))),
        }
    }

    /// The image of an index for a platform that is here.
    pub fn member_for(&self, index: &ImageIndex, wanted: &Platform) -> Option<(Member, Arc<Image>)> {
        let inner = self.read();
        let mut here = inner.images_of(index);
        let found = here.find(|(_, image)| image.config.platform().satisfies(wanted));
        found.map(|(member, image)| (member.clone(), image.clone()))
    }

    /// The image that stands for an index, if any of it is here.
    pub(super) fn face_of(&self, index: &ImageIndex) -> Option<Digest> {
        self.read().face(index, &[])
    }

    /// All images of an index that are here.
    pub fn members_of(&self, index: &ImageIndex) -> Vec<(Member, Arc<Image>)> {
        let inner = self.read();
        inner.images_of(index).map(|(member, image)| (member.clone(), image.clone())).collect()
    }

    /// The index that a name points to.
    pub fn index_of_name(&self, name: &Reference) -> Option<Arc<ImageIndex>> {
        self.read().index_of_name(&name.clone().or_latest())
    }

    /// The index whose face an image is, by the first of its names that has one.
    pub fn index_of(&self, id: &Digest) -> Option<Arc<ImageIndex>> {
        self.read().index_of(id)
    }

    /// Is an image there only as a part of one for several platforms? Then it is shown with that.
    pub fn is_member_only(&self, id: &Digest) -> bool {
        self.read().is_member_only(id)
    }

    /// Is all here that a member consists of?
    pub fn is_available(&self, member: &Member) -> bool {
        member.manifest.is_some()
            && member.blobs().all(|blob| self.content.contains(&blob.digest))
            && member.image_id().is_none_or(|id| self.get(id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::lease::{Lease, Leases};

    fn store() -> (tempfile::TempDir, Content, Lease) {
        let directory = tempfile::tempdir().unwrap();
        let leases = Leases::default();
        let lease = leases.begin();
        let content = Content::open(&Layout::new(directory.path()), leases).unwrap();
        (directory, content, lease)
    }

    fn index(members: &[(&str, &Digest)]) -> Vec<u8> {
        let members: Vec<_> = members
            .iter()
            .map(|(kind, digest)| serde_json::json!({"mediaType": kind, "digest": digest, "size": 1}))
            .collect();
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": members})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn indexes_within_are_read_once_and_not_for_ever() {
        let (_directory, content, lease) = store();
        let leaf = Digest::of(b"a manifest that is not here");
        let mut inner = content.put(&lease, &index(&[(media_type::OCI_MANIFEST, &leaf)])).unwrap();
        // Twice at each depth, that is 2^n paths to one leaf.
        for depth in 2..=INDEX_DEPTH_MAX + 1 {
            let twice = [(media_type::OCI_INDEX, &inner), (media_type::OCI_INDEX, &inner)];
            let outer = content.put(&lease, &index(&twice)).unwrap();
            let read = ImageIndex::read(&content, &outer);
            if depth <= INDEX_DEPTH_MAX {
                let read = read.unwrap();
                assert_eq!(read.members.len(), 1);
                assert_eq!(read.documents().count(), depth);
            } else {
                assert!(read.unwrap_err().to_string().contains("nested too deeply"));
            }
            inner = outer;
        }
    }

    #[test]
    fn an_index_may_not_be_longer_than_anybody_needs() {
        let (_directory, content, lease) = store();
        let digests: Vec<Digest> = (0..=MEMBERS_MAX).map(|n| Digest::of(n.to_string().as_bytes())).collect();
        let members: Vec<_> = digests.iter().map(|digest| (media_type::OCI_MANIFEST, digest)).collect();
        let long = content.put(&lease, &index(&members)).unwrap();
        assert!(
            ImageIndex::read(&content, &long).unwrap_err().to_string().contains("more than 2000 manifests")
        );
        let enough = content.put(&lease, &index(&members[1..])).unwrap();
        assert_eq!(ImageIndex::read(&content, &enough).unwrap().members.len(), MEMBERS_MAX);
    }

    #[test]
    fn what_is_named_has_a_kind() {
        let (image, other) = (Digest::of(b"image"), Digest::of(b"other"));
        let mut descriptor = Descriptor::new(media_type::OCI_MANIFEST, other.clone(), 1);
        assert_eq!(kind_of(&descriptor, None), MemberKind::Image);
        descriptor.platform = Some(Platform::new("unknown", "unknown"));
        assert_eq!(kind_of(&descriptor, None), MemberKind::Unknown);
        let annotate = |descriptor: &mut Descriptor, key: &str, value: &str| {
            descriptor.annotations.insert(key.into(), value.into());
        };
        annotate(&mut descriptor, annotation::REFERENCE_TYPE, annotation::ATTESTATION);
        assert_eq!(kind_of(&descriptor, None), MemberKind::Unknown);
        annotate(&mut descriptor, annotation::REFERENCE_DIGEST, image.as_str());
        assert_eq!(kind_of(&descriptor, None), MemberKind::Attestation(image));
        let chart = Descriptor::new("application/vnd.cncf.helm.config.v1+json", other, 1);
        assert_eq!(kind_of(&chart, None), MemberKind::Unknown);
    }
}
