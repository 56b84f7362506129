//! A volume that must not go away while its data is read.

use std::path::PathBuf;
use std::sync::Arc;

use super::Volume;
use super::local::{self, Data};
use super::remove::no_such_volume;
use crate::core::Core;
use crate::error::{Error, Result};

/// Among its holders is one that is no container, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    core: Arc<Core>,
    pub(super) volume: Arc<Volume>,
    holder: String,
}

impl Held {
    /// `what` is told to whoever cannot remove the volume meanwhile.
    pub(super) fn take(core: &Arc<Core>, name: &str, what: &str) -> Result<Self> {
        let holder = format!("{what}, {}", core.ports.ids.id());
        let volume = core.volumes.hold(name, &holder).ok_or_else(|| no_such_volume(name))?;
        Ok(Self { core: core.clone(), volume, holder })
    }

    /// Where it is on the host.
    pub(super) fn data(&self) -> Result<PathBuf> {
        let data = match local::data(&self.volume) {
            Data::Directory(data, _) => data,
            Data::Mounted { .. } => {
                let why = "its data is on a file system that is mounted with containers only";
                return Err(Error::unsupported(why));
            }
            Data::Plugged => {
                return Err(Error::unsupported(format!(
                    "its data is with the plugin {}, which mounts it for containers only",
                    self.volume.driver
                )));
            }
        };
        local::check_directory(&self.volume, &data)?;
        Ok(data)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.core.volumes.release(&self.volume.name, &self.holder);
    }
}
