//! Volumes of plugins are mounted by their plugin when a container starts, and unmounted when it has ended.
//!
//! Before a plugin is asked to mount, a note of it is on disk, `<data-root>/plugin-mounts/<mount-id>`; it goes when the
//! plugin has unmounted. So nothing stays mounted for nobody: not when the engine is killed at any moment, which the
//! next one finds out, nor when a plugin hangs or is gone, which is tried again until it is there.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LOCAL, Volume, plugged};
use crate::container::MountPoint;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::failpoints::is_crash;
use crate::layout;
use crate::ports::PluginErrorKind;

/// How long the end of a container waits for a plugin.
const UNMOUNT_WAIT: Duration = Duration::from_secs(5);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LAST: Duration = Duration::from_secs(60);

const VERSION: u32 = 1;

/// One mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Note {
    version: u32,
    /// What the plugin knows it by.
    #[serde(skip)]
    id: String,
    driver: String,
    volume: String,
    container: String,
}

/// What is mounted, by container.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Mutex<BTreeMap<String, Vec<Note>>>);

impl Mounts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Note>>> {
        self.0.lock().expect("nothing panics while it holds the mounts")
    }

    fn add(&self, note: Note) {
        self.lock().entry(note.container.clone()).or_default().push(note);
    }

    fn take(&self, container: &str) -> Vec<Note> {
        self.lock().remove(container).unwrap_or_default()
    }

    fn drop_one(&self, note: &Note) {
        let mut mounts = self.lock();
        if let Some(notes) = mounts.get_mut(&note.container) {
            notes.retain(|other| other.id != note.id);
            if notes.is_empty() {
                mounts.remove(&note.container);
            }
        }
    }
}

/// Mounts a volume for a container. Whatever happens from here on, it is unmounted with [`unmount`], [`release`], or by
/// a later engine.
pub(super) async fn mount(core: &Arc<Core>, volume: &Volume, container: &str) -> Result<(Note, PathBuf)> {
    let note = Note {
        version: VERSION,
        id: core.ports.ids.id(),
        driver: volume.driver.clone(),
        volume: volume.name.clone(),
        container: container.to_owned(),
    };
    core.failpoints.hit("mount.note")?;
    write(core, &note)?;
    let noted = core.failpoints.hit("mount.plugin");
    if noted.is_err() && !is_crash(&noted) {
        discard(core, &note);
    }
    noted?;
    let mounted = core.ports.plugins.mount(&note.driver, &note.volume, &note.id).await;
    let doing = || format!("error while mounting volume '{}'", volume.name);
    let place = match mounted {
        Ok(place) => plugged::check_place(volume, place),
        Err(why) => {
            let is_open = why.kind == PluginErrorKind::Open;
            let error = plugged::error(why).context(doing());
            if !is_open {
                discard(core, &note);
                return Err(error);
            }
            Err(error)
        }
    };
    match place {
        Ok(place) => {
            core.mounts.add(note.clone());
            Ok((note, place))
        }
        Err(error) => {
            // It may be mounted, or will be.
            keep_unmounting(core, note);
            Err(error)
        }
    }
}

/// For a container that starts: where the files of its plugins' volumes are, by volume. What is in `mounted` afterwards is
/// to be taken back by a start that fails.
pub(crate) async fn for_start(
    core: &Arc<Core>,
    container: &str,
    points: impl Iterator<Item = &mut MountPoint>,
    mounted: &mut Vec<Note>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut places = BTreeMap::new();
    for point in points.filter(|point| point.kind == "volume") {
        let Some(entry) = core.volumes.get(&point.name).filter(|entry| entry.volume.driver != LOCAL) else {
            continue;
        };
        if !places.contains_key(&point.name) {
            let (note, place) = mount(core, &entry.volume, container).await?;
            mounted.push(note);
            core.failpoints.hit("mount.done")?;
            places.insert(point.name.clone(), place);
        }
        point.source = places[&point.name].to_string_lossy().into_owned();
    }
    Ok(places)
}

/// A plugin has it, which mounts it when it is needed.
pub(crate) fn is_plugged(core: &Core, point: &MountPoint) -> bool {
    point.kind == "volume" && core.volumes.get(&point.name).is_some_and(|entry| entry.volume.driver != LOCAL)
}

/// What plugins have mounted for somebody who looks into a container that does not run, until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    places: BTreeMap<String, PathBuf>,
    notes: Vec<(Arc<Core>, Note)>,
}

impl Lent {
    /// By volume.
    pub(crate) fn places(&self) -> &BTreeMap<String, PathBuf> {
        &self.places
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.notes.is_empty(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        for (core, note) in self.notes.drain(..) {
            runtime.spawn(async move { unmount(&core, note).await });
        }
    }
}

/// Has plugins mount a container's volumes for a look. In a task of its own, as a plugin may take its time: who does not
/// wait any more leaves no mount behind.
pub(crate) async fn lend(core: &Arc<Core>, container: &str, points: &[MountPoint]) -> Result<Lent> {
    let (core, points) = (core.clone(), points.to_vec());
    // No container's, so that none takes it along with its own.
    let holder = format!("look into {container}");
    let lending = tokio::spawn(async move {
        let mut lent = Lent::default();
        for point in points.iter().filter(|point| is_plugged(&core, point)) {
            if lent.places.contains_key(&point.name) {
                continue;
            }
            let Some(entry) = core.volumes.get(&point.name) else { continue };
            let (note, place) = mount(&core, &entry.volume, &holder).await?;
            lent.notes.push((core.clone(), note));
            lent.places.insert(point.name.clone(), place);
        }
        Ok(lent)
    });
    lending.await.map_err(|error| Error::internal(error.to_string()))?
}

/// Unmounts what a container has had. A plugin that does not answer does not hold it up for long.
pub(crate) async fn release(core: &Arc<Core>, container: &str) {
    for note in core.mounts.take(container) {
        unmount(core, note).await;
    }
}

/// Unmounts one of its volumes.
pub(crate) async fn release_one(core: &Arc<Core>, container: &str, volume: &str) {
    let (these, others) = core.mounts.take(container).into_iter().partition(|note| note.volume == volume);
    let (these, others): (Vec<Note>, Vec<Note>) = (these, others);
    others.into_iter().for_each(|note| core.mounts.add(note));
    for note in these {
        unmount(core, note).await;
    }
}

pub(crate) async fn unmount(core: &Arc<Core>, note: Note) {
    core.mounts.drop_one(&note);
    let _ = tokio::time::timeout(UNMOUNT_WAIT, keep_unmounting(core, note)).await;
}

/// Until the plugin has said something, or the engine ends: the next one goes on.
fn keep_unmounting(core: &Arc<Core>, note: Note) -> tokio::task::JoinHandle<()> {
    let core = core.clone();
    tokio::spawn(async move {
        let mut pause = PAUSE_FIRST;
        loop {
            let Err(why) = core.ports.plugins.unmount(&note.driver, &note.volume, &note.id).await else {
                return discard(&core, &note);
            };
            let (volume, driver) = (&note.volume, &note.driver);
            if why.kind == PluginErrorKind::Refused {
                // Its own last word: it was not mounted, or never will be unmounted.
                tracing::warn!(%volume, %driver, why = %why.message, "a plugin does not unmount its volume");
                return discard(&core, &note);
            }
            if pause == PAUSE_FIRST {
                tracing::warn!(%volume, %driver, why = %why.message, "could not unmount a plugin's volume yet");
            }
            core.ports.clock.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    })
}

fn write(core: &Core, note: &Note) -> Result<()> {
    let root = core.settings().data_root.clone();
    let path = layout::plugin_mount(&root, &note.id);
    let json = serde_json::to_vec(note).expect("notes have string keys only");
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(layout::plugin_mounts(&root));
    made.and_then(|()| std::fs::write(&path, json))
        .map_err(|error| Error::internal(format!("write {}: {error}", path.display())))
}

fn discard(core: &Core, note: &Note) {
    let path = layout::plugin_mount(&core.settings().data_root, &note.id);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "could not remove the note of a mount");
    }
}

/// What earlier engines had mounted, by container.
pub(crate) fn load(core: &Core) {
    let root = core.settings().data_root.clone();
    for entry in std::fs::read_dir(layout::plugin_mounts(&root)).into_iter().flatten().flatten() {
        let path = entry.path();
        let read = std::fs::read(&path).ok().and_then(|json| serde_json::from_slice::<Note>(&json).ok());
        match read {
            Some(note) if note.version == VERSION => {
                core.mounts.add(Note { id: entry.file_name().to_string_lossy().into_owned(), ..note });
            }
            Some(note) => tracing::error!(
                path = %path.display(),
                version = note.version,
                "the note of a mount was written by a newer wharf; it is left alone"
            ),
            // An engine was killed while it wrote: nothing was mounted yet.
            None => drop(std::fs::remove_file(&path)),
        }
    }
}

/// Unmounts what containers have that do not run. Behind everybody's back: plugins may not be up yet.
pub(crate) fn sweep(core: &Arc<Core>, runs: impl Fn(&str) -> bool) {
    let containers: Vec<String> = core.mounts.lock().keys().cloned().collect();
    for container in containers.into_iter().filter(|container| !runs(container)) {
        for note in core.mounts.take(&container) {
            keep_unmounting(core, note);
        }
    }
}
