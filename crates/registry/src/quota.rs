//! How much may be pushed where. Used are the bytes of all that the repositories of a place have, each blob once; they are
//! counted when they are needed, so that processes need not agree on a number. What is fetched from another registry is no push.

use std::collections::HashMap;
use std::fs::File;

use oci::Digest;
use rustix::fs::{FlockOperation, flock};

use crate::bytes::human;
use crate::error::{Code, Error, Result, disk};
use crate::pattern;
use crate::storage::Storage;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// A pattern, as in the rules of access.
    pub repositories: String,
    pub bytes: u64,
}

impl Quota {
    fn is_for(&self, repository: &str) -> bool {
        pattern::matches(self.repositories.as_bytes(), repository.as_bytes())
    }

    fn used(&self, storage: &Storage) -> Result<HashMap<Digest, u64>> {
        storage.used(&|name| self.is_for(name))
    }

    fn exceeded(&self, used: u64, more: Option<u64>) -> Error {
        let (used, most) = (human(used), human(self.bytes));
        let needs = more.map(|more| format!(", and this needs {}", human(more))).unwrap_or_default();
        let message = format!("quota of {} exceeded: {used} of {most} are used{needs}", self.repositories);
        Error::new(Code::Denied, message).with("quota", self.repositories.as_str())
    }
}

/// How many bytes may still be pushed to a repository. `None`: any number.
///
/// # Errors
/// There are none left, or not so many as are announced.
pub(crate) fn room(
    quotas: &[Quota],
    storage: &Storage,
    repository: &str,
    announced: Option<u64>,
) -> Result<Option<u64>> {
    let mut least = None;
    for quota in quotas.iter().filter(|quota| quota.is_for(repository)) {
        let used = quota.used(storage)?.values().sum();
        let room = quota.bytes.saturating_sub(used);
        if room == 0 || announced.is_some_and(|bytes| bytes > room) {
            return Err(quota.exceeded(used, announced));
        }
        least = Some(least.map_or(room, |least: u64| least.min(room)));
    }
    Ok(least)
}

/// Held while something that was found to fit is taken in: two that fit alone may not fit together, whichever processes they
/// came to.
#[derive(Debug)]
pub(crate) struct Admitted(#[expect(dead_code, reason = "the lock goes with it")] Option<File>);

/// # Errors
/// It does not fit.
pub(crate) fn admit(
    quotas: &[Quota],
    storage: &Storage,
    repository: &str,
    digest: &Digest,
    bytes: u64,
) -> Result<Admitted> {
    let mut mine = quotas.iter().filter(|quota| quota.is_for(repository)).peekable();
    if mine.peek().is_none() {
        return Ok(Admitted(None));
    }
    let path = storage.root().join("quota.lock");
    let locked = File::options().create(true).truncate(false).write(true).open(&path).and_then(|file| {
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    let lock = locked.map_err(|error| disk("lock", &path, &error))?;
    for quota in mine {
        let known = quota.used(storage)?;
        let used: u64 = known.values().sum();
        if !known.contains_key(digest) && used.saturating_add(bytes) > quota.bytes {
            return Err(quota.exceeded(used, Some(bytes)));
        }
    }
    Ok(Admitted(Some(lock)))
}
