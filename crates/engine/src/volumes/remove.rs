//! Removing a volume: mark → data → record. The mark is a record, so that whichever engine finds it goes on: a volume
//! that has lost a part of its data is never seen again.

use std::path::Path;
use std::sync::Arc;

use super::record::Record;
use super::registry::Entry;
use super::{LOCAL, Volume, event, plugged};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::failpoints::is_crash;
use crate::layout;
use crate::quota;

/// Docker's text for a volume nobody knows.
pub(crate) fn no_such_volume(name: &str) -> Error {
    Error::not_found(format!("get {name}: no such volume"))
}

/// Unless a container refers to it. Returns when its disk space is free. `force` rules over a plugin.
pub(super) async fn run(core: &Arc<Core>, name: &str, force: bool) -> Result<()> {
    let _turn = core.volumes.turn(name).await;
    if core.volumes.get(name).is_none()
        && let Some(volume) = plugged::find(core, name).await
    {
        return plugged::remove_unknown(core, &volume).await;
    }
    let in_use = |holders: Vec<String>| {
        Error::conflict(format!("remove {name}: volume is in use - [{}]", holders.join(", ")))
    };
    let entry = core.volumes.take(name, None).map_err(in_use)?.ok_or_else(|| no_such_volume(name))?;
    if entry.volume.driver != LOCAL {
        return plugged::remove(core, entry, force).await;
    }
    let removed = steps(core, &entry.volume).await;
    if removed.is_err() && !is_crash(&removed) {
        take_mark_back(core, &entry);
        core.volumes.put_back(entry.clone());
    }
    removed.map_err(|error| error.context(format_args!("remove {name}")))?;
    event(core, name, "destroy", &[("driver", &entry.volume.driver)]);
    Ok(())
}

async fn steps(core: &Arc<Core>, volume: &Volume) -> Result<()> {
    core.failpoints.hit("volume.mark")?;
    let mark = Record { removing: true, ..Record::of(volume) };
    core.ports.storage.put_volume(&volume.name, &mark.write(), false)?;
    core.failpoints.hit("volume.tree")?;
    finish(core, &volume.name).await
}

/// What is left to do behind the mark. May be repeated.
pub(super) async fn finish(core: &Arc<Core>, name: &str) -> Result<()> {
    let place = layout::volume(&core.settings().data_root, name);
    // Unless it is limited, nothing.
    core.ports.storage.release_limit(&layout::volume_data(&core.settings().data_root, name));
    let failed = format!("error removing volume path '{}'", place.display());
    blocking(move || archive::remove_tree(&place))
        .await
        .map_err(|error| Error::internal(error.to_string()).context(failed))?;
    core.failpoints.hit("volume.forget")?;
    let (storage, name) = (core.ports.storage.clone(), name.to_owned());
    blocking(move || storage.delete_volume(&name, true)).await
}

/// Some of it may be gone, but what is left is somebody's.
fn take_mark_back(core: &Core, entry: &Entry) {
    let name = &entry.volume.name;
    let storage = &core.ports.storage;
    renew_limit(core, &entry.volume);
    let taken = match entry.recorded {
        true => storage.put_volume(name, &Record::of(&entry.volume).write(), false),
        false => storage.delete_volume(name, false),
    };
    if let Err(error) = taken {
        tracing::warn!(volume = %name, %error, "could not take the mark of its removal back");
    }
}

/// The limit of a volume that has one: it may have been let go, or lost when the machine stopped.
pub(super) fn renew_limit(core: &Core, volume: &Volume) {
    if let Ok(Some(bytes)) = quota::of_volume(&volume.options)
        && let Err(error) = core.ports.storage.renew_limit(&volume.mountpoint, bytes)
    {
        tracing::warn!(volume = %volume.name, %error, "it is not limited to its size");
    }
}

/// Its data is about to be deleted at this place; a limit that it has goes first.
pub(crate) fn let_go(core: &Core, volume: &Volume, data: &Path) {
    if volume.options.contains_key("size") {
        core.ports.storage.release_limit(data);
    }
}

/// Its directory went with a container's, whose anonymous volume it was.
pub(crate) fn gone(core: &Core, entry: &Entry) {
    let name = &entry.volume.name;
    if entry.recorded
        && let Err(error) = core.ports.storage.delete_volume(name, false)
    {
        tracing::warn!(volume = %name, %error, "could not delete its record");
    }
    event(core, name, "destroy", &[("driver", &entry.volume.driver)]);
}
