//! Remove: run-time files → layer → directory → volumes → record. The record goes last, so that an engine that
//! is killed in between finds it at the next boot, and goes on; each step may be repeated.

use std::sync::Arc;

use super::create::remove_directory;
use crate::core::{Core, blocking};
use crate::error::Result;
use crate::layout;
use crate::ports::ProcessRef;
use crate::records::{self, Record};

/// `record.status` is `Removing`, and `record.remove_volumes` says whether its volumes go too.
pub(crate) async fn run(core: &Arc<Core>, record: &Record) -> Result<()> {
    let settings = core.settings();
    let storage = core.ports.storage.clone();
    let id = record.id.clone();
    core.failpoints.hit("remove.mark")?;
    if !record.spec.host.auto_remove {
        // From here on a boot finishes the removal.
        let mark = || storage.put_record(&id, &records::write(record), false);
        if mark().is_err() {
            // On a full disk a removal is the way out, and the log often what filled it.
            let _ = std::fs::remove_file(layout::log(&layout::container(&settings.data_root, &id), &id));
            mark()?;
        }
    }
    core.failpoints.hit("remove.process")?;
    core.ports.runtime.forget(&ProcessRef::container(id.clone())).await;

    core.failpoints.hit("remove.layer")?;
    let durable = !record.spec.host.auto_remove;
    let directory = layout::container(&settings.data_root, &id);
    let volumes: Vec<_> = match record.remove_volumes || record.spec.host.auto_remove {
        true => {
            record.anonymous_volumes.iter().map(|name| layout::volume(&settings.data_root, name)).collect()
        }
        false => Vec::new(),
    };
    {
        let (storage, id) = (storage.clone(), id.clone());
        blocking(move || storage.remove_layer(&id)).await?;
    }
    core.failpoints.hit("remove.directory")?;
    remove_directory(directory).await?;
    core.failpoints.hit("remove.volumes")?;
    for volume in volumes {
        remove_directory(volume).await?;
    }
    core.failpoints.hit("remove.record")?;
    if durable {
        blocking(move || storage.delete_record(&id, true)).await
    } else {
        storage.delete_record(&id, false)
    }
}
