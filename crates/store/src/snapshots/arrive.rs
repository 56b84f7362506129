//! Layers that are unpacked while they arrive, in whatever order, and take their places from the lowest up.

use std::sync::Arc;

use oci::Digest;

use super::overlay::inherit_root;
use super::{DriverKind, Layer, Snapshots, Staged};
use crate::error::{Error, Result};
use crate::images::ImageLayer;
use crate::lease::Lease;

impl Snapshots {
    /// Can a layer be unpacked before the one below it is there? Not where each holds a copy of what is below.
    pub(crate) fn unpacks_apart(&self) -> bool {
        self.kind == DriverKind::Overlay
    }

    /// Puts a layer above another. `staged`: where it was unpacked, its bytes, and whether it has a root of its own.
    pub(crate) fn settle(
        &self,
        lease: &Lease,
        layer: &ImageLayer,
        below: Option<&Digest>,
        staged: Option<(Staged, u64, bool)>,
    ) -> Result<()> {
        let parent: Option<Arc<Layer>> = match below {
            None => None,
            Some(chain_id) => {
                Some(self.get(chain_id).ok_or_else(|| Error::NoSuchSnapshot(chain_id.to_string()))?)
            }
        };
        let Some((staged, bytes, has_root)) = staged else {
            let unpack = |target: &std::path::Path| {
                let blob = self.content.file(&layer.descriptor.digest)?;
                crate::unpack::layer(blob, target, self.driver.mode(), &layer.diff_id)
            };
            return self.layer(lease, parent, &layer.diff_id, &layer.chain_id, unpack).map(drop);
        };
        if !has_root {
            inherit_root(staged.path(), parent.as_deref())?;
        }
        self.adopt(lease, staged, parent, &layer.diff_id, &layer.chain_id, bytes).map(drop)
    }
}
