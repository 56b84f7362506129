//! Remove: run-time files → layer → directory → volumes → record. The record goes last, so that an engine that
//! is killed in between finds it at the next boot, and goes on; each step may be repeated. A `--rm` container goes
//! the short way.

use std::path::PathBuf;
use std::sync::Arc;

use super::create::remove_directory;
use crate::core::{Core, blocking};
use crate::error::Result;
use crate::layout;
use crate::ports::ProcessRef;
use crate::records::{self, Record};
use crate::volumes::remove::gone;

/// `record.status` is `Removing`, and `record.remove_volumes` says whether its volumes go too.
pub(crate) async fn run(core: &Arc<Core>, record: &Record) -> Result<()> {
    let settings = core.settings();
    let directory = layout::container(&settings.data_root, &record.id);
    let mut volumes = Vec::new();
    let takes_along = record.remove_volumes || record.spec.host.auto_remove;
    for name in record.mounts.iter().filter(|point| point.kind == "volume").map(|point| &point.name) {
        let is_last = core.volumes.release(name, &record.id);
        if takes_along && is_last && record.anonymous_volumes.contains(name) {
            volumes.push(name.clone());
        }
    }
    for point in record.mounts.iter().filter(|point| !point.layer.is_empty()) {
        core.ports.storage.discard(&point.layer, &[])?;
    }
    let removed = match record.spec.host.auto_remove {
        true => at_once(core, record, directory, &volumes).await,
        false => thoroughly(core, record, directory, &volumes).await,
    };
    if removed.is_err() {
        // It is still there, and still refers to what is left of them.
        for point in record.mounts.iter().filter(|point| point.kind == "volume") {
            core.volumes.hold(&point.name, &record.id);
        }
    }
    removed
}

/// Where an anonymous volume lies, if it is there: a removal may be the second try.
fn place(core: &Core, name: &str) -> Option<PathBuf> {
    Some(layout::volume(&core.settings().data_root, name)).filter(|place| place.exists())
}

/// Returns when its disk space is free, and the removal survives a power cut.
async fn thoroughly(core: &Arc<Core>, record: &Record, directory: PathBuf, volumes: &[String]) -> Result<()> {
    let storage = core.ports.storage.clone();
    let id = record.id.clone();
    core.failpoints.hit("remove.mark")?;
    let mut made_room = false;
    // From here on a boot finishes the removal.
    let mark = || storage.put_record(&id, &records::write(record), false);
    if mark().is_err() {
        // On a full disk a removal is the way out, and the log often what filled it.
        let _ = std::fs::remove_file(layout::log(&directory, &id));
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
    remove_directory(directory).await?;
    core.failpoints.hit("remove.volumes")?;
    for name in volumes {
        if let Some(place) = place(core, name) {
            remove_directory(place).await?;
        }
        gone(core, name);
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
async fn at_once(core: &Arc<Core>, record: &Record, directory: PathBuf, volumes: &[String]) -> Result<()> {
    let storage = core.ports.storage.clone();
    let process = ProcessRef::container(record.id.clone());
    core.failpoints.hit("remove.process")?;
    core.ports.runtime.settled(&process).await;
    core.failpoints.hit("remove.layer")?;
    // Last: it has the list of volumes without a record.
    let mut places: Vec<_> = volumes.iter().filter_map(|name| place(core, name)).collect();
    places.push(directory);
    storage.discard(&record.id, &places)?;
    volumes.iter().for_each(|name| gone(core, name));
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
