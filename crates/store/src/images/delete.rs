//! `docker rmi`: untag, and delete what nothing names or uses any more. Rules and texts are Docker's.

use oci::{Digest, Reference};

use super::{ImageRecord, Images, NameRecord};
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
        let names = self.names(id);
        if is_id_prefix(id, text) {
            if is_single(&names)
                && let Some(obstacle) = self.obstacle(id, !force, false, in_use)
            {
                return Err(conflict(id, &obstacle));
            }
            let last = if is_single(&names) { names } else { Vec::new() };
            return self.delete_image(id, force, prune, last, false, in_use);
        }
        if !force
            && is_single(&names)
            && let Some(user) = in_use(id).first()
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
            false => self.commit(last, Vec::new()),
        }
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
        let Some(image) = self.get(id) else { return self.commit(last, Vec::new()) };
        let names = self.names(id);
        let named = names.iter().any(|name| !last.contains(name));
        if let Some(obstacle) = self.obstacle(id, !force, !force && named, in_use) {
            let dangling = !named && self.children(id).is_empty();
            let report = self.commit(last, Vec::new())?;
            return match quiet && (!dangling || obstacle.used) {
                true => Ok(report),
                false => Err(conflict(id, &obstacle)),
            };
        }
        let mut doomed = vec![id.clone()];
        let mut parent = image.parent.clone().filter(|_| prune);
        while let Some(next) = parent.and_then(|id| self.get(&id)) {
            let childless = self.children(&next.id).iter().all(|child| doomed.contains(&child.id));
            if !childless || !self.names(&next.id).is_empty() || !in_use(&next.id).is_empty() {
                break;
            }
            doomed.push(next.id.clone());
            parent = next.parent.clone();
        }
        let mut gone = last;
        gone.extend(names.into_iter().filter(|name| !gone.contains(name)).collect::<Vec<_>>());
        let mut report = self.commit(gone, doomed)?;
        report.extend(self.tidy().into_iter().map(Deleted::Layer));
        Ok(report)
    }

    /// All of it, or nothing.
    fn commit(&self, names: Vec<Reference>, images: Vec<Digest>) -> Result<Vec<Deleted>> {
        let mut index = self.write();
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
        for id in &images {
            index.images.remove(id);
            index.references.remove(id);
            index.last_tagged.remove(id);
        }
        let untagged = names.iter().map(|name| Deleted::Untagged(name.familiar()));
        Ok(untagged.chain(images.into_iter().map(Deleted::Image)).collect())
    }

    fn obstacle(
        &self,
        id: &Digest,
        stopped_counts: bool,
        names_count: bool,
        in_use: InUse<'_>,
    ) -> Option<Obstacle> {
        let users = in_use(id);
        if !self.children(id).is_empty() {
            let message = "image has dependent child images".into();
            return Some(Obstacle { hard: true, used: false, message });
        }
        if let Some(user) = users.iter().find(|user| user.running) {
            let message = format!("image is being used by running container {}", short(&user.container));
            return Some(Obstacle { hard: true, used: true, message });
        }
        if names_count && !self.names(id).is_empty() {
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
