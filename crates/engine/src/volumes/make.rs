//! Making a volume, for a client or for a container that names it, and filling it with what the image has at its place.
//!
//! A fresh volume is filled beside its place and then renamed: whoever finds a volume's data finds all of it. The record,
//! where one is needed, comes first; one without data is of a volume that nobody was told of.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::record::Record;
use super::registry::Entry;
use super::{ANONYMOUS, LOCAL, Volume, boot, event, local, mounting, plugged, remove};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::failpoints::is_crash;
use crate::layout;
use crate::quota;
use crate::takeback::{patiently, remove_directory};

/// A volume that must be there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// Empty: whichever has it.
    pub(crate) driver: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) anonymous: bool,
}

/// What puts the first data into a client's new volume; called once, with its directory, in a blocking thread.
pub(crate) struct Filling(Mutex<Option<Fill>>);

type Fill = Box<dyn FnOnce(&Path) -> Result<()> + Send>;

impl Filling {
    pub(super) fn new(fill: impl FnOnce(&Path) -> Result<()> + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(fill))))
    }

    fn take(&self) -> Option<Fill> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filling").finish_non_exhaustive()
    }
}

/// For whom.
#[derive(Debug, Clone, Copy)]
pub(crate) enum For<'a> {
    /// A client: it must survive a power cut when it is told.
    Client { filling: Option<&'a Filling> },
    /// A container, which refers to it from now on. An empty volume takes over what the image has at `copy_from`.
    Container { id: &'a str, copy_from: Option<&'a str> },
}

/// The volume, and whether it was made now.
pub(crate) async fn make(core: &Arc<Core>, wanted: &Wanted, whom: For<'_>) -> Result<(Arc<Volume>, bool)> {
    let _turn = core.volumes.turn(&wanted.name).await;
    let known = core.volumes.get(&wanted.name).or_else(|| found(core, &wanted.name));
    let Some(known) = plugged::known(core, wanted, known).await? else {
        let volume = fresh(core, wanted, whom).await?;
        event(core, &volume.name, "create", &[("driver", &volume.driver)]);
        if let For::Container { id, copy_from } = whom {
            let filled = match copy_from {
                Some(path) if !volume.options.is_empty() || volume.driver != LOCAL => {
                    let place = if volume.driver == LOCAL { Place::its_own(&volume) } else { Place::Shared };
                    fill_empty(core, &volume, id, path, place).await
                }
                _ => Ok(()),
            };
            if filled.is_err() && wanted.anonymous {
                match core.volumes.take(&volume.name, None) {
                    // Behind our back: it is our turn with its name.
                    Ok(Some(entry)) if volume.driver != LOCAL => {
                        let core = core.clone();
                        tokio::spawn(async move { plugged::take_along(&core, entry).await });
                    }
                    Ok(Some(entry)) => {
                        let place = layout::volume(&core.settings().data_root, &volume.name);
                        remove::let_go(core, &volume, &volume.mountpoint);
                        let _ = patiently(|| remove_directory(&place)).await;
                        remove::gone(core, &entry);
                    }
                    Ok(None) | Err(_) => {}
                }
            }
            filled?;
            core.volumes.hold(&volume.name, id);
        }
        return Ok((volume, true));
    };
    if known.volume.driver == LOCAL {
        check_size(wanted, &known.volume)?;
    }
    if matches!(whom, For::Client { .. }) && known.volume.driver == LOCAL && !known.volume.mountpoint.exists()
    {
        // Somebody took its directory away.
        directory(&layout::volume(&core.settings().data_root, &wanted.name), 0o701)?;
        data_directory(core, &known.volume, &known.volume.mountpoint).await?;
    }
    if let For::Container { id, copy_from } = whom {
        let place = match known.holders.iter().any(|holder| holder != id) {
            true => Place::Shared,
            false => Place::its_own(&known.volume),
        };
        if let Some(path) = copy_from {
            fill_empty(core, &known.volume, id, path, place).await?;
        }
        core.volumes.hold(&wanted.name, id);
    }
    Ok((known.volume, false))
}

/// Who wants a limit gets that limit, or an error.
fn check_size(wanted: &Wanted, known: &Volume) -> Result<()> {
    if !wanted.options.contains_key("size")
        || quota::of_volume(&wanted.options)? == quota::of_volume(&known.options)?
    {
        return Ok(());
    }
    let has = known.options.get("size").map_or("no size".to_owned(), |size| format!("size={size}"));
    let name = &wanted.name;
    Err(Error::conflict(format!("create {name}: there is a volume {name} already, with {has}")))
}

/// Where its files go; it may be limited.
async fn data_directory(core: &Arc<Core>, volume: &Volume, path: &Path) -> Result<()> {
    let Some(bytes) = quota::of_volume(&volume.options)? else { return directory(path, 0o755) };
    let (storage, path) = (core.ports.storage.clone(), path.to_owned());
    blocking(move || storage.make_limited(&path, bytes)).await
}

/// One whose directory somebody made, or put back, while this engine ran.
fn found(core: &Core, name: &str) -> Option<Entry> {
    let root = core.settings().data_root.clone();
    if local::check_name(name).is_err() || !layout::volume_data(&root, name).exists() {
        return None;
    }
    core.volumes.insert(boot::adopted(core, name, &layout::volume(&root, name)), false);
    core.volumes.get(name)
}

async fn fresh(core: &Arc<Core>, wanted: &Wanted, whom: For<'_>) -> Result<Arc<Volume>> {
    let doing = format!("create {}", wanted.name);
    if !matches!(wanted.driver.as_str(), "" | LOCAL) {
        return plugged::fresh(core, wanted, whom).await;
    }
    local::check_name(&wanted.name)?;
    local::check_options(&wanted.options).map_err(|error| error.context(&doing))?;
    let root = core.settings().data_root.clone();
    let mut labels = wanted.labels.clone();
    if wanted.anonymous {
        labels.insert(ANONYMOUS.into(), String::new());
    }
    let volume = Volume {
        name: wanted.name.clone(),
        driver: LOCAL.into(),
        mountpoint: layout::volume_data(&root, &wanted.name),
        created: Some(core.ports.clock.now()),
        labels,
        options: wanted.options.clone(),
        ..Volume::default()
    };
    let token = match whom {
        For::Client { .. } => core.ports.ids.id(),
        For::Container { id, .. } => id.to_owned(),
    };
    let place = layout::volume(&root, &wanted.name);
    let begun = place.join(token);
    // A container's named or anonymous volume says all with its directory.
    let recorded =
        matches!(whom, For::Client { .. }) || !wanted.labels.is_empty() || !wanted.options.is_empty();
    let made = steps(core, &volume, &begun, whom, recorded).await;
    if made.is_err() && !is_crash(&made) {
        // What the one had been renamed to: it was not there before.
        remove::let_go(core, &volume, &begun);
        remove::let_go(core, &volume, &volume.mountpoint);
        let trees = || remove_directory(&begun).and(remove_directory(&volume.mountpoint));
        let _ = patiently(trees).await;
        // Unless there is something in it.
        let _ = std::fs::remove_dir(&place);
        if recorded
            && let Err(error) = patiently(|| core.ports.storage.delete_volume(&volume.name, false)).await
        {
            tracing::warn!(volume = %volume.name, %error, "could not take its record back");
        }
    }
    made?;
    Ok(core.volumes.insert(volume, recorded))
}

async fn steps(core: &Arc<Core>, volume: &Volume, begun: &Path, whom: For<'_>, recorded: bool) -> Result<()> {
    core.failpoints.hit("volume.directory")?;
    let place = begun.parent().unwrap_or(begun);
    directory(place, 0o701)?;
    data_directory(core, volume, begun)
        .await
        .map_err(|error| error.context(format_args!("create {}", volume.name)))?;
    if let For::Container { id, copy_from: Some(path) } = whom
        && volume.options.is_empty()
    {
        fill(core, id, path, begun).await?;
    }
    if let For::Client { filling } = whom
        && let Some(fill) = filling.and_then(Filling::take)
    {
        let begun = begun.to_owned();
        blocking(move || fill(&begun)).await?;
    }
    core.failpoints.hit("volume.record")?;
    if recorded {
        let (storage, record) = (core.ports.storage.clone(), Record::of(volume));
        blocking(move || storage.put_volume(&record.name, &record.write(), true)).await?;
    }
    core.failpoints.hit("volume.data")?;
    let data = &volume.mountpoint;
    std::fs::rename(begun, data).map_err(|error| {
        Error::internal(format!("rename {} to {}: {error}", begun.display(), data.display()))
    })?;
    if matches!(whom, For::Client { .. }) {
        let places = [place.to_owned(), layout::volumes(&core.settings().data_root)];
        blocking(move || places.iter().try_for_each(sync)).await?;
    }
    core.failpoints.hit("volume.publish")
}

fn directory(path: &Path, mode: u32) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|error| Error::internal(format!("mkdir {}: {error}", path.display())))
}

pub(super) fn sync(directory: &PathBuf) -> Result<()> {
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::internal(format!("sync {}: {error}", directory.display())))
}

async fn fill(core: &Arc<Core>, container: &str, path: &str, to: &Path) -> Result<()> {
    let storage = core.ports.storage.clone();
    let (container, path, to) = (container.to_owned(), PathBuf::from(path), to.to_owned());
    blocking(move || storage.copy_out(&container, &path, &to)).await
}

/// Where an empty volume is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a directory that then takes the place of its own.
    Beside,
    /// In its own, which is limited, and of which nobody else knows: what cannot be finished is taken back.
    Limited,
    /// Where others may be, or what is not ours.
    Shared,
}

impl Place {
    /// Nobody else refers to it.
    fn its_own(volume: &Volume) -> Self {
        match volume.options.keys().all(|key| key == "size") {
            true if volume.options.is_empty() => Self::Beside,
            true => Self::Limited,
            false => Self::Shared,
        }
    }
}

/// One that is there already, if there is nothing in it.
async fn fill_empty(
    core: &Arc<Core>,
    volume: &Volume,
    container: &str,
    path: &str,
    place: Place,
) -> Result<()> {
    let data = match local::data(volume) {
        local::Data::Directory(data, _) => data,
        // What is mounted only with a container is filled by its set-up code.
        local::Data::Mounted { .. } => return Ok(()),
        local::Data::Plugged => return fill_plugged(core, volume, container, path).await,
    };
    let data = &data;
    local::check_directory(volume, data).map_err(|error| error.context("failed to populate volume"))?;
    let is_empty = match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => return Err(Error::internal(format!("read {}: {error}", data.display()))),
    };
    if !is_empty {
        return Ok(());
    }
    if place != Place::Beside {
        let filled = fill(core, container, path, data).await;
        if filled.is_err() && place == Place::Limited {
            let _ = patiently(|| empty(data)).await;
        }
        return filled;
    }
    let begun = layout::volume(&core.settings().data_root, &volume.name).join(container);
    directory(&begun, 0o755)?;
    let filled = async {
        fill(core, container, path, &begun).await?;
        match std::fs::rename(&begun, data) {
            Ok(()) => Ok(()),
            // Something is mounted there, or it is a link: an administrator's choice.
            Err(_) => fill(core, container, path, data).await,
        }
    };
    let filled = filled.await;
    if begun.exists() {
        let _ = patiently(|| remove_directory(&begun)).await;
    }
    filled
}

/// Removes what is in a directory.
fn empty(directory: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::internal(format!("empty {}: {error}", directory.display()));
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.file_type().map_err(failed)?.is_dir() {
            true => remove_directory(&entry.path())?,
            false => std::fs::remove_file(entry.path()).map_err(failed)?,
        }
    }
    Ok(())
}

/// A plugin's volume is mounted for as long as that takes.
async fn fill_plugged(core: &Arc<Core>, volume: &Volume, container: &str, path: &str) -> Result<()> {
    let (note, place) = mounting::mount(core, volume, container).await?;
    let filled = async {
        let read = std::fs::read_dir(&place);
        let mut entries =
            read.map_err(|error| Error::internal(format!("read {}: {error}", place.display())))?;
        match entries.next() {
            None => fill(core, container, path, &place).await,
            Some(_) => Ok(()),
        }
    };
    let filled = filled.await;
    if !is_crash(&filled) {
        mounting::unmount(core, note).await;
    }
    filled
}
