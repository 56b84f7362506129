//! Which volumes there are, who refers to them, and whose turn it is to change one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::Volume;

/// A volume and what the engine keeps beside it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) volume: Arc<Volume>,
    /// There is a record of it, beside its directory.
    pub(crate) recorded: bool,
    /// Ids of the containers that refer to it, running or not.
    pub(crate) holders: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Held for map operations only.
    entries: Mutex<BTreeMap<String, Entry>>,
    /// By name; those that nobody holds or waits for are dropped when the next one is asked for. Tokio's mutex inside,
    /// since a volume is filled while it is held.
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

/// To make, fill or remove the volume of one name.
#[derive(Debug)]
pub(crate) struct Turn {
    _guard: tokio::sync::OwnedMutexGuard<()>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().expect("nothing panics while it holds the volumes")
    }

    pub(crate) async fn turn(&self, name: &str) -> Turn {
        let turn = {
            let mut turns = self.turns.lock().expect("nothing panics while it holds the turns");
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(name).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let fresh = Arc::new(tokio::sync::Mutex::new(()));
                turns.insert(name.to_owned(), Arc::downgrade(&fresh));
                fresh
            })
        };
        Turn { _guard: turn.lock_owned().await }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Entry> {
        self.lock().get(name).cloned()
    }

    /// Replaces what was known of it, but not who refers to it.
    pub(crate) fn insert(&self, volume: Volume, recorded: bool) -> Arc<Volume> {
        let volume = Arc::new(volume);
        let mut entries = self.lock();
        let holders = entries.remove(&volume.name).map(|entry| entry.holders).unwrap_or_default();
        entries.insert(volume.name.clone(), Entry { volume: volume.clone(), recorded, holders });
        volume
    }

    /// `None`: there is no such volume.
    pub(crate) fn hold(&self, name: &str, container: &str) -> Option<Arc<Volume>> {
        let mut entries = self.lock();
        let entry = entries.get_mut(name)?;
        entry.holders.insert(container.to_owned());
        Some(entry.volume.clone())
    }

    /// Answers whether nobody else refers to it.
    pub(crate) fn release(&self, name: &str, container: &str) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(name) else { return true };
        entry.holders.remove(container);
        entry.holders.is_empty()
    }

    /// Takes it out, so that from now on nobody can come to refer to it; `container` does no more. If somebody else
    /// does, it stays, and their ids are the answer.
    pub(crate) fn take(&self, name: &str, container: Option<&str>) -> Result<Option<Entry>, Vec<String>> {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(name) else { return Ok(None) };
        if let Some(container) = container {
            entry.holders.remove(container);
        }
        match entry.holders.is_empty() {
            true => Ok(entries.remove(name)),
            false => Err(entry.holders.iter().cloned().collect()),
        }
    }

    /// What was taken is there after all.
    pub(crate) fn put_back(&self, entry: Entry) {
        self.lock().insert(entry.volume.name.clone(), entry);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// By name.
    pub(crate) fn all(&self) -> Vec<Entry> {
        self.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_after_the_other_has_its_turn_and_names_do_not_wait_for_each_other() {
        let registry = Registry::default();
        let first = registry.turn("a").await;
        let _other = registry.turn("b").await;
        let mut second = Box::pin(registry.turn("a"));
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut second).await.is_err(), "two have the turn");
        drop(first);
        drop(second.await);
        assert_eq!(registry.turns.lock().unwrap().len(), 2);
        drop(registry.turn("c").await);
        assert_eq!(registry.turns.lock().unwrap().len(), 2, "b's and c's");
    }

    #[test]
    fn holders_survive_a_change_and_the_last_to_let_go_is_told() {
        let registry = Registry::default();
        let named = || Volume { name: "v".into(), ..Volume::default() };
        registry.insert(named(), false);
        assert!(registry.hold("v", "1").is_some() && registry.hold("v", "2").is_some());
        assert!(registry.hold("w", "1").is_none());
        registry.insert(named(), true);
        assert!(!registry.release("v", "1"));
        assert!(registry.release("v", "2"));
        registry.hold("v", "3");
        registry.hold("v", "4");
        assert_eq!(registry.take("v", Some("3")).unwrap_err(), ["4"]);
        let taken = registry.take("v", Some("4")).unwrap().unwrap();
        assert!(registry.hold("v", "5").is_none(), "it is as good as gone");
        registry.put_back(taken);
        assert!(registry.take("v", None).unwrap().is_some() && registry.take("v", None).unwrap().is_none());
    }
}
