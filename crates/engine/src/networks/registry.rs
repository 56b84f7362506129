//! Which networks there are, by id and by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Network;
use crate::error::{Class, Error, Result};

/// Read by everybody; changed by whoever holds the turn.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Held for a look-up only.
    networks: Mutex<BTreeMap<String, Arc<Network>>>,
    /// Who makes or removes a network holds it: of two that want one name, one finds the other's.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Network>>> {
        self.networks.lock().expect("nothing panics while it holds the networks")
    }

    pub(super) fn insert(&self, network: Network) -> Arc<Network> {
        let network = Arc::new(network);
        self.lock().insert(network.id.clone(), network.clone());
        network
    }

    pub(super) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// By name.
    pub(crate) fn all(&self) -> Vec<Arc<Network>> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Network>> {
        self.lock().values().find(|network| network.name == name).cloned()
    }

    /// Full id first, then name, then unambiguous prefix of an id, as Docker does.
    pub(crate) fn find(&self, reference: &str) -> Result<Arc<Network>> {
        let networks = self.lock();
        if let Some(network) = networks.get(reference) {
            return Ok(network.clone());
        }
        if let Some(network) = networks.values().find(|network| network.name == reference) {
            return Ok(network.clone());
        }
        let by_prefix: Vec<_> = networks
            .values()
            .filter(|network| !reference.is_empty() && network.id.starts_with(reference))
            .collect();
        match &by_prefix[..] {
            [] => Err(Error::not_found(format!("network {reference} not found"))),
            [one] => Ok((*one).clone()),
            several => Err(Error::new(
                Class::Invalid,
                format!(
                    "network {reference} is ambiguous ({} matches found based on ID prefix)",
                    several.len()
                ),
            )),
        }
    }
}
