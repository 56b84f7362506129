//! Renaming a volume that no container refers to: record → data → old record. At each moment one of the two names has
//! the data, and a record without data is of no volume.

use std::sync::Arc;

use super::record::Record;
use super::remove::no_such_volume;
use super::{ANONYMOUS, LOCAL, Volume, event, local};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::failpoints::is_crash;
use crate::layout;

pub(super) async fn run(core: &Arc<Core>, old: &str, new: &str) -> Result<()> {
    let doing = format!("rename {old}");
    if old == new {
        return Err(Error::invalid(format!("{doing}: it has this name already")));
    }
    local::check_name(new)?;
    // In the order of the names, so that no two wait for each other.
    let (first, second) = if old < new { (old, new) } else { (new, old) };
    let _turns = (core.volumes.turn(first).await, core.volumes.turn(second).await);
    let entry = core.volumes.get(old).ok_or_else(|| no_such_volume(old))?;
    if entry.volume.driver != LOCAL {
        return Err(Error::unsupported(format!(
            "{doing}: it is a volume of the driver {}, which cannot rename",
            entry.volume.driver
        )));
    }
    if !entry.holders.is_empty() {
        let holders: Vec<_> = entry.holders.iter().cloned().collect();
        return Err(Error::conflict(format!("{doing}: volume is in use - [{}]", holders.join(", "))));
    }
    let root = core.settings().data_root.clone();
    if core.volumes.get(new).is_some() || layout::volume(&root, new).exists() {
        return Err(Error::conflict(format!("{doing}: volume name {new} is already in use")));
    }
    let mut volume = Volume::clone(&entry.volume);
    volume.name = new.to_owned();
    volume.mountpoint = layout::volume_data(&root, new);
    // Now it has a name.
    volume.labels.remove(ANONYMOUS);
    let renamed = steps(core, old, &volume).await;
    if renamed.is_err() && !is_crash(&renamed) {
        let _ = std::fs::rename(layout::volume(&root, new), layout::volume(&root, old));
        if let Err(error) = core.ports.storage.delete_volume(new, false) {
            tracing::warn!(volume = %new, %error, "could not take its record back");
        }
    }
    renamed.map_err(|error| error.context(doing))?;
    core.volumes.remove(old);
    event(core, new, "rename", &[("driver", &volume.driver), ("oldName", old)]);
    core.volumes.insert(volume, true);
    Ok(())
}

async fn steps(core: &Arc<Core>, old: &str, volume: &Volume) -> Result<()> {
    let root = core.settings().data_root.clone();
    core.failpoints.hit("volume.renaming")?;
    let (storage, record) = (core.ports.storage.clone(), Record::of(volume));
    blocking(move || storage.put_volume(&record.name, &record.write(), true)).await?;
    core.failpoints.hit("volume.rename")?;
    let (from, to) = (layout::volume(&root, old), layout::volume(&root, &volume.name));
    std::fs::rename(&from, &to).map_err(|error| {
        Error::internal(format!("rename {} to {}: {error}", from.display(), to.display()))
    })?;
    core.failpoints.hit("volume.renamed")?;
    let (storage, old) = (core.ports.storage.clone(), old.to_owned());
    blocking(move || {
        super::make::sync(&layout::volumes(&root))?;
        storage.delete_volume(&old, true)
    })
    .await
}
