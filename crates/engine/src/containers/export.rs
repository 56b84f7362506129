//! A container's root file system as an archive, without its volumes (`docker export`).

use std::io::Write;

use archive::{PackOptions, TarWriter};
use rustix::fs::OFlags;

use super::Containers;
use super::root::{self, Root};
use crate::container::Status;
use crate::error::{Error, Result};

/// A root file system, ready to be packed.
#[derive(Debug)]
pub struct Export {
    containers: Containers,
    root: Root,
}

impl Containers {
    /// What is at the root now; it may change while it is packed.
    pub async fn export(&self, reference: &str) -> Result<Export> {
        let handle = self.core.index.find(reference)?;
        let view = handle.view();
        let refused = |state: &str| {
            Err(Error::conflict(format!("You cannot export container {} which is {state}", view.id)))
        };
        match view.state.status {
            Status::Dead => return refused("Dead"),
            Status::Removing => return refused("being removed"),
            _ => {}
        }
        let root = root::alone(&self.core, &handle).await;
        let root = root.map_err(|e| e.context(format_args!("Error exporting container {reference}")))?;
        Ok(Export { containers: self.clone(), root })
    }
}

impl Export {
    /// Writes it as a tar, from a blocking thread.
    pub fn write_to(self, to: impl Write) -> Result<()> {
        let id = &self.root.view.id;
        let failed = |error: &dyn std::fmt::Display| {
            Error::internal(format!("Error exporting container {id}: {error}"))
        };
        let root = self.root.find("/", OFlags::RDONLY | OFlags::DIRECTORY).map_err(|error| failed(&error))?;
        let options = PackOptions { root_entry: false, whole_seconds: true, ..PackOptions::default() };
        let mut tar = TarWriter::new(to);
        tar.append_tree(root, options)
            .and_then(|()| tar.finish().map(drop))
            .map_err(|error| failed(&error))?;
        self.containers.event(&self.root.view, "export", &[]);
        Ok(())
    }
}
