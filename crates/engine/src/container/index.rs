//! Who is there: ids and names to the tasks that own the containers, and the snapshots they publish.
//!
//! A name is taken and given back under one lock, so of fifty simultaneous creates with one name exactly one
//! wins. The lock (std's: nobody awaits while holding it) covers map operations only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{RwLock, mpsc, watch};

use super::Container;
use super::command::Command;
use super::links::Link;
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
    /// By who has them.
    links: HashMap<String, Vec<Link>>,
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
        maps.links.remove(id);
        maps.links.values_mut().for_each(|links| links.retain(|link| link.target != id));
        if maps.names.get(name).is_some_and(|owner| owner == id) {
            maps.names.remove(name);
        }
    }

    /// What a container is told of others; in place of what it was told.
    pub(crate) fn link(&self, id: &str, links: &[Link]) {
        let mut maps = self.lock();
        match links {
            [] => maps.links.remove(id),
            links => maps.links.insert(id.to_owned(), links.to_vec()),
        };
    }

    /// What [`Index::link`] was told.
    pub(crate) fn links_of(&self, id: &str) -> Vec<Link> {
        self.lock().links.get(id).cloned().unwrap_or_default()
    }

    /// Who is told of a container.
    pub(crate) fn linked_to(&self, id: &str) -> Vec<Handle> {
        let maps = self.lock();
        let of = maps.links.iter().filter(|(_, links)| links.iter().any(|link| link.target == id));
        of.filter_map(|(owner, _)| maps.by_id.get(owner).cloned()).collect()
    }

    /// The names of containers by links: `web/db`, by the id of what is called so.
    pub(crate) fn link_names(&self) -> HashMap<String, Vec<String>> {
        let maps = self.lock();
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        for (owner, links) in &maps.links {
            let Some(owner) = maps.by_id.get(owner).map(|handle| handle.view().name.clone()) else {
                continue;
            };
            for Link { target, alias } in links {
                names.entry(target.clone()).or_default().push(format!("{owner}/{alias}"));
            }
        }
        names.values_mut().for_each(|names| names.sort());
        names
    }

    /// Full id first, then name (also one by a link), then unambiguous id prefix, as Docker does.
    pub(crate) fn find(&self, reference: &str) -> Result<Handle> {
        let maps = self.lock();
        if let Some(handle) = maps.by_id.get(reference) {
            return Ok(handle.clone());
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(handle) = maps.names.get(name).and_then(|id| maps.by_id.get(id)) {
            return Ok(handle.clone());
        }
        if let Some((owner, alias)) = name.split_once('/') {
            let links = maps.names.get(owner).and_then(|id| maps.links.get(id));
            let link = links.and_then(|links| links.iter().find(|link| link.alias == alias));
            let target = link.and_then(|link| maps.by_id.get(&link.target));
            return target.cloned().ok_or_else(|| Error::no_such_container(reference));
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
