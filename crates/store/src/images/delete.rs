//! `docker rmi`: untag, and delete what nothing names or uses any more. Rules and texts are Docker's.

use std::collections::HashSet;

use oci::{Digest, Platform, Reference};

use super::platforms::is_nameless;
use super::{ImageRecord, Images, Index, Member, NameRecord};
use crate::error::{Error, Result};
use crate::records::{Batch, Durability};

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// A name, in its familiar form.
    Untagged(String),
    /// An image, by its id.
    Image(Digest),
    /// A layer that nothing needs any more, by its chain id.
    Layer(Digest),
}

/// A container that was made from an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    pub container: String,
    pub running: bool,
}

/// Asks the engine which containers use an image.
pub type InUse<'a> = &'a dyn Fn(&Digest) -> Vec<ImageUse>;

/// Why an image must stay.
struct Obstacle {
    /// Not even with force.
    hard: bool,
    /// A container uses it.
    used: bool,
    message: String,
}

impl Images {
    /// Removes a name, or an image given by its id, with all names if `force` allows it.
    /// `prune` also deletes parents that are left without name and child. Names and images go in one commit.
    pub fn delete(&self, text: &str, force: bool, prune: bool, in_use: InUse<'_>) -> Result<Vec<Deleted>> {
        let image = self.resolve(text)?;
        let id = &image.id;
        let names = self.all_names(id);
        // The digest of a manifest or an index stands for the image as its id does.
        if is_id_prefix(id, text) || text.parse::<Digest>().is_ok() {
            if is_single(&names)
                && let Some(obstacle) = self.obstacle(id, !force, false, &self.users(id, in_use))
            {
                return Err(conflict(id, &obstacle));
            }
            let last = if is_single(&names) { names } else { Vec::new() };
            return self.delete_image(id, force, prune, last, false, in_use);
        }
        if !force
            && is_single(&names)
            && let Some(user) = self.users(id, in_use).first()
        {
            return Err(Error::Conflict(format!(
                "unable to remove repository reference \"{text}\" (must force) - container {} is using its referenced image {}",
                short(&user.container),
                id.short()
            )));
        }
        let name = Reference::parse(text)?.or_latest();
        let name = match name.digest() {
            Some(digest) => name.with_digest(digest.clone()),
            None => name,
        };
        let mut left: Vec<_> = names.into_iter().filter(|other| *other != name).collect();
        let mut last = vec![name.clone()];
        let is_tagged = |other: &Reference| other.tag().is_some() && other.name() == name.name();
        if name.digest().is_none() && !left.iter().any(is_tagged) {
            // Digests of a repository are of no use without a tag of it.
            let (orphans, others) = left.into_iter().partition(|other| other.name() == name.name());
            last.extend::<Vec<_>>(orphans);
            left = others;
        }
        match left.is_empty() {
            true => self.delete_image(id, force, prune, last, true, in_use),
            false => self.untag(last, in_use),
        }
    }

    /// Removes an image's parts for some platforms. The others stay under its names; without others they go, too.
    pub fn delete_platforms(
        &self,
        text: &str,
        platforms: &[Platform],
        force: bool,
        prune: bool,
        in_use: InUse<'_>,
    ) -> Result<Vec<Deleted>> {
        let mut doomed: Vec<Digest> = Vec::new();
        let mut through = None;
        for platform in platforms {
            let found = self.find_for(text, Some(platform))?;
            through = found.index;
            if !doomed.contains(&found.image.id) {
                doomed.push(found.image.id.clone());
            }
        }
        let all = through.as_ref().map(|index| self.members_of(index)).unwrap_or_default();
        if all.iter().all(|(_, image)| doomed.contains(&image.id)) {
            return self.delete(text, force, prune, in_use);
        }
        for id in &doomed {
            if let Some(obstacle) = self.obstacle(id, !force, false, &in_use(id)) {
                return Err(conflict(id, &obstacle));
            }
        }
        let mut index = self.write();
        let mut batch = Batch::new();
        let mut faces: Vec<(Reference, Digest, Digest)> = Vec::new();
        for id in &doomed {
            batch.delete::<ImageRecord>(id.as_str());
            for name in index.names_of(id) {
                let index_of_it = index.index_of_name(&name);
                let face = index_of_it.and_then(|of| Some((index.face(&of, &doomed)?, of.digest.clone())));
                let Some((face, of)) = face else {
                    return Err(Error::Conflict(format!(
                        "unable to delete {} (cannot be forced) - image is referenced by {} as well",
                        id.short(),
                        name.familiar()
                    )));
                };
                batch.put(&name.to_string(), &NameRecord { image: face.clone(), index: Some(of.clone()) })?;
                faces.push((name, face, of));
            }
        }
        self.records.commit(batch, Durability::Full)?;
        for (name, face, of) in faces {
            index.insert_name(name, face, Some(&of));
        }
        for id in &doomed {
            index.images.remove(id);
            index.references.remove(id);
            index.last_tagged.remove(id);
        }
        drop(index);
        let mut report: Vec<Deleted> = doomed.into_iter().map(Deleted::Image).collect();
        report.extend(self.tidy().into_iter().map(Deleted::Layer));
        Ok(report)
    }

    /// The containers that use an image, or what goes with it.
    fn users(&self, id: &Digest, in_use: InUse<'_>) -> Vec<ImageUse> {
        let index = self.index_of(id);
        let others = index.iter().flat_map(|index| self.members_of(index));
        let others = others.filter(|(_, image)| image.id != *id && self.is_member_only(&image.id));
        in_use(id).into_iter().chain(others.flat_map(|(_, image)| in_use(&image.id))).collect()
    }

    /// `last`: names that go in any case. `quiet`: one of them is what was asked for, so that an obstacle is no error
    /// unless the image dangles.
    fn delete_image(
        &self,
        id: &Digest,
        force: bool,
        prune: bool,
        last: Vec<Reference>,
        quiet: bool,
        in_use: InUse<'_>,
    ) -> Result<Vec<Deleted>> {
        let Some(image) = self.get(id) else { return self.untag(last, in_use) };
        let names = self.all_names(id);
        let named = names.iter().any(|name| !last.contains(name));
        if let Some(obstacle) = self.obstacle(id, !force, !force && named, &self.users(id, in_use)) {
            let dangling = !named && self.children(id).is_empty();
            let report = self.untag(last, in_use)?;
            return match quiet && (!dangling || obstacle.used) {
                true => Ok(report),
                false => Err(conflict(id, &obstacle)),
            };
        }
        let mut doomed = vec![id.clone()];
        let mut parent = image.parent.clone().filter(|_| prune);
        while let Some(next) = parent.and_then(|id| self.get(&id)) {
            let childless = self.children(&next.id).iter().all(|child| doomed.contains(&child.id));
            if !childless || !self.all_names(&next.id).is_empty() || !in_use(&next.id).is_empty() {
                break;
            }
            doomed.push(next.id.clone());
            parent = next.parent.clone();
        }
        let mut gone = last;
        gone.extend(names.into_iter().filter(|name| !gone.contains(name)).collect::<Vec<_>>());
        let mut report = self.commit(gone, doomed, in_use)?;
        report.extend(self.tidy().into_iter().map(Deleted::Layer));
        Ok(report)
    }

    /// Only names; but with the last one of an index goes what was here for its sake.
    fn untag(&self, names: Vec<Reference>, in_use: InUse<'_>) -> Result<Vec<Deleted>> {
        let mut report = self.commit(names, Vec::new(), in_use)?;
        if report.iter().any(|line| matches!(line, Deleted::Image(_))) {
            report.extend(self.tidy().into_iter().map(Deleted::Layer));
        }
        Ok(report)
    }

    /// All of it, or nothing.
    fn commit(&self, names: Vec<Reference>, images: Vec<Digest>, in_use: InUse<'_>) -> Result<Vec<Deleted>> {
        self.commit_if(names, images, in_use, |_| true)
    }

    /// As [`Images::commit`], if that is right in the moment in which it is done.
    pub(super) fn commit_if(
        &self,
        names: Vec<Reference>,
        images: Vec<Digest>,
        in_use: InUse<'_>,
        is_right: impl FnOnce(&Index) -> bool,
    ) -> Result<Vec<Deleted>> {
        let mut index = self.write();
        if !is_right(&index) {
            return Ok(Vec::new());
        }
        let mut names = names;
        for id in &images {
            // A name that was given in the meantime goes with it.
            names.extend(
                index.names_of(id).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>(),
            );
        }
        if names.is_empty() && images.is_empty() {
            return Ok(Vec::new());
        }
        let orphans = orphans(&index, &names, &images, in_use);
        let images: Vec<Digest> = images.into_iter().chain(orphans).collect();
        let mut batch = Batch::new();
        for name in &names {
            batch.delete::<NameRecord>(&name.to_string());
        }
        for id in &images {
            batch.delete::<ImageRecord>(id.as_str());
        }
        self.records.commit(batch, Durability::Full)?;
        for name in &names {
            index.remove_name(name);
        }
        index.forget_indexes();
        for id in &images {
            index.images.remove(id);
            index.references.remove(id);
            index.last_tagged.remove(id);
            self.uses.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id);
        }
        let shown = names.iter().filter(|name| !is_nameless(name));
        let untagged = shown.map(|name| Deleted::Untagged(name.familiar()));
        Ok(untagged.chain(images.into_iter().map(Deleted::Image)).collect())
    }

    fn obstacle(
        &self,
        id: &Digest,
        stopped_counts: bool,
        names_count: bool,
        users: &[ImageUse],
    ) -> Option<Obstacle> {
        if !self.children(id).is_empty() {
            let message = "image has dependent child images".into();
            return Some(Obstacle { hard: true, used: false, message });
        }
        if let Some(user) = users.iter().find(|user| user.running) {
            let message = format!("image is being used by running container {}", short(&user.container));
            return Some(Obstacle { hard: true, used: true, message });
        }
        if names_count && !self.all_names(id).is_empty() {
            let message = "image is referenced in multiple repositories".into();
            return Some(Obstacle { hard: false, used: false, message });
        }
        if stopped_counts && let Some(user) = users.first() {
            let message = format!("image is being used by stopped container {}", short(&user.container));
            return Some(Obstacle { hard: false, used: true, message });
        }
        None
    }
}

/// Images that were here as parts of indexes that lose their last name, and that nothing else needs.
fn orphans(index: &Index, names: &[Reference], images: &[Digest], in_use: InUse<'_>) -> Vec<Digest> {
    let stays = |digest: &Digest| index.names_through(digest).iter().any(|name| !names.contains(name));
    let (kept, lost): (Vec<_>, Vec<_>) = index.indexes.values().partition(|of| stays(&of.digest));
    let kept: HashSet<&Digest> =
        kept.into_iter().flat_map(|of| of.members.iter()).filter_map(Member::image_id).collect();
    let mut orphans: Vec<Digest> = Vec::new();
    for (_, image) in lost.into_iter().flat_map(|of| index.images_of(of)) {
        let id = &image.id;
        let is_named = index.references.get(id).is_some_and(|of| of.iter().any(|name| !names.contains(name)));
        // The face is asked for by whoever asks; it is no orphan.
        let is_face = index.references.get(id).is_some_and(|of| !of.is_empty());
        let is_parent = index.images.values().any(|other| other.parent.as_ref() == Some(id));
        let is_known = images.contains(id) || orphans.contains(id) || kept.contains(id);
        if !(is_named || is_face || is_parent || is_known) && in_use(id).is_empty() {
            orphans.push(id.clone());
        }
    }
    orphans
}

fn conflict(id: &Digest, obstacle: &Obstacle) -> Error {
    let force = if obstacle.hard { "cannot be forced" } else { "must be forced" };
    Error::Conflict(format!("unable to delete {} ({force}) - {}", id.short(), obstacle.message))
}

/// At most one tag, and digests of that repository only.
fn is_single(names: &[Reference]) -> bool {
    let tags = names.iter().filter(|name| name.tag().is_some()).count();
    tags <= 1 && names.windows(2).all(|pair| pair[0].name() == pair[1].name())
}

fn is_id_prefix(id: &Digest, text: &str) -> bool {
    id.as_str().starts_with(text) || id.hex().starts_with(text)
}

fn short(container: &str) -> &str {
    container.get(..12).unwrap_or(container)
}
