//! Images that may go when space is wanted: which, in what order, and how much each gives back. The plan is a pure function of
//! what there is; what it says is done step by step, each looked at again before.
//!
//! First what has no name, then what was used the longest time ago: by a container, or by being brought in or named. What an
//! image for several platforms consists of goes together.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use oci::{Digest, Reference};

use super::{Deleted, Image, ImageRecord, Images, InUse, Index, Use};
use crate::error::Result;
use crate::records::{Batch, Durability};

/// One image to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    pub id: Digest,
    /// All of its names; none if it dangles.
    pub names: Vec<Reference>,
    pub last_used: Timestamp,
    /// What goes with it, as long as what comes before it went, too.
    pub bytes: u64,
}

/// A blob, or an unpacked layer by its chain id.
type Object = (bool, Digest);

/// What goes at once: an image, or an index with its images.
#[derive(Debug, Clone)]
struct Unit {
    id: Digest,
    names: Vec<Reference>,
    parent: Option<Digest>,
    last_used: Timestamp,
    /// Somebody needs it.
    spared: bool,
    objects: HashMap<Object, u64>,
}

impl Images {
    /// A container is made from an image. Costs no write; [`Images::keep_uses`] does that.
    pub fn note_use(&self, id: &Digest) {
        let now = Use { at: Timestamp::now(), is_written: false };
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), now);
    }

    /// Was a container made from it, or about to be, so short a time ago?
    pub fn was_used_within(&self, id: &Digest, age: std::time::Duration) -> bool {
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        uses.get(id).is_some_and(|noted| noted.at > since)
    }

    /// Writes down what was noted, so that the next engine knows. A crash of the machine may lose it.
    pub fn keep_uses(&self) -> Result<()> {
        let noted: Vec<(Digest, Timestamp)> = {
            let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            let noted = uses.iter_mut().filter(|(_, noted)| !noted.is_written);
            noted
                .map(|(id, noted)| {
                    noted.is_written = true;
                    (id.clone(), noted.at)
                })
                .collect()
        };
        // The index stands still meanwhile: a record that is deleted must not come back.
        let _index = self.write();
        let mut batch = Batch::new();
        for (id, at) in noted {
            if let Some(mut record) = self.records.get::<ImageRecord>(id.as_str())? {
                record.last_used = Some(at);
                batch.put(id.as_str(), &record)?;
            } else {
                self.uses.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }
        }
        self.records.commit(batch, Durability::Relaxed)
    }

    /// Bytes that all images take: blobs, and unpacked layers.
    pub fn footprint(&self) -> u64 {
        let mut objects: HashMap<Object, u64> = HashMap::new();
        for unit in self.units(&|_| false) {
            objects.extend(unit.objects);
        }
        objects.values().sum()
    }

    /// What to remove so that `bytes` come free, or all that can be removed. `needed` names images that must stay.
    pub fn plan_garbage(&self, bytes: u64, needed: &dyn Fn(&Garbage, &Digest) -> bool) -> Vec<Garbage> {
        let units = self.units(&|_| false).into_iter().map(|unit| {
            let about = Garbage {
                id: unit.id.clone(),
                names: unit.names.clone(),
                last_used: unit.last_used,
                bytes: 0,
            };
            let family = self.family_of(&unit.id);
            let spared = family.iter().any(|image| {
                needed(&about, &image.id)
                    || self.content.is_leased(&image.id)
                    || self.content.is_leased(&image.manifest)
            });
            Unit { spared, ..unit }
        });
        plan(&units.collect::<Vec<_>>(), bytes)
    }

    /// Removes one image that was planned to go, with all of its names, unless somebody came to need it since. The layers and
    /// blobs follow with [`Images::collect`].
    pub fn remove_garbage(&self, id: &Digest, in_use: InUse<'_>) -> Result<Vec<Deleted>> {
        let collection = self.content.collection();
        // No lease on it begins meanwhile; who has looked it up and leases it then finds it gone.
        let removed = collection.sweep(id, || {
            // Whoever notes a use first and looks the image up then either finds it gone, or it stays.
            let is_unneeded = |index: &Index| {
                let family = index.family(id);
                let is_parent = index.images.values().any(|other| other.parent.as_ref() == Some(id));
                !family.is_empty() && !is_parent && family.iter().all(|one| in_use(&one.id).is_empty())
            };
            self.commit_if(Vec::new(), vec![id.clone()], in_use, is_unneeded)
        });
        removed.unwrap_or_else(|| Ok(Vec::new()))
    }

    fn family_of(&self, id: &Digest) -> Vec<Arc<Image>> {
        self.read().family(id)
    }

    fn units(&self, spared: &dyn Fn(&Digest) -> bool) -> Vec<Unit> {
        let mut units = Vec::new();
        for image in self.list() {
            if self.is_member_only(&image.id) {
                continue;
            }
            let mut objects = HashMap::new();
            let mut last_used = None;
            for one in self.family_of(&image.id) {
                self.objects_of(&one, &mut objects);
                last_used = last_used.max(self.last_use(&one));
            }
            let mut of_index = HashSet::new();
            if let Some(index) = self.index_of(&image.id) {
                of_index.extend(index.documents().cloned());
                of_index.extend(
                    index.members.iter().flat_map(super::Member::blobs).map(|blob| blob.digest.clone()),
                );
            }
            for digest in of_index {
                if let Ok(size) = self.content.size(&digest) {
                    objects.insert((true, digest), size);
                }
            }
            units.push(Unit {
                spared: spared(&image.id),
                names: self.names(&image.id),
                parent: image.parent.clone(),
                last_used: last_used.unwrap_or(Timestamp::UNIX_EPOCH),
                id: image.id.clone(),
                objects,
            });
        }
        units
    }

    fn objects_of(&self, image: &Image, objects: &mut HashMap<Object, u64>) {
        for digest in [&image.id, &image.manifest] {
            objects.insert((true, digest.clone()), self.content.size(digest).unwrap_or_default());
        }
        for layer in &image.layers {
            objects.insert((true, layer.descriptor.digest.clone()), layer.descriptor.size);
            let unpacked = self.snapshots.layer_size(&layer.chain_id).unwrap_or_default();
            objects.insert((false, layer.chain_id.clone()), unpacked);
        }
    }

    /// By a container, or as it was brought in, or named.
    fn last_use(&self, image: &Image) -> Option<Timestamp> {
        let used =
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).get(&image.id).map(|noted| noted.at);
        let tagged = self.last_tagged(&image.id).and_then(|at| at.parse().ok());
        used.max(tagged).max(image.imported.parse().ok())
    }
}

/// Oldest first; what is the parent of another goes after that one, if it goes.
fn plan(units: &[Unit], bytes: u64) -> Vec<Garbage> {
    let mut users: HashMap<&Object, usize> = HashMap::new();
    for object in units.iter().flat_map(|unit| unit.objects.keys()) {
        *users.entry(object).or_default() += 1;
    }
    let mut left: Vec<&Unit> = units.iter().collect();
    left.sort_by(|a, b| {
        (!a.names.is_empty(), a.last_used, &a.id).cmp(&(!b.names.is_empty(), b.last_used, &b.id))
    });
    let mut steps: Vec<Garbage> = Vec::new();
    let mut freed = 0;
    while freed < bytes {
        let is_free =
            |unit: &Unit| !unit.spared && !left.iter().any(|other| other.parent.as_ref() == Some(&unit.id));
        let Some(at) = left.iter().position(|unit| is_free(unit)) else { break };
        let unit = left.remove(at);
        let mut own = 0;
        for (object, size) in &unit.objects {
            if let Some(count) = users.get_mut(object) {
                *count -= 1;
                own += if *count == 0 { *size } else { 0 };
            }
        }
        freed += own;
        steps.push(Garbage {
            id: unit.id.clone(),
            names: unit.names.clone(),
            last_used: unit.last_used,
            bytes: own,
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, used_s: i64, objects: &[(&str, u64)]) -> Unit {
        Unit {
            id: Digest::of(name.as_bytes()),
            names: match name.strip_prefix('-') {
                Some(_) => Vec::new(),
                None => vec![Reference::parse(name).unwrap().or_latest()],
            },
            parent: None,
            last_used: Timestamp::from_second(used_s).unwrap(),
            spared: false,
            objects: objects
                .iter()
                .map(|(name, size)| ((true, Digest::of(name.as_bytes())), *size))
                .collect(),
        }
    }

    fn planned(units: &[Unit], bytes: u64) -> Vec<(String, u64)> {
        let name = |step: &Garbage| step.names.first().map_or("-".into(), Reference::familiar_name);
        plan(units, bytes).iter().map(|step| (name(step), step.bytes)).collect()
    }

    #[test]
    fn what_has_no_name_goes_first_and_then_the_oldest_until_it_is_enough() {
        let units = [
            unit("new", 30, &[("a", 5)]),
            unit("old", 10, &[("b", 5)]),
            unit("-dangling", 40, &[("c", 5)]),
            unit("middle", 20, &[("d", 5)]),
        ];
        let order =
            [("-", 5), ("old", 5), ("middle", 5), ("new", 5)].map(|(name, size)| (name.to_owned(), size));
        assert_eq!(planned(&units, 0), []);
        assert_eq!(planned(&units, 1), order[..1]);
        assert_eq!(planned(&units, 11), order[..3]);
        assert_eq!(planned(&units, 1000), order);
    }

    #[test]
    fn what_is_shared_comes_free_with_the_last_that_has_it() {
        let mut units = [
            unit("a", 1, &[("base", 100), ("a", 1)]),
            unit("b", 2, &[("base", 100), ("b", 2)]),
            unit("c", 3, &[("c", 3)]),
        ];
        let of = |units: &[Unit]| planned(units, 50).into_iter().map(|(_, size)| size).collect::<Vec<_>>();
        assert_eq!(of(&units), [1, 102]);
        // One that is needed keeps what it shares.
        units[1].spared = true;
        assert_eq!(of(&units), [1, 3]);
    }

    #[test]
    fn a_parent_goes_after_its_children_or_not_at_all() {
        let mut child = unit("child", 9, &[("a", 1)]);
        let parent = unit("parent", 1, &[("b", 1)]);
        child.parent = Some(parent.id.clone());
        let mut units = [parent, child];
        let names = |units: &[Unit]| planned(units, 10).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&units), ["child", "parent"]);
        units[1].spared = true;
        assert_eq!(names(&units), [""; 0]);
    }
}
