//! Create: image → names → directory → layer → volumes → record → task. One durable commit, and none for
//! `--rm`, whose record is written when it is started; the network gets its sandbox ready meanwhile.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Undo, finish};
use crate::container::merge::Merged;
use crate::container::{ContainerSpec, NetworkMode, health, merge, mounts, names, validate};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::layout;
use crate::records::{self, Record};

/// The container's record and what its user should be warned of. Who owns it from now on is the caller's business.
pub(crate) async fn run(
    core: &Arc<Core>,
    name: &str,
    mut spec: ContainerSpec,
) -> Result<(Record, Vec<String>)> {
    if matches!(spec.host.network_mode, NetworkMode::Bridge) {
        core.ports.network.prepare();
    }
    let name = names::check(name)?;
    let image = core.ports.storage.resolve(&spec.image)?;
    let warnings = validate::check(core, &mut spec, &image)?;
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
    undo.push("directory", remove_directory(directory));

    core.failpoints.hit("create.layer")?;
    let rootfs = core.ports.storage.create_layer(&id, &image)?;
    {
        let (storage, id) = (core.ports.storage.clone(), id.clone());
        undo.push("layer", async move { storage.remove_layer(&id) });
    }

    core.failpoints.hit("create.volumes")?;
    let plan = mounts::plan(core, &spec, &image)?;
    note_volumes(&layout::container(&settings.data_root, &id), &plan.volumes)?;
    for volume in &plan.volumes {
        if mounts::make_volume(core, volume, &id).await? && volume.anonymous {
            let directory = layout::volume(&settings.data_root, &volume.name);
            undo.push("volume", remove_directory(directory));
        }
    }
    let anonymous_volumes = plan.volumes.iter().filter(|v| v.anonymous).map(|v| v.name.clone()).collect();

    core.failpoints.hit("create.record")?;
    let auto_remove = spec.host.auto_remove;
    let record = Record {
        version: Record::VERSION,
        created: core.ports.clock.now(),
        id,
        name,
        image_id: image.id.clone(),
        image_manifest: image.manifest.clone(),
        path,
        args,
        spec,
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
        remove_volumes: false,
        health: None,
    };
    // A `--rm` container that was not started does not outlive the engine: its record comes with the start.
    if !auto_remove {
        let json = records::write(&record);
        let (storage, id) = (core.ports.storage.clone(), record.id.clone());
        blocking(move || storage.put_record(&id, &json, true)).await?;
        let (storage, id) = (core.ports.storage.clone(), record.id.clone());
        undo.push("record", async move { storage.delete_record(&id, false) });
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

fn make_directory(directory: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o710)
        .create(directory)
        .map_err(|error| Error::internal(format!("mkdir {}: {error}", directory.display())))
}

/// Anonymous volumes have no owner but their container's record. Until that is written, a list in the container's
/// directory tells the next engine what to sweep.
fn note_volumes(directory: &std::path::Path, volumes: &[mounts::VolumePlan]) -> Result<()> {
    let names: Vec<&str> = volumes.iter().filter(|v| v.anonymous).map(|v| v.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let path = layout::begun_volumes(directory);
    std::fs::write(&path, names.join("\n"))
        .map_err(|error| Error::internal(format!("write {}: {error}", path.display())))
}

/// What [`note_volumes`] wrote. Only names that an engine makes up: 64 hex digits.
pub(crate) fn begun_volumes(directory: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(layout::begun_volumes(directory)).unwrap_or_default();
    let is_ours = |name: &&str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    text.lines().filter(is_ours).map(str::to_owned).collect()
}

/// Idempotent.
pub(crate) async fn remove_directory(directory: PathBuf) -> Result<()> {
    archive::remove_tree(&directory).map_err(|error| Error::internal(error.to_string()))
}
