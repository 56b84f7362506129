//! Create: image → names → directory → layer → volumes → record → task. One durable commit, and none for
//! `--rm`, whose record is written when it is started; the network gets its sandbox ready meanwhile.

use std::path::Path;
use std::sync::Arc;

use super::{Undo, finish};
use crate::container::merge::Merged;
use crate::container::{
    ContainerSpec, MountPoint, NetworkMode, health, links, merge, mounts, names, validate,
};
use crate::core::{Core, blocking};
use crate::error::{Class, Error, Result};
use crate::layout;
use crate::ports::Rootfs;
use crate::quota;
use crate::records::{self, Record};
use crate::takeback::{patiently, remove_directory};
use crate::volumes::make::{For, make};
use crate::volumes::remove::no_such_volume;
use crate::volumes::{self, ANONYMOUS, LOCAL};

/// The container's record and what its user should be warned of. Who owns it from now on is the caller's business.
pub(crate) async fn run(
    core: &Arc<Core>,
    name: &str,
    mut spec: ContainerSpec,
) -> Result<(Record, Vec<String>)> {
    if matches!(spec.host.network_mode, NetworkMode::Bridge | NetworkMode::Named(_)) {
        core.ports.network.prepare();
    }
    let name = names::check(name)?;
    let platform = match spec.platform.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error: oci::PlatformError| Error::invalid(error.to_string()))?),
    };
    let image = core.ports.storage.resolve(&spec.image, platform.as_ref())?;
    // Noted first and then looked up: it is there, and stays, or it has gone a moment ago.
    core.ports.storage.note_use(&image);
    let image = core.ports.storage.resolve(&image.id, None)?;
    let warnings = validate::check(core, &mut spec)?;
    let id = core.ports.ids.id();
    let Merged { path, args } = merge::with_image(&mut spec, &image, &id)?;
    health::validate(&spec)?;
    let log_driver = validate::log_driver(core, &mut spec)?;

    let mut undo = Undo::default();
    let result = steps(core, &mut undo, StepsInput { id, name, spec, image, path, args, log_driver }).await;
    Ok((finish(undo, result).await?, warnings))
}

struct StepsInput {
    id: String,
    name: Option<String>,
    spec: ContainerSpec,
    image: Arc<crate::ports::StoredImage>,
    path: String,
    args: Vec<String>,
    log_driver: String,
}

async fn steps(core: &Arc<Core>, undo: &mut Undo, input: StepsInput) -> Result<Record> {
    let StepsInput { id, name, spec, image, path, args, log_driver } = input;
    let settings = core.settings();
    // On a user's network they are names that only this container has for others: of the endpoint, and not checked.
    let links = match spec.host.network_mode {
        NetworkMode::Named(_) => Vec::new(),
        _ => links::resolve(core, &spec.host.links)?,
    };
    core.failpoints.hit("create.name")?;
    let name = take_name(core, name, &id)?;
    {
        let (core, name, id) = (core.clone(), name.clone(), id.clone());
        undo.push("name", async move {
            core.index.release(&name, &id);
            Ok(())
        });
    }

    core.failpoints.hit("create.directory")?;
    let directory = layout::container(&settings.data_root, &id);
    make_directory(&directory)?;
    undo.push("directory", patiently(move || remove_directory(&directory)));

    core.failpoints.hit("create.layer")?;
    let size = quota::of_container(&spec.host.storage_opt, settings.storage)?;
    let rootfs = core.ports.storage.create_layer(&id, &image, size)?;
    {
        let (storage, id) = (core.ports.storage.clone(), id.clone());
        undo.push("layer", patiently(move || storage.remove_layer(&id)));
    }

    core.failpoints.hit("create.volumes")?;
    let mut plan = mounts::plan(core, &spec, &image)?;
    mount_images(core, undo, &mut plan.points)?;
    note_volumes(&layout::begun_volumes(&layout::container(&settings.data_root, &id)), &plan.volumes)?;
    for volume in &plan.volumes {
        let (core, id, name) = (core.clone(), id.clone(), volume.wanted.name.clone());
        let whom = For::Container { id: &id, copy_from: volume.copy_from.as_deref() };
        // To clients, what is not found is the image, which they pull.
        let not_the_image = |error: Error| match error.class {
            Class::NotFound => Error::invalid(error.message),
            _ => error,
        };
        let (_, made) = make(&core, &volume.wanted, whom).await.map_err(not_the_image)?;
        let goes = made && volume.wanted.anonymous;
        undo.push("volume", give_back(core, name, id.clone(), goes));
    }
    let mut anonymous_volumes: Vec<String> =
        plan.volumes.iter().filter(|v| v.wanted.anonymous).map(|v| v.wanted.name.clone()).collect();
    for name in plan.shared_volumes() {
        let volume = core.volumes.hold(name, &id).ok_or_else(|| no_such_volume(name))?;
        undo.push("volume", give_back(core.clone(), name.to_owned(), id.clone(), false));
        // Whoever is removed last takes it along.
        if volume.labels.contains_key(ANONYMOUS) {
            anonymous_volumes.push(name.to_owned());
        }
    }

    core.failpoints.hit("create.record")?;
    let auto_remove = spec.host.auto_remove;
    let record = Record {
        version: Record::VERSION,
        created: core.ports.clock.now(),
        id,
        name,
        image_id: image.id.clone(),
        image_manifest: image.manifest.as_ref().map(|manifest| manifest.digest.clone()),
        manifest: image.manifest.clone(),
        path,
        args,
        spec: Arc::new(spec),
        rootfs: rootfs.into(),
        driver: core.ports.storage.driver().to_owned(),
        mounts: plan.points,
        anonymous_volumes,
        log_driver,
        status: crate::container::Status::Created,
        pid: 0,
        exit_code: 0,
        error: String::new(),
        oom_killed: false,
        started_at: None,
        finished_at: None,
        restart_count: 0,
        stopped_by_user: false,
        sandbox_id: String::new(),
        endpoints: Vec::new(),
        endpoint: None,
        ports: Vec::new(),
        links,
        remove_volumes: false,
        health: None,
        end: crate::container::End::default(),
        unapplied: None,
        unapplied_ports: None,
        unapplied_mounts: None,
    };
    // A `--rm` container that was not started does not outlive the engine: its record comes with the start.
    if !auto_remove {
        let json = records::write(&record);
        let (storage, id) = (core.ports.storage.clone(), record.id.clone());
        blocking(move || storage.put_record(&id, &json, true)).await?;
        let (storage, id) = (core.ports.storage.clone(), record.id.clone());
        undo.push("record", patiently(move || storage.delete_record(&id, false)));
    }
    core.failpoints.hit("create.publish")?;
    Ok(record)
}

/// The asked-for name, or a free generated one, or in the end the short id.
fn take_name(core: &Core, asked: Option<String>, id: &str) -> Result<String> {
    if let Some(name) = asked {
        core.index.reserve(&name, id)?;
        return Ok(name);
    }
    for attempt in 0..6 {
        let name = names::generate(core.ports.ids.number(), attempt);
        if core.index.reserve(&name, id).is_ok() {
            return Ok(name);
        }
    }
    let name = id[..12].to_owned();
    core.index.reserve(&name, id)?;
    Ok(name)
}

fn make_directory(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o710)
        .create(directory)
        .map_err(|error| Error::internal(format!("mkdir {}: {error}", directory.display())))
}

/// Anonymous volumes have no owner but their container's record. Until that is written, a list in the container's
/// directory tells the next engine what to sweep.
pub(super) fn note_volumes(path: &Path, volumes: &[mounts::VolumePlan]) -> Result<()> {
    let anonymous = volumes.iter().filter(|v| v.wanted.anonymous);
    let names: Vec<&str> = anonymous.map(|v| v.wanted.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    std::fs::write(path, names.join("\n"))
        .map_err(|error| Error::internal(format!("write {}: {error}", path.display())))
}

/// An image that is mounted keeps its layers as long as the container is there; so does one that is mounted in another
/// container, from which it was taken over.
pub(super) fn mount_images(core: &Arc<Core>, undo: &mut Undo, points: &mut [MountPoint]) -> Result<()> {
    for point in points.iter_mut().filter(|point| point.kind == "image") {
        let storage = core.ports.storage.clone();
        point.layer = core.ports.ids.id();
        let image = storage.resolve(&point.name, None)?;
        storage.note_use(&image);
        let rootfs = storage.create_layer(&point.layer, &image, None)?;
        let layer = point.layer.clone();
        undo.push("image", patiently(move || storage.remove_layer(&layer)));
        point.lower = match rootfs {
            Rootfs::Directory(path) => vec![path],
            Rootfs::Overlay { lower, .. } => lower,
        };
        point.source =
            point.lower.first().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    }
    Ok(())
}

/// The container does not come to be: it refers to the volume no more, which goes if it was made for nobody else.
pub(super) async fn give_back(core: Arc<Core>, name: String, container: String, goes: bool) -> Result<()> {
    if !goes {
        core.volumes.release(&name, &container);
    } else if let Ok(Some(entry)) = core.volumes.take(&name, Some(&container)) {
        if entry.volume.driver != LOCAL {
            volumes::plugged::take_along(&core, entry).await;
            return Ok(());
        }
        let place = layout::volume(&core.settings().data_root, &name);
        volumes::remove::let_go(&core, &entry.volume, &entry.volume.mountpoint);
        patiently(|| remove_directory(&place)).await?;
        volumes::remove::gone(&core, &entry);
    }
    Ok(())
}

/// What [`note_volumes`] wrote. Only names that an engine makes up.
pub(crate) fn noted_volumes(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|name| volumes::is_made_up(name)).map(str::to_owned).collect()
}
