//! What a container has changed in its root file system (`docker diff`).

use super::Containers;
use crate::core::blocking;
use crate::error::Result;

pub use store::{Change, ChangeKind};

impl Containers {
    /// In the order of the names, a directory before what is in it.
    pub async fn changes(&self, reference: &str) -> Result<Vec<Change>> {
        let (storage, id) =
            (self.core.ports.storage.clone(), self.core.index.find(reference)?.view().id.clone());
        blocking(move || storage.changes(&id)).await
    }
}
