//! Which repositories there are.

use super::Storage;
use crate::error::Result;

impl Storage {
    /// Names of all that have, or had, a manifest pushed to them, in order of their bytes.
    pub(crate) fn repositories(&self) -> Result<Vec<String>> {
        let mut found = self.all_repositories()?;
        found.retain(|name| self.medium().has_below(&self.layout().revisions(name)));
        found.sort_unstable();
        Ok(found)
    }

    pub(crate) fn has_repository(&self, name: &str) -> bool {
        let below = [self.layout().revisions(name), self.layout().layers(name)];
        below.iter().any(|directory| self.medium().has_below(directory))
    }

    /// Also those with blobs only, or to which nothing was pushed whole; in no order. One may lie below another.
    pub(super) fn all_repositories(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut open = self.names(&self.layout().repositories())?;
        while let Some(name) = open.pop() {
            // Whatever else somebody has put there.
            if crate::name::check_repository(&name).is_err() {
                continue;
            }
            let directory = self.layout().repository(&name);
            let mut is_repository = false;
            for entry in self.medium().entries(&directory)? {
                if entry.name.starts_with('_') {
                    is_repository = true;
                } else if entry.is_directory {
                    open.push(format!("{name}/{}", entry.name));
                }
            }
            if is_repository {
                found.push(name);
            }
        }
        Ok(found)
    }
}
