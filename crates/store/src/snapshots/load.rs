//! What an earlier engine left: layers with their records, and the containers that stand on them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use oci::Digest;

use super::layers::layer_at;
use super::record::LayerRecord;
use super::{Snapshots, lock, remove_tree, top_number};
use crate::error::{At, Result};
use crate::quota;
use crate::records::{Batch, Durability};

impl Snapshots {
    pub(super) fn load_layers(&self, warnings: &mut Vec<String>) -> Result<()> {
        let records = self.kind.list(&self.records)?;
        let boot_id = self.syncer.boot_id();
        let mut waiting: HashMap<Digest, LayerRecord> = HashMap::new();
        let mut batch = Batch::new();
        let mut damaged = false;
        for (key, record) in records {
            let Ok(chain_id) = key.parse::<Digest>() else { continue };
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    warnings.push(format!("layer {chain_id}: {error}; it will be unpacked again"));
                    self.kind.delete(&mut batch, &key);
                    damaged = true;
                    continue;
                }
            };
            match &record.unsynced_since_boot {
                Some(boot) if boot != boot_id => {
                    warnings.push(format!(
                        "layer {chain_id} was not on disk when the machine stopped; it will be unpacked again"
                    ));
                    self.kind.delete(&mut batch, &key);
                }
                _ => _ = waiting.insert(chain_id, record),
            }
        }
        let mut known = HashSet::new();
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        // Parents first: each round takes those whose parent is there.
        loop {
            let ready: Vec<Digest> = waiting
                .iter()
                .filter(|(_, record)| record.parent.as_ref().is_none_or(|parent| layers.contains_key(parent)))
                .map(|(chain_id, _)| chain_id.clone())
                .collect();
            if ready.is_empty() {
                break;
            }
            for chain_id in ready {
                let Some(record) = waiting.remove(&chain_id) else { continue };
                let path = self.layout.layers(self.driver.name()).join(record.number.to_string());
                let parent = record.parent.as_ref().and_then(|parent| layers.get(parent).cloned());
                self.next.fetch_max(record.number + 1, Ordering::Relaxed);
                match layer_at(path, chain_id.clone(), parent, &record) {
                    Ok(layer) => {
                        known.insert(record.number.to_string());
                        layers.insert(chain_id, Arc::new(layer));
                    }
                    Err(error) => {
                        warnings.push(format!("layer {chain_id}: {error}; it will be unpacked again"));
                        self.kind.delete(&mut batch, chain_id.as_str());
                    }
                }
            }
        }
        drop(layers);
        for chain_id in waiting.keys() {
            self.kind.delete(&mut batch, chain_id.as_str());
        }
        self.records.commit(batch, Durability::Relaxed)?;
        // Directories without a record: unpacked just before a crash. But what a container stands on stays, whatever
        // became of its record.
        let writable = self.layout.writable(self.driver.name());
        let containers = fs::read_dir(&writable).at("list", &writable)?.flatten();
        known.extend(containers.filter_map(|entry| top_number(&entry.path())));
        let dir = self.layout.layers(self.driver.name());
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(number) = name.parse::<u64>() {
                self.next.fetch_max(number + 1, Ordering::Relaxed);
            }
            // With a record that cannot be read, one of them is its layer.
            if !known.contains(&name) && !damaged {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn load_containers(&self) -> Result<()> {
        let dir = self.layout.writable(self.driver.name());
        let by_number: HashMap<String, Digest> = {
            let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
            layers.values().map(|layer| (layer.number.to_string(), layer.chain_id.clone())).collect()
        };
        let has_projects = quota::has_projects(&dir);
        let mut containers = lock(&self.containers);
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let entry = entry?;
            let Ok(id) = entry.file_name().into_string() else { continue };
            if has_projects && quota::project_of(&entry.path()).is_some() {
                lock(&self.limited).insert(id.clone());
            }
            let number = top_number(&entry.path());
            containers.insert(id, number.and_then(|number| by_number.get(&number).cloned()));
        }
        Ok(())
    }
}
