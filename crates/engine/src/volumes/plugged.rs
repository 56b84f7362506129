//! Volumes of plugins. What there is says the plugin; the engine's record adds labels, options and who refers to it.
//!
//! A plugin that hangs holds up those who want something of it, each for a while, and nobody else: lists are answered
//! without it, with a warning.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::make::{For, Wanted};
use super::record::Record;
use super::registry::Entry;
use super::remove::no_such_volume;
use super::{ANONYMOUS, LOCAL, Scope, Volume, event};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::failpoints::is_crash;
use crate::ports::{PluginError, PluginErrorKind, PluginVolume};

/// How long an answer to everybody waits for one plugin.
const LIST_WAIT: Duration = Duration::from_secs(3);
/// How long the end of a container waits for its anonymous volume to go.
const REMOVE_WAIT: Duration = Duration::from_secs(5);

pub(super) fn error(error: PluginError) -> Error {
    match error.kind {
        PluginErrorKind::NotFound => Error::not_found(error.message),
        PluginErrorKind::Unusable | PluginErrorKind::Open | PluginErrorKind::Refused => {
            Error::internal(error.message)
        }
    }
}

/// As it is shown: what the plugin says, and what the record adds.
fn shown(driver: &str, found: PluginVolume, is_global: bool, entry: Option<&Entry>) -> Volume {
    let known = entry.map(|entry| &entry.volume);
    Volume {
        name: found.name,
        driver: driver.to_owned(),
        scope: if is_global { Scope::Global } else { Scope::Local },
        mountpoint: found.mountpoint,
        created: found.created,
        labels: known.map(|volume| volume.labels.clone()).unwrap_or_default(),
        options: known.map(|volume| volume.options.clone()).unwrap_or_default(),
        status: found.status,
        usage: None,
    }
}

/// Asks the plugin for a volume. `None`: it has no such one, or does not want to say.
async fn look(core: &Core, driver: &str, name: &str) -> Result<Option<PluginVolume>> {
    match core.ports.plugins.get(driver, name).await {
        Ok(found) => Ok(found),
        Err(why) if why.kind == PluginErrorKind::Refused => {
            tracing::debug!(volume = %name, %driver, why = %why.message, "its plugin does not have it");
            Ok(None)
        }
        Err(why) => Err(error(why).context(format_args!(
            "error while checking if volume \"{name}\" exists in driver \"{driver}\""
        ))),
    }
}

/// One that is known here.
pub(super) async fn inspect(core: &Core, entry: &Entry) -> Result<Volume> {
    let (name, driver) = (&entry.volume.name, &entry.volume.driver);
    let found = look(core, driver, name).await.map_err(|error| error.context(format_args!("get {name}")))?;
    let found = found.ok_or_else(|| no_such_volume(name))?;
    let is_global = core.ports.plugins.is_global(driver).await;
    Ok(shown(driver, PluginVolume { name: name.clone(), ..found }, is_global, Some(entry)))
}

/// A volume that some plugin has and nobody here has used yet. Where several have one, the first by name.
pub(super) async fn find(core: &Arc<Core>, name: &str) -> Option<Volume> {
    let drivers: BTreeSet<String> = core.ports.plugins.names().into_iter().collect();
    let mut asked = JoinSet::new();
    for driver in drivers {
        let (core, name) = (core.clone(), name.to_owned());
        asked.spawn(async move {
            let plugins = &core.ports.plugins;
            let question = async {
                let found = plugins.get(&driver, &name).await.ok().flatten()?;
                Some((found, plugins.is_global(&driver).await))
            };
            let (found, is_global) = tokio::time::timeout(LIST_WAIT, question).await.ok().flatten()?;
            Some(shown(&driver, PluginVolume { name, ..found }, is_global, None))
        });
    }
    let mut found: Vec<Volume> = asked.join_all().await.into_iter().flatten().collect();
    found.sort_by(|a, b| a.driver.cmp(&b.driver));
    found.into_iter().next()
}

/// All that plugins have, of the `wanted` drivers, and what those cannot be asked about. Docker's warnings.
pub(super) async fn list(core: &Arc<Core>, wanted: impl Fn(&str) -> bool) -> (Vec<Volume>, Vec<String>) {
    let plugins = &core.ports.plugins;
    let entries: Vec<Entry> =
        core.volumes.all().into_iter().filter(|entry| entry.volume.driver != LOCAL).collect();
    let mut known: BTreeSet<String> = entries.iter().map(|entry| entry.volume.driver.clone()).collect();
    known.extend(plugins.drivers());
    let drivers: BTreeSet<String> = known.iter().cloned().chain(plugins.names()).collect();
    let mut asked = JoinSet::new();
    for driver in drivers.into_iter().filter(|driver| wanted(driver)) {
        let core = core.clone();
        asked.spawn(async move {
            let plugins = &core.ports.plugins;
            let question = async {
                let found = plugins.list(&driver).await?;
                let is_global = !found.is_empty() && plugins.is_global(&driver).await;
                Ok((found, is_global))
            };
            let answer = tokio::time::timeout(LIST_WAIT, question).await.unwrap_or_else(|_| {
                let message = format!("it has not answered for {} s", LIST_WAIT.as_secs());
                Err(PluginError { kind: PluginErrorKind::Open, message })
            });
            (driver, answer)
        });
    }
    let of = |driver: &str, name: &str| {
        entries.iter().find(|entry| entry.volume.driver == driver && entry.volume.name == name)
    };
    let (mut volumes, mut warnings) = (Vec::new(), Vec::new());
    for (driver, answer) in asked.join_all().await {
        match answer {
            Ok((found, is_global)) => volumes.extend(found.into_iter().map(|found| {
                let entry = of(&driver, &found.name);
                Volume { status: None, ..shown(&driver, found, is_global, entry) }
            })),
            // A socket that somebody left, or a plugin of another kind.
            Err(_) if !known.contains(&driver) => {}
            Err(error) => {
                warnings.push(format!("list {driver}: {}", error.message));
                let own = entries.iter().filter(|entry| entry.volume.driver == driver);
                volumes.extend(own.map(|entry| Volume::clone(&entry.volume)));
            }
        }
    }
    warnings.sort();
    (volumes, warnings)
}

/// Before a volume is made: what there is of its name, looked for with plugins, too. What a plugin has no more is
/// forgotten. Docker's words.
pub(super) async fn known(core: &Arc<Core>, wanted: &Wanted, known: Option<Entry>) -> Result<Option<Entry>> {
    let (name, plugins) = (&wanted.name, &core.ports.plugins);
    let doing = || format!("create {name}");
    let Some(entry) = known else {
        if !wanted.driver.is_empty() || wanted.anonymous {
            return Ok(None);
        }
        let Some(found) = find(core, name).await else { return Ok(None) };
        let (storage, record) = (core.ports.storage.clone(), Record::of(&found));
        blocking(move || storage.put_volume(&record.name, &record.write(), true)).await?;
        core.volumes.insert(found, true);
        return Ok(core.volumes.get(name));
    };
    let driver = &entry.volume.driver;
    if !matches!(wanted.driver.as_str(), "" | LOCAL) && wanted.driver != *driver {
        plugins.look_up(&wanted.driver).await.map_err(|why| error(why).context(doing()))?;
    }
    let unique = |why: String| Error::conflict(format!("{}: {why}: volume name must be unique", doing()));
    if driver != LOCAL {
        match look(core, driver, name).await {
            Ok(Some(_)) => {}
            Ok(None) if entry.holders.is_empty() => {
                forget(core, name).await?;
                core.volumes.remove(name);
                return Ok(None);
            }
            Ok(None) => {
                return Err(unique(format!(
                    "found references to volume '{name}' in driver '{driver}' but the volume was not found in the \
                     driver -- you may need to remove containers referencing this volume or force remove the volume \
                     to re-create it"
                )));
            }
            Err(error) => {
                return Err(unique(format!(
                    "found reference to volume '{name}' in driver '{driver}', but got an error while checking the \
                     driver: {error}"
                )));
            }
        }
    }
    match wanted.driver.as_str() {
        "" => Ok(Some(entry)),
        same if same == driver => Ok(Some(entry)),
        _ => Err(unique(format!("driver '{driver}' already has volume '{name}'"))),
    }
}

/// A new one, unless the plugin has it already. The record comes first, and says that nobody was told of it yet: an
/// engine that finds it so has the plugin take the volume back.
pub(super) async fn fresh(core: &Arc<Core>, wanted: &Wanted, whom: For<'_>) -> Result<Arc<Volume>> {
    let (name, driver, plugins) = (&wanted.name, &wanted.driver, &core.ports.plugins);
    let doing = format!("create {name}");
    plugins.look_up(driver).await.map_err(|why| error(why).context(&doing))?;
    let found = plugins.get(driver, name).await.ok().flatten();
    let is_new = found.is_none();
    let mut labels = wanted.labels.clone();
    if wanted.anonymous {
        labels.insert(ANONYMOUS.into(), String::new());
    }
    let found = found.unwrap_or_default();
    let shown =
        shown(driver, PluginVolume { name: name.clone(), ..found }, plugins.is_global(driver).await, None);
    let volume = Volume { labels, options: wanted.options.clone(), ..shown };
    let durable = matches!(whom, For::Client { .. });
    let made = steps(core, &volume, is_new, durable).await;
    if made.is_err()
        && !is_crash(&made)
        && let Err(error) = core.ports.storage.delete_volume(name, false)
    {
        tracing::warn!(volume = %name, %error, "could not take its record back");
    }
    made.map_err(|error| error.context(doing))?;
    Ok(core.volumes.insert(volume, true))
}

async fn steps(core: &Arc<Core>, volume: &Volume, is_new: bool, durable: bool) -> Result<()> {
    let record = |making| Record { making, ..Record::of(volume) };
    let put = async |record: Record| {
        let storage = core.ports.storage.clone();
        blocking(move || storage.put_volume(&record.name, &record.write(), durable)).await
    };
    core.failpoints.hit("volume.record")?;
    put(record(is_new)).await?;
    if !is_new {
        return Ok(());
    }
    core.failpoints.hit("volume.plugin")?;
    let (plugins, driver, name) = (&core.ports.plugins, &volume.driver, &volume.name);
    match plugins.create(driver, name, &volume.options).await {
        Ok(()) => {}
        Err(why) => {
            if why.kind == PluginErrorKind::Open {
                take_back(core.clone(), driver.clone(), name.clone());
            }
            return Err(error(why));
        }
    }
    let told = async {
        core.failpoints.hit("volume.publish")?;
        put(record(false)).await
    };
    let told = told.await;
    if told.is_err() && !is_crash(&told) {
        let _ = plugins.remove(driver, name).await;
    }
    told
}

/// What a plugin may have made for nobody. It has had its chance if it is not there.
fn take_back(core: Arc<Core>, driver: String, name: String) {
    tokio::spawn(async move {
        if let Err(why) = core.ports.plugins.remove(&driver, &name).await {
            tracing::warn!(volume = %name, %driver, why = %why.message, "its plugin may have made it for nobody");
        }
    });
}

/// What an earlier engine had begun to make: the plugin removes it, if it has it, and the record goes.
pub(super) fn undo_making(core: &Arc<Core>, record: &Record) {
    let (core, driver, name) = (core.clone(), record.driver.clone(), record.name.clone());
    tokio::spawn(async move {
        let _turn = core.volumes.turn(&name).await;
        if let Err(why) = core.ports.plugins.remove(&driver, &name).await {
            tracing::debug!(volume = %name, %driver, why = %why.message, "its plugin did not take it back");
        }
        if core.volumes.get(&name).is_none()
            && let Err(error) = forget(&core, &name).await
        {
            tracing::warn!(volume = %name, %error, "could not delete its record");
        }
    });
}

async fn forget(core: &Core, name: &str) -> Result<()> {
    let (storage, name) = (core.ports.storage.clone(), name.to_owned());
    blocking(move || storage.delete_volume(&name, true)).await
}

/// One that nobody refers to, taken out of the registry. `force`: whatever the plugin says, the engine forgets it.
pub(super) async fn remove(core: &Arc<Core>, entry: Entry, force: bool) -> Result<()> {
    let (name, driver) = (entry.volume.name.clone(), entry.volume.driver.clone());
    let removed = async {
        match look(core, &driver, &name).await {
            // It cannot be asked, and the user wants to be rid of it.
            Err(_) if force => return Ok(()),
            Err(error) => return Err(error.context(format_args!("get {name}"))),
            Ok(None) => return Err(no_such_volume(&name)),
            Ok(Some(_)) => {}
        }
        core.failpoints.hit("volume.tree")?;
        let removed = core.ports.plugins.remove(&driver, &name).await;
        removed.map_err(|why| error(why).context(format_args!("remove {name}")))
    };
    let removed = removed.await;
    let goes = match &removed {
        Ok(()) => true,
        Err(error) => force || error.class == crate::error::Class::NotFound,
    };
    if !goes || is_crash(&removed) {
        core.volumes.put_back(entry);
        return removed;
    }
    core.failpoints.hit("volume.forget")?;
    if let Err(error) = forget(core, &name).await {
        core.volumes.put_back(entry);
        return Err(error.context(format_args!("remove {name}")));
    }
    if removed.is_ok() {
        event(core, &name, "destroy", &[("driver", &driver)]);
    }
    removed
}

/// One that only its plugin knows of.
pub(super) async fn remove_unknown(core: &Arc<Core>, volume: &Volume) -> Result<()> {
    let (name, driver) = (&volume.name, &volume.driver);
    let removed = core.ports.plugins.remove(driver, name).await;
    removed.map_err(|why| error(why).context(format_args!("remove {name}")))?;
    event(core, name, "destroy", &[("driver", driver)]);
    Ok(())
}

/// An anonymous one goes with its container. One that its plugin does not let go stays, for `volume rm`.
pub(crate) async fn take_along(core: &Arc<Core>, entry: Entry) {
    let core = core.clone();
    let removing = tokio::spawn(async move {
        let name = entry.volume.name.clone();
        let _turn = core.volumes.turn(&name).await;
        match remove(&core, entry, false).await {
            Ok(()) => {}
            Err(error) if error.class == crate::error::Class::NotFound => {}
            Err(error) => tracing::warn!(volume = %name, %error, "could not remove it with its container"),
        }
    });
    let _ = tokio::time::timeout(REMOVE_WAIT, removing).await;
}

/// Where a plugin says that its files are.
pub(super) fn check_place(volume: &Volume, place: PathBuf) -> Result<PathBuf> {
    match place.is_absolute() {
        true => Ok(place),
        false => Err(Error::internal(format!(
            "the plugin {} says that volume {} is mounted at {:?}, which is no place",
            volume.driver,
            volume.name,
            place.display().to_string()
        ))),
    }
}
