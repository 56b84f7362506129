//! A volume's data as an archive, with all that a file system knows of it: owners, attributes, access lists, holes. The
//! volume may be in use; what is written meanwhile is in the archive or not.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use archive::PackOptions;

use super::held::Held;
use super::{Volume, event};
use crate::core::Core;
use crate::error::{Error, Result};

/// A volume, ready to be packed.
#[derive(Debug)]
pub struct Export {
    core: Arc<Core>,
    held: Held,
    data: PathBuf,
}

pub(super) fn run(core: &Arc<Core>, name: &str) -> Result<Export> {
    let held = Held::take(core, name, "an export")?;
    let data = held.data().map_err(|error| error.context(format_args!("export {name}")))?;
    Ok(Export { core: core.clone(), held, data })
}

impl Export {
    pub(super) fn volume(&self) -> &Volume {
        &self.held.volume
    }

    /// Writes it as a tar, from a blocking thread.
    pub fn write_to(self, to: impl Write) -> Result<()> {
        let name = &self.held.volume.name;
        self.pack_to(to).map_err(|error| Error::internal(format!("export {name}: {error}")))?;
        event(&self.core, name, "export", &[("driver", &self.held.volume.driver)]);
        Ok(())
    }

    pub(super) fn pack_to(&self, to: impl Write) -> std::result::Result<(), archive::Error> {
        archive::pack(&self.data, to, PackOptions { faithful: true, ..PackOptions::default() })
    }
}
