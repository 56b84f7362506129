//! Boot: which volumes there are. Directories and records together say it; what an earlier engine had begun is undone,
//! what it had begun to remove is removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::record::Record;
use super::{ANONYMOUS, LOCAL, Volume, is_made_up, plugged, remove};
use crate::core::Core;
use crate::error::Result;
use crate::layout;

pub(crate) async fn run(core: &Arc<Core>) -> Result<()> {
    let root = core.settings().data_root.clone();
    let mut records = BTreeMap::new();
    for (name, json) in core.ports.storage.volumes()? {
        match json.and_then(|json| Record::read(&name, &json)) {
            Ok(record) if record.removing => {
                if let Err(error) = remove::finish(core, &name).await {
                    tracing::error!(volume = %name, %error, "could not finish its removal");
                }
            }
            Ok(record) if record.driver != LOCAL && record.making => plugged::undo_making(core, &record),
            // What there is of it, its plugin knows.
            Ok(record) if record.driver != LOCAL => drop(core.volumes.insert(record.into_volume(core), true)),
            Ok(record) => drop(records.insert(name, Some(record))),
            Err(error) => {
                tracing::error!(volume = %name, %error, "its record cannot be read; labels and options are lost");
                records.insert(name, None);
            }
        }
    }
    for place in entries(&layout::volumes(&root)) {
        sweep(core, &place.path());
        let name = place.file_name().to_string_lossy().into_owned();
        if layout::volume_data(&root, &name).is_dir() {
            let record = records.remove(&name);
            let recorded = record.is_some();
            let volume = match record.flatten() {
                Some(record) => record.into_volume(core),
                None => adopted(core, &name, &place.path()),
            };
            remove::renew_limit(core, &volume);
            core.volumes.insert(volume, recorded);
        }
    }
    // Before its data is in place nobody was told of a volume; afterwards somebody took the directory away.
    for name in records.into_keys() {
        tracing::warn!(volume = %name, "it has no data, its record is deleted");
        let _ = std::fs::remove_dir(layout::volume(&root, &name));
        core.ports.storage.delete_volume(&name, false)?;
    }
    Ok(())
}

fn entries(directory: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(directory).into_iter().flatten().flatten()
}

/// What a killed engine had begun to fill.
fn sweep(core: &Core, place: &Path) {
    for begun in entries(place).filter(|begun| begun.file_name().to_str().is_some_and(is_made_up)) {
        core.ports.storage.release_limit(&begun.path());
        let _ = archive::remove_tree(&begun.path());
        let _ = std::fs::remove_dir(place);
    }
}

/// A directory without a record: a container's named or anonymous volume, or one that Docker left.
pub(super) fn adopted(core: &Core, name: &str, place: &Path) -> Volume {
    let made = std::fs::metadata(place).and_then(|data| data.created().or_else(|_| data.modified()));
    let mut labels = BTreeMap::new();
    if is_made_up(name) {
        labels.insert(ANONYMOUS.to_owned(), String::new());
    }
    Volume {
        name: name.to_owned(),
        driver: LOCAL.into(),
        mountpoint: layout::volume_data(&core.settings().data_root, name),
        created: made.ok().and_then(|at| Timestamp::try_from(at).ok()),
        labels,
        ..Volume::default()
    }
}
