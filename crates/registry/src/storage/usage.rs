//! How much is used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use oci::Digest;

use super::Storage;
use crate::error::Result;

impl Storage {
    /// What the repositories have whose names are `mine`, each blob and manifest once, with its bytes.
    pub(crate) fn used(&self, mine: &dyn Fn(&str) -> bool) -> Result<HashMap<Digest, u64>> {
        let mut used = HashMap::new();
        for repository in self.all_repositories()?.into_iter().filter(|name| mine(name)) {
            for below in [self.layout().layers(&repository), self.layout().revisions(&repository)] {
                for digest in self.linked(&below)? {
                    if let Entry::Vacant(entry) = used.entry(digest) {
                        // A link whose blob is gone uses nothing.
                        let size = self.size_of(entry.key());
                        entry.insert(size);
                    }
                }
            }
        }
        Ok(used)
    }
}
