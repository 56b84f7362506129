//! The volume service: the methods the server calls.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::backup::{self, BackupRequest};
use super::export::Export;
use super::make::{For, Wanted, make};
use super::registry::Entry;
use super::remove::no_such_volume;
use super::restore::{self, RestoreRequest};
use super::{
    ANONYMOUS, CreateRequest, LOCAL, Listing, Usage, Volume, clone, event, export, import, plugged, remove,
    rename,
};
use crate::container::{Filters, Pruned, names_match};
use crate::core::{Core, blocking};
use crate::error::{Class, Error, Result};
use crate::images::Report;
use crate::registries::Registries;

/// Everything about volumes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Volumes {
    pub(crate) core: Arc<Core>,
    /// A prune measures and removes much; a second one at the same time would count the same.
    pub(crate) pruning: Arc<tokio::sync::Mutex<()>>,
    pub(crate) registries: Arc<Registries>,
}

impl Volumes {
    /// One that is there already is answered as it is.
    pub async fn create(&self, request: CreateRequest) -> Result<Arc<Volume>> {
        let anonymous = request.name.is_empty();
        let wanted = Wanted {
            name: if anonymous { self.core.ports.ids.id() } else { request.name },
            driver: request.driver,
            labels: request.labels,
            options: request.options,
            anonymous,
        };
        Ok(make(&self.core, &wanted, For::Client { filling: None }).await?.0)
    }

    /// One that no container refers to.
    pub async fn rename(&self, old: &str, new: &str) -> Result<()> {
        rename::run(&self.core, old, new).await
    }

    /// A copy, with its labels; `new` empty: an anonymous one.
    pub async fn clone_of(&self, source: &str, new: &str) -> Result<Arc<Volume>> {
        clone::run(&self.core, source, new).await
    }

    /// Its data, to be packed.
    pub async fn export(&self, name: &str) -> Result<Export> {
        export::run(&self.core, name)
    }

    /// Its data as an artifact in a registry. Dropped half-way, it takes back what the registry has of it.
    pub async fn backup(&self, request: BackupRequest, report: Report) -> Result<()> {
        backup::run(self, request, report).await
    }

    /// A new one with what such an artifact has; its name is told last.
    pub async fn restore(&self, request: RestoreRequest, report: Report) -> Result<()> {
        restore::run(self, request, report).await
    }

    /// A new one with what an archive has, compressed or not; `from` is read in a blocking thread.
    pub async fn import(&self, request: CreateRequest, from: Box<dyn Read + Send>) -> Result<Arc<Volume>> {
        import::run(&self.core, request, from).await
    }

    /// Those that are here, and those that plugins have.
    pub async fn list(&self, filters: Filters) -> Result<Listing> {
        filters.check(&["dangling", "driver", "label", "name"])?;
        let dangling = filters.flag("dangling")?;
        let entries = self.core.volumes.all();
        let (plugged, warnings) = plugged::list(&self.core, |driver| filters.exact("driver", driver)).await;
        let here = entries.iter().filter(|entry| entry.volume.driver == LOCAL);
        let mut all: BTreeMap<String, Arc<Volume>> =
            here.map(|entry| (entry.volume.name.clone(), entry.volume.clone())).collect();
        for volume in plugged {
            let known = self.core.volumes.get(&volume.name);
            if known.is_none_or(|known| known.volume.driver == volume.driver) {
                all.entry(volume.name.clone()).or_insert_with(|| Arc::new(volume));
            }
        }
        let is_held = |name: &str| self.core.volumes.get(name).is_some_and(|entry| !entry.holders.is_empty());
        let wanted = |volume: &Arc<Volume>| {
            dangling.is_none_or(|dangling| dangling != is_held(&volume.name))
                && filters.exact("driver", &volume.driver)
                && names_match(filters.get("name"), &volume.name)
                && filters.labels_match("label", &volume.labels)
        };
        Ok(Listing { volumes: all.into_values().filter(wanted).collect(), warnings })
    }

    pub async fn inspect(&self, name: &str) -> Result<Arc<Volume>> {
        match self.core.volumes.get(name) {
            Some(entry) if entry.volume.driver == LOCAL => Ok(entry.volume),
            Some(entry) => plugged::inspect(&self.core, &entry).await.map(Arc::new),
            None => plugged::find(&self.core, name).await.map(Arc::new).ok_or_else(|| no_such_volume(name)),
        }
    }

    /// `force`: one that is not there is as good as removed.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        match remove::run(&self.core, name, force).await {
            Err(error) if force && error.class == Class::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// What no container refers to and matches `label`, `label!`: only anonymous ones, unless `all`. What has options
    /// is somewhere else, and gives no space back.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        let busy = |_| Error::conflict("a prune operation is already running");
        let _alone = self.pruning.try_lock().map_err(busy)?;
        let all = match filters.get("all") {
            [] => false,
            [one] => boolean(one)?,
            several => {
                let several = several.join(" ");
                return Err(Error::invalid(format!(
                    "invalid filter 'all=[{several}]': only one value is expected"
                )));
            }
        };
        filters.check(&["all", "label", "label!"])?;
        let mut pruned = Pruned::default();
        for Entry { volume, holders, .. } in self.core.volumes.all() {
            let unwanted = filters.has("label!") && filters.labels_match("label!", &volume.labels);
            if volume.driver != LOCAL
                || !volume.options.is_empty()
                || !holders.is_empty()
                || unwanted
                || !(all || volume.labels.contains_key(ANONYMOUS))
                || !filters.labels_match("label", &volume.labels)
            {
                continue;
            }
            let bytes = self.measure(&volume).await.unwrap_or_default();
            match remove::run(&self.core, &volume.name, false).await {
                Ok(()) => {
                    pruned.ids.push(volume.name.clone());
                    pruned.space_bytes += bytes;
                }
                // Taken by a container or removed meanwhile.
                Err(error) if matches!(error.class, Class::Conflict | Class::NotFound) => {}
                Err(error) => tracing::warn!(volume = %volume.name, %error, "could not remove it"),
            }
        }
        event(&self.core, "", "prune", &[("reclaimed", &pruned.space_bytes.to_string())]);
        Ok(pruned)
    }

    /// Those whose data is here, measured.
    pub(crate) async fn usage(&self) -> Vec<Volume> {
        let mut measured = Vec::new();
        for Entry { volume, holders, .. } in self.core.volumes.all() {
            if volume.driver == LOCAL && volume.options.is_empty() {
                let bytes = self.measure(&volume).await;
                let usage = Some(Usage { bytes, containers: holders.len() as u64 });
                measured.push(Volume { usage, ..Volume::clone(&volume) });
            }
        }
        measured
    }

    /// `local`, and the plugins that were used.
    pub(crate) fn drivers(&self) -> Vec<String> {
        let mut drivers = self.core.ports.plugins.drivers();
        drivers.extend(self.core.volumes.all().iter().map(|entry| entry.volume.driver.clone()));
        drivers.push(LOCAL.to_owned());
        drivers.sort();
        drivers.dedup();
        drivers
    }

    async fn measure(&self, volume: &Volume) -> Option<u64> {
        let (storage, data) = (self.core.ports.storage.clone(), volume.mountpoint.clone());
        match blocking(move || storage.tree_size(&data)).await {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::warn!(volume = %volume.name, %error, "could not measure it");
                None
            }
        }
    }
}

/// Go's booleans, with its complaint.
fn boolean(text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::invalid(format!(
            "invalid filter 'all': strconv.ParseBool: parsing \"{text}\": invalid syntax"
        ))),
    }
}
