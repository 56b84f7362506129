//! Remove: run-time files → layer → directory → volumes → record. The record goes last, so that an engine that
//! is killed in between finds it at the next boot, and goes on; each step may be repeated. A `--rm` container goes
//! the short way.

use std::path::PathBuf;
use std::sync::Arc;

use crate::core::{Core, blocking};
use crate::error::Result;
use crate::layout;
use crate::ports::ProcessRef;
use crate::records::{self, Record};
use crate::takeback::remove_directory;
use crate::volumes::registry::Entry;
use crate::volumes::remove::{gone, let_go};
use crate::volumes::{LOCAL, mounting, plugged};

/// `record.status` is `Removing`, and `record.remove_volumes` says whether its volumes go too.
pub(crate) async fn run(core: &Arc<Core>, record: &Record) -> Result<()> {
    mounting::release(core, &record.id).await;
    let settings = core.settings();
    let directory = layout::container(&settings.data_root, &record.id);
    let mut volumes = Vec::new();
    let takes_along = record.remove_volumes || record.spec.host.auto_remove;
    for name in record.mounts.iter().filter(|point| point.kind == "volume").map(|point| &point.name) {
        if !(takes_along && record.anonymous_volumes.contains(name)) {
            core.volumes.release(name, &record.id);
        } else if let Ok(entry) = core.volumes.take(name, Some(&record.id)) {
            volumes.push(Goes { name: name.clone(), entry });
        }
    }
    for point in record.mounts.iter().filter(|point| !point.layer.is_empty()) {
        core.ports.storage.discard(&point.layer, &[])?;
    }
    let removed = match record.spec.host.auto_remove {
        true => at_once(core, record, directory, &mut volumes).await,
        false => thoroughly(core, record, directory, &mut volumes).await,
    };
    if removed.is_err() {
        // It is still there, and still refers to what is left of them.
        for gone in
            volumes.into_iter().filter(|volume| volume.is_plugged() || place(core, &volume.name).is_some())
        {
            gone.entry.into_iter().for_each(|entry| core.volumes.put_back(entry));
        }
        for point in record.mounts.iter().filter(|point| point.kind == "volume") {
            core.volumes.hold(&point.name, &record.id);
        }
    }
    removed
}

/// An anonymous volume that goes along.
struct Goes {
    name: String,
    /// `None`: a removal that broke off had got as far.
    entry: Option<Entry>,
}

impl Goes {
    fn is_plugged(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.volume.driver != LOCAL)
    }
}

/// Those of plugins go by their plugin.
async fn unplug(core: &Arc<Core>, volumes: &mut [Goes]) {
    for volume in volumes.iter_mut().filter(|volume| volume.is_plugged()) {
        if let Some(entry) = volume.entry.take() {
            plugged::take_along(core, entry).await;
        }
    }
}

/// Where an anonymous volume lies, if it is there: a removal may be the second try.
fn place(core: &Core, name: &str) -> Option<PathBuf> {
    Some(layout::volume(&core.settings().data_root, name)).filter(|place| place.exists())
}

/// Returns when its disk space is free, and the removal survives a power cut.
async fn thoroughly(
    core: &Arc<Core>,
    record: &Record,
    directory: PathBuf,
    volumes: &mut [Goes],
) -> Result<()> {
    let storage = core.ports.storage.clone();
    let id = record.id.clone();
    core.failpoints.hit("remove.mark")?;
    let mut made_room = false;
    // From here on a boot finishes the removal.
    let mark = || storage.put_record(&id, &records::write(record), false);
    if mark().is_err() {
        // On a full disk a removal is the way out, and the log often what filled it.
        let _ = std::fs::remove_file(layout::log(&directory, &id, &record.log_driver));
        if mark().is_err() {
            storage.make_room();
            made_room = true;
            mark()?;
        }
    }
    core.failpoints.hit("remove.process")?;
    core.ports.runtime.forget(&ProcessRef::container(id.clone())).await;

    core.failpoints.hit("remove.layer")?;
    {
        let (storage, id) = (storage.clone(), id.clone());
        blocking(move || storage.remove_layer(&id)).await?;
    }
    core.failpoints.hit("remove.directory")?;
    remove_directory(&directory)?;
    core.failpoints.hit("remove.volumes")?;
    unplug(core, volumes).await;
    for volume in volumes.iter() {
        if let Some(place) = place(core, &volume.name) {
            volume.entry.iter().for_each(|entry| let_go(core, &entry.volume, &entry.volume.mountpoint));
            remove_directory(&place)?;
        }
        volume.entry.iter().for_each(|entry| gone(core, entry));
    }
    core.failpoints.hit("remove.record")?;
    blocking(move || {
        let deleted = storage.delete_record(&id, true);
        if made_room {
            storage.keep_room();
        }
        deleted
    })
    .await
}

/// `--rm`: somebody waits for it who only wanted to run something. Returns when nothing of it lives and its places
/// are empty; deleting files and record goes on. Should the engine die before, the next boot finds a record of a
/// `--rm` container without a process, and removes it.
async fn at_once(core: &Arc<Core>, record: &Record, directory: PathBuf, volumes: &mut [Goes]) -> Result<()> {
    let storage = core.ports.storage.clone();
    let process = ProcessRef::container(record.id.clone());
    core.failpoints.hit("remove.process")?;
    core.ports.runtime.settled(&process).await;
    unplug(core, volumes).await;
    core.failpoints.hit("remove.layer")?;
    // Last: it has the list of volumes without a record.
    let mut places: Vec<_> = volumes.iter().filter_map(|volume| place(core, &volume.name)).collect();
    places.push(directory);
    let entries = || volumes.iter().filter_map(|volume| volume.entry.as_ref());
    entries().for_each(|entry| let_go(core, &entry.volume, &entry.volume.mountpoint));
    storage.discard(&record.id, &places)?;
    entries().for_each(|entry| gone(core, entry));
    core.failpoints.hit("remove.record")?;
    let core = core.clone();
    tokio::spawn(async move {
        core.ports.runtime.forget(&process).await;
        // Nobody is there to be told; this only stops the engine.
        let _ = core.failpoints.hit("remove.behind");
        if let Err(error) = storage.delete_record(&process.container, false) {
            tracing::warn!(container = %process.container, %error, "could not delete its record");
        }
    });
    Ok(())
}
