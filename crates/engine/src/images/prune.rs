//! Removing images that nothing uses.

use std::collections::BTreeMap;

use store::Found;

use super::{Images, Removed};
use crate::container::Filters;
use crate::error::{Class, Result};

/// What went, and how much of the disk it took.
#[derive(Debug, Clone, Default)]
pub struct ImagesPruned {
    pub removed: Vec<Removed>,
    pub space_bytes: u64,
}

impl Images {
    /// Those without a name, or with `dangling=false` all that no container is made from; of them what matches `until`,
    /// `label` and `label!`.
    pub async fn prune(&self, filters: Filters) -> Result<ImagesPruned> {
        filters.check(&["dangling", "label", "label!", "until"])?;
        let dangling_only = filters.flag("dangling")?.unwrap_or(true);
        let until = crate::container::until(&self.core, &filters)?;
        let images = self.store.images().list();
        // Afterwards nobody could say how much a layer took.
        let sizes: BTreeMap<String, u64> = images
            .iter()
            .flat_map(|image| &image.layers)
            .filter_map(|layer| {
                Some((layer.chain_id.to_string(), self.store.snapshots().layer_size(&layer.chain_id)?))
            })
            .collect();
        let mut pruned = ImagesPruned::default();
        for image in &images {
            // It goes with the index that it is a part of.
            if self.store.images().is_member_only(&image.id) {
                continue;
            }
            let found = Found { image: image.clone(), index: self.store.images().index_of(&image.id) };
            let (tags, digests) = self.names(image);
            let labels = image.config.config.labels.clone().unwrap_or_default();
            let is_named = !tags.is_empty() || !digests.is_empty();
            let is_old =
                until.is_none_or(|until| super::service::created(image).is_some_and(|at| at < until));
            let unwanted = filters.has("label!") && filters.labels_match("label!", &labels);
            if (dangling_only && is_named)
                || !is_old
                || unwanted
                || !filters.labels_match("label", &labels)
                || self.family(&found).iter().any(|image| !self.containers(image).is_empty())
            {
                continue;
            }
            let by_name = tags.into_iter().chain(digests);
            let by_id = (!is_named).then(|| image.id.to_string());
            for name in by_name.chain(by_id) {
                match self.remove(&name, Vec::new(), false, true).await {
                    Ok(removed) => pruned.removed.extend(removed),
                    // Used or removed meanwhile, or the parent of one that stays.
                    Err(error) if matches!(error.class, Class::Conflict | Class::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let gone = pruned.removed.iter().filter_map(|removed| match removed {
            Removed::Deleted(id) => sizes.get(id),
            Removed::Untagged(_) => None,
        });
        pruned.space_bytes = gone.sum();
        let attributes = BTreeMap::from([("reclaimed".to_owned(), pruned.space_bytes.to_string())]);
        self.core.events.publish("image", "prune", "", attributes);
        Ok(pruned)
    }
}
