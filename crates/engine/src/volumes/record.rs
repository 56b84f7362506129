//! A volume on disk: what its directory cannot say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LOCAL, Volume};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::layout;

const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) created: Option<Timestamp>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) options: BTreeMap<String, String>,
    /// Whichever engine finds this finishes the removal.
    #[serde(default)]
    pub(super) removing: bool,
    /// Of a plugin's volume that nobody was told of yet; whichever engine finds this has it taken back.
    #[serde(default)]
    pub(super) making: bool,
}

impl Record {
    pub(super) fn of(volume: &Volume) -> Self {
        Self {
            version: VERSION,
            name: volume.name.clone(),
            driver: volume.driver.clone(),
            created: volume.created,
            labels: volume.labels.clone(),
            options: volume.options.clone(),
            removing: false,
            making: false,
        }
    }

    pub(super) fn read(name: &str, json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let broken = |error: serde_json::Error| Error::internal(format!("record of volume {name}: {error}"));
        let head: Head = serde_json::from_slice(json).map_err(broken)?;
        match head.version {
            VERSION => serde_json::from_slice(json).map_err(broken),
            newer => Err(Error::internal(format!(
                "record of volume {name} has version {newer}, written by a newer wharf"
            ))),
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("records have string keys only")
    }

    pub(super) fn into_volume(self, core: &Core) -> Volume {
        Volume {
            mountpoint: match self.driver.as_str() {
                LOCAL => layout::volume_data(&core.settings().data_root, &self.name),
                _ => PathBuf::new(),
            },
            name: self.name,
            driver: self.driver,
            created: self.created,
            labels: self.labels,
            options: self.options,
            ..Volume::default()
        }
    }
}
