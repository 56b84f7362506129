//! Leases protect blobs and layers that no record names yet.
//!
//! Whoever brings something in takes a [`Lease`] first and keeps it until the record is committed. The
//! collector marks, then deletes one object after the other through [`Leases::sweep`], which holds the
//! table's lock for each deletion; what was released since it started counts as leased, because the record
//! that now names it was not there when the collector marked.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::Digest;

/// The table of leases.
#[derive(Debug, Default, Clone)]
pub(crate) struct Leases {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    held: HashMap<Digest, usize>,
    /// Collectors at work, and what was released since the first of them started.
    collectors: usize,
    released: HashSet<Digest>,
}

/// Protects digests (of blobs, or chain ids of layers) until dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    held: Mutex<Vec<Digest>>,
}

impl Leases {
    pub(crate) fn begin(&self) -> Lease {
        Lease { leases: self.clone(), held: Mutex::default() }
    }

    /// Announces a collector, before it marks.
    pub(crate) fn collect(&self) -> Collection {
        self.table().collectors += 1;
        Collection { leases: self.clone() }
    }

    /// Does somebody hold it right now?
    pub(crate) fn is_held(&self, digest: &Digest) -> bool {
        self.table().held.contains_key(digest)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Call before looking whether the object is there.
    pub fn hold(&self, digest: &Digest) {
        *self.leases.table().held.entry(digest.clone()).or_default() += 1;
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(digest.clone());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.leases.table();
        let collecting = table.collectors > 0;
        for digest in self.held.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(count) = table.held.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    table.held.remove(&digest);
                }
            }
            if collecting {
                table.released.insert(digest);
            }
        }
    }
}

/// A running collection.
#[derive(Debug)]
pub(crate) struct Collection {
    leases: Leases,
}

impl Collection {
    /// Runs `delete` unless the object is leased; no lease on it can begin meanwhile.
    pub(crate) fn sweep<T>(&self, digest: &Digest, delete: impl FnOnce() -> T) -> Option<T> {
        let table = self.leases.table();
        let leased = table.held.contains_key(digest) || table.released.contains(digest);
        (!leased).then(delete)
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        let mut table = self.leases.table();
        table.collectors -= 1;
        if table.collectors == 0 {
            table.released.clear();
        }
    }
}
