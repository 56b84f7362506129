//! Mounts that change: volumes and images that new ones need are got ready, and those of mounts that have gone let go.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::Undo;
use super::create::{give_back, mount_images, note_volumes};
use super::start::foreign_runtime;
use crate::container::remounted::{self, Change};
use crate::container::{ContainerSpec, MountKind, MountPoint, MountSpec, mounts, oci_spec};
use crate::core::Core;
use crate::error::{Class, Error, Result};
use crate::layout;
use crate::records::Record;
use crate::volumes::make::{For, make};
use crate::volumes::{mounting, source};

/// What will be in the record.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) change: Change,
    /// Made for this container alone.
    pub(crate) anonymous: Vec<String>,
}

/// Changes the specification, and makes what is not there yet.
pub(crate) async fn prepare(
    core: &Arc<Core>,
    record: &Record,
    spec: &mut ContainerSpec,
    (add, remove): (&[MountSpec], &[String]),
    undo: &mut Undo,
) -> Result<Prepared> {
    let mut change = remounted::apply(core, spec, &record.mounts, add, remove)?;
    if add.iter().any(is_own_kind) && foreign_runtime(&core.settings(), record)?.is_some() {
        return Err(Error::unsupported(
            "parts of volumes, and images, are mounted by the built-in runtime only, not by another --runtime",
        ));
    }
    mount_images(core, undo, &mut change.added)?;
    note_volumes(&added_volumes(core, record), &change.volumes)?;
    for volume in &change.volumes {
        let (core, id, name) = (core.clone(), record.id.clone(), volume.wanted.name.clone());
        let was_held = record.mounts.iter().any(|point| point.kind == "volume" && point.name == name);
        let whom = For::Container { id: &id, copy_from: volume.copy_from.as_deref() };
        let (_, made) = make(&core, &volume.wanted, whom).await.map_err(|error| match error.class {
            Class::NotFound => Error::invalid(error.message),
            _ => error,
        })?;
        let goes = made && volume.wanted.anonymous;
        if !was_held {
            undo.push("volume", give_back(core, name, id.clone(), goes));
        }
    }
    // With what was found out while they were got ready.
    for point in &mut change.points {
        if let Some(added) = change.added.iter().find(|added| added.destination == point.destination) {
            point.clone_from(added);
        }
    }
    let names = change.volumes.iter().filter(|volume| volume.wanted.anonymous);
    let anonymous = names.map(|volume| volume.wanted.name.clone()).collect();
    Ok(Prepared { change, anonymous })
}

/// Those that were made are in the record, or taken back: the next engine need not look.
pub(crate) fn forget_note(core: &Core, record: &Record) {
    let path = added_volumes(core, record);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a list of new volumes stays");
    }
}

fn added_volumes(core: &Core, record: &Record) -> PathBuf {
    layout::added_volumes(&layout::container(&core.settings().data_root, &record.id))
}

fn is_own_kind(mount: &MountSpec) -> bool {
    let is_part = |volume: &crate::container::VolumeOptions| !volume.subpath.is_empty();
    matches!(mount.kind, MountKind::Image | MountKind::Container)
        || mount.volume.as_ref().is_some_and(is_part)
}

/// Has the kernel do it, in a container that runs. A plugin's volumes are unmounted by `undo` if it fails.
pub(crate) async fn apply(
    core: &Arc<Core>,
    record: &mut Record,
    added: &HashSet<String>,
    unmounted: Vec<crate::ports::Unmounted>,
    undo: &mut Undo,
) -> Result<()> {
    let id = record.id.clone();
    let is_added = |point: &&mut MountPoint| added.contains(&point.destination);
    let mut noted = Vec::new();
    let plugged = mounting::for_start(core, &id, record.mounts.iter_mut().filter(is_added), &mut noted).await;
    for note in noted {
        let core = core.clone();
        undo.push("plugin's mount", async move {
            mounting::unmount(&core, note).await;
            Ok(())
        });
    }
    let plugged = plugged?;
    let points: Vec<MountPoint> =
        record.mounts.iter().filter(|point| added.contains(&point.destination)).cloned().collect();
    let _turns = source::turns(core, &points).await;
    let volumes = source::sources(core, &id, &points, &plugged).await?;
    let list = oci_spec::of_points(&record.spec.host, &points, &volumes)?;
    core.failpoints.hit("update.mounts")?;
    let changed = core.ports.runtime.change_mounts(&id, unmounted, list).await;
    changed.map_err(|error| Error::invalid(error.message))?;
    mounts::mounted(core, &id, &points);
    Ok(())
}

/// Nothing is mounted from these any more.
pub(crate) async fn let_go(core: &Arc<Core>, record: &Record, gone: &[MountPoint], runs: bool) {
    let still: HashSet<&str> = names(&record.mounts).collect();
    if runs {
        mounts::unmounted(core, &record.id, gone);
    }
    for name in names(gone).filter(|name| !still.contains(name)) {
        mounting::release_one(core, &record.id, name).await;
        core.volumes.release(name, &record.id);
    }
    for point in gone.iter().filter(|point| !point.layer.is_empty()) {
        if let Err(error) = core.ports.storage.discard(&point.layer, &[]) {
            tracing::warn!(container = %record.id, %error, "could not let go of an image's layers");
        }
    }
}

fn names(points: &[MountPoint]) -> impl Iterator<Item = &str> {
    points.iter().filter(|point| point.kind == "volume").map(|point| point.name.as_str())
}
