//! Who is there: ids and names to the tasks that own the containers, and the snapshots they publish.
//!
//! A name is taken and given back under one lock, so of fifty simultaneous creates with one name exactly one
//! wins. The lock (std's: nobody awaits while holding it) covers map operations only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{RwLock, mpsc, watch};

use super::Container;
use super::command::Command;
use crate::error::{Error, Result};

/// What a task publishes after each change.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) view: Arc<Container>,
    /// How many times its process has ended: a wait for the next exit compares this.
    pub(crate) exits: u64,
    pub(crate) removed: bool,
    /// How many times it could not be removed: its waiters are told.
    pub(crate) removal_failures: u64,
}

/// How to reach a container.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) published: watch::Receiver<Published>,
    /// Held for reading while somebody writes to its files from outside, or looks into a stopped one, which mounts them;
    /// for writing by what mounts or removes them. Held across the whole copy, hence the async lock.
    pub(crate) files: Arc<RwLock<()>>,
}

impl Handle {
    pub(crate) fn view(&self) -> Arc<Container> {
        self.published.borrow().view.clone()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    maps: Mutex<Maps>,
}

#[derive(Debug, Default)]
struct Maps {
    by_id: BTreeMap<String, Handle>,
    /// Without slash.
    names: HashMap<String, String>,
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().expect("nothing panics while it holds the index")
    }

    /// Take a name for an id, which need not be known yet.
    pub(crate) fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut maps = self.lock();
        match maps.names.get(name) {
            Some(owner) => Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to \
                 remove (or rename) that container to be able to reuse that name."
            ))),
            None => {
                maps.names.insert(name.to_owned(), id.to_owned());
                Ok(())
            }
        }
    }

    /// Give a name back, if it is this id's.
    pub(crate) fn release(&self, name: &str, id: &str) {
        let mut maps = self.lock();
        if maps.names.get(name).is_some_and(|owner| owner == id) {
            maps.names.remove(name);
        }
    }

    pub(crate) fn insert(&self, id: &str, handle: Handle) {
        self.lock().by_id.insert(id.to_owned(), handle);
    }

    pub(crate) fn remove(&self, id: &str, name: &str) {
        let mut maps = self.lock();
        maps.by_id.remove(id);
        if maps.names.get(name).is_some_and(|owner| owner == id) {
            maps.names.remove(name);
        }
    }

    /// Full id first, then name, then unambiguous id prefix, as Docker does.
    pub(crate) fn find(&self, reference: &str) -> Result<Handle> {
        let maps = self.lock();
        if let Some(handle) = maps.by_id.get(reference) {
            return Ok(handle.clone());
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(handle) = maps.names.get(name).and_then(|id| maps.by_id.get(id)) {
            return Ok(handle.clone());
        }
        if reference.is_empty() {
            return Err(Error::no_such_container(reference));
        }
        let mut matching =
            maps.by_id.range(reference.to_owned()..).take_while(|(id, _)| id.starts_with(reference));
        match (matching.next(), matching.next()) {
            (None, _) => Err(Error::no_such_container(reference)),
            (Some((_, handle)), None) => Ok(handle.clone()),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("multiple IDs found with provided prefix: {reference}")))
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<Handle> {
        self.lock().by_id.values().cloned().collect()
    }

    /// Snapshots of all, newest first.
    pub(crate) fn views(&self) -> Vec<Arc<Container>> {
        let mut views: Vec<_> = self.lock().by_id.values().map(Handle::view).collect();
        views.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        views
    }
}
