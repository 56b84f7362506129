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
    /// `prune` also deletes parents that are left without name and child.
    pub fn delete(&self, text: &str, force: bool, prune: bool, in_use: InUse<'_>) -> Result<Vec<Deleted>> {
        let image = self.resolve(text)?;
        let id = &image.id;
        let mut report = Vec::new();
        let names = self.names(id);
        let mut removed_a_name = false;
        if is_id_prefix(id, text) {
            if is_single(&names) {
                if let Some(obstacle) = self.obstacle(id, !force, false, in_use) {
                    return Err(conflict(id, &obstacle));
                }
                self.untag(&names, &mut report)?;
            }
        } else {
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
            self.untag(std::slice::from_ref(&name), &mut report)?;
            let mut left = self.names(id);
            if name.digest().is_none()
                && !left.iter().any(|other| other.tag().is_some() && other.name() == name.name())
            {
                // Digests of a repository are of no use without a tag of it.
                let (orphans, others): (Vec<_>, Vec<_>) =
                    left.into_iter().partition(|other| other.name() == name.name());
                self.untag(&orphans, &mut report)?;
                left = others;
            }
            if !left.is_empty() {
                return Ok(report);
            }
            removed_a_name = true;
        }
        self.delete_image(id, force, prune, removed_a_name, in_use, &mut report)?;
        Ok(report)
    }

    /// `quiet`: a name was removed already, so that an obstacle is no error unless the image dangles.
    fn delete_image(
        &self,
        id: &Digest,
        force: bool,
        prune: bool,
        quiet: bool,
        in_use: InUse<'_>,
        report: &mut Vec<Deleted>,
    ) -> Result<()> {
        let Some(image) = self.get(id) else { return Ok(()) };
        if let Some(obstacle) = self.obstacle(id, !force, !force, in_use) {
            let dangling = self.names(id).is_empty() && self.children(id).is_empty();
            if quiet && (!dangling || obstacle.used) {
                return Ok(());
            }
            return Err(conflict(id, &obstacle));
        }
        self.untag(&self.names(id), report)?;
        {
            let mut index = self.write();
            let mut batch = Batch::new();
            batch.delete::<ImageRecord>(id.as_str());
            // A name that was given in the meantime goes with it.
            for name in index.names_of(id) {
                batch.delete::<NameRecord>(&name.to_string());
                index.remove_name(&name);
                report.push(Deleted::Untagged(name.familiar()));
            }
            self.records.commit(batch, Durability::Full)?;
            index.images.remove(id);
            index.references.remove(id);
            index.last_tagged.remove(id);
        }
        report.push(Deleted::Image(id.clone()));
        report.extend(self.collect()?.into_iter().map(Deleted::Layer));
        match &image.parent {
            Some(parent) if prune && self.names(parent).is_empty() => {
                self.delete_image(parent, false, true, true, in_use, report)
            }
            _ => Ok(()),
        }
    }

    fn untag(&self, names: &[Reference], report: &mut Vec<Deleted>) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let mut index = self.write();
        let mut batch = Batch::new();
        for name in names {
            batch.delete::<NameRecord>(&name.to_string());
        }
        self.records.commit(batch, Durability::Full)?;
        for name in names {
            index.remove_name(name);
            report.push(Deleted::Untagged(name.familiar()));
        }
        Ok(())
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
