//! What is written down of an unpacked layer. Each driver's layers are directories of their own, and so are its records.

use oci::Digest;
use serde::{Deserialize, Serialize};

use super::DriverKind;
use crate::error::Result;
use crate::records::{Batch, Durability, Record, Records};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(super) number: u64,
    pub(super) parent: Option<Digest>,
    pub(super) diff_id: Digest,
    /// Bytes of regular files, unpacked.
    pub(super) size: u64,
    /// The boot during which it was unpacked, until it is known to be on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unsynced_since_boot: Option<String>,
}

macro_rules! layer_records {
    ($($kind:ident => $name:ident = $namespace:literal),*) => {
        $(
            #[derive(Debug, Clone, Serialize, Deserialize)]
            #[serde(transparent)]
            pub(crate) struct $name(LayerRecord);
            impl Record for $name {
                const NAMESPACE: &'static str = $namespace;
                const VERSION: u32 = 1;
            }
        )*

        impl DriverKind {
            pub(super) fn list(self, records: &Records) -> Result<Vec<(String, Result<LayerRecord>)>> {
                match self {
                    $(DriverKind::$kind => {
                        let listed = records.list::<$name>()?.into_iter();
                        Ok(listed.map(|(key, layer)| (key, layer.map(|layer| layer.0))).collect())
                    })*
                }
            }

            pub(super) fn put(
                self,
                records: &Records,
                chain_id: &Digest,
                record: LayerRecord,
                durability: Durability,
            ) -> Result<()> {
                match self {
                    $(DriverKind::$kind => records.put(chain_id.as_str(), &$name(record), durability),)*
                }
            }

            /// `None` from `change` leaves it as it is.
            pub(super) fn modify(
                self,
                records: &Records,
                chain_id: &Digest,
                durability: Durability,
                change: impl FnOnce(LayerRecord) -> Option<LayerRecord>,
            ) -> Result<()> {
                match self {
                    $(DriverKind::$kind => records
                        .modify(chain_id.as_str(), durability, |layer: $name| change(layer.0).map($name))
                        .map(drop),)*
                }
            }

            pub(super) fn delete(self, batch: &mut Batch, key: &str) {
                match self {
                    $(DriverKind::$kind => batch.delete::<$name>(key),)*
                }
            }
        }
    };
}
layer_records!(
    Overlay => OverlayLayer = "layers.overlay",
    Btrfs => BtrfsLayer = "layers.btrfs",
    Vfs => VfsLayer = "layers.vfs"
);
