//! Which repositories there are.

use std::fs;

use super::{Storage, files};
use crate::error::Result;

impl Storage {
    /// Names of all that have, or had, a manifest pushed to them, in order of their bytes.
    pub(crate) fn repositories(&self) -> Result<Vec<String>> {
        let mut found = self.all_repositories()?;
        found.retain(|name| self.layout().revisions(name).exists());
        found.sort_unstable();
        Ok(found)
    }

    pub(crate) fn has_repository(&self, name: &str) -> bool {
        self.layout().revisions(name).exists() || self.layout().layers(name).exists()
    }

    /// Also those with blobs only, or to which nothing was pushed whole; in no order. One may lie below another.
    pub(super) fn all_repositories(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut open = files::names(&self.layout().repositories())?;
        while let Some(name) = open.pop() {
            // Whatever else somebody has put there.
            if crate::name::check_repository(&name).is_err() {
                continue;
            }
            let directory = self.layout().repository(&name);
            let mut is_repository = false;
            for entry in files::names(&directory)? {
                if entry.starts_with('_') {
                    is_repository = true;
                } else if fs::symlink_metadata(directory.join(&entry)).is_ok_and(|metadata| metadata.is_dir())
                {
                    open.push(format!("{name}/{entry}"));
                }
            }
            if is_repository {
                found.push(name);
            }
        }
        Ok(found)
    }
}
