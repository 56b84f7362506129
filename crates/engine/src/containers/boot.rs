//! Boot: make memory and machine agree with the records again.
//!
//! Records whose process still runs are adopted; those whose process ended meanwhile are marked exited;
//! half-removed and `--rm` ones are removed; layers and directories without a record are swept; restart policies
//! are obeyed. Afterwards no trace of a killed engine is left.

use std::collections::HashSet;
use std::sync::Arc;

use super::task::Owner;
use crate::container::{End, EndedBy, RestartPolicy, Status, Who, links};
use crate::core::Core;
use crate::error::Result;
use crate::execs;
use crate::flows::{create, remove, start};
use crate::layout;
use crate::networks::names;
use crate::ports::{BridgeNetwork, ProcessRef, Reach, Reconnected};
use crate::records::{self, Record};
use crate::takeback;
use crate::volumes::{self, mounting, plugged};

/// `bridges`: of the networks that there are.
pub(crate) async fn run(core: &Arc<Core>, bridges: Vec<BridgeNetwork>) -> Result<()> {
    let settings = core.settings();
    let storage = core.ports.storage.clone();
    let mut known = HashSet::new();
    let mut running = Vec::new();
    let mut publishing = Vec::new();
    let mut owners = Vec::new();

    volumes::boot::run(core).await?;
    mounting::load(core);
    let mut readable = Vec::new();
    for (id, json) in storage.records()? {
        known.insert(id.clone());
        match json.and_then(|json| records::read(&id, &json)) {
            Ok(record) => {
                // All of them first: the removal of one must not take along what another refers to.
                for point in record.mounts.iter().filter(|point| point.kind == "volume") {
                    core.volumes.hold(&point.name, &id);
                }
                let layers = record.mounts.iter().map(|point| point.layer.clone());
                known.extend(layers.filter(|layer| !layer.is_empty()));
                readable.push((id, record));
            }
            Err(error) => {
                tracing::error!(container = %id, %error, "a container's record cannot be read; it is left alone");
            }
        }
    }
    readable.iter().for_each(|(id, _)| sweep_added(core, id));
    for (id, record) in readable {
        let Some(owner) = one(core, record).await else { continue };
        if !owner.record.endpoints.is_empty() {
            running.push((id.clone(), owner.record.endpoints.clone()));
        }
        if !owner.record.ports.is_empty() {
            publishing.push((id, Reach::of(&owner.record.endpoints), owner.record.ports.clone()));
        }
        owners.push(owner);
    }
    if let Err(error) = core.ports.network.reconcile(bridges, running).await {
        tracing::error!(%error, "could not put the network in order");
    }
    let with_names = owners.iter().filter(|owner| names::are_asked_here(&owner.record.endpoints));
    let named = with_names.map(|owner| names::named(core, &owner.record)).collect();
    if let Err(error) = core.ports.network.adopt_names(named).await {
        tracing::error!(%error, "could not put the names of containers in order");
    }
    if let Err(error) = core.ports.network.adopt_ports(publishing).await {
        tracing::error!(%error, "could not put published ports in order");
    }
    for owner in &mut owners {
        owner.finish_ports().await;
    }
    for owner in owners.iter().filter(|owner| !owner.record.endpoints.is_empty()) {
        let linked = links::follow_running(core, &owner.record.links);
        start::open_links(core, &owner.record, &linked).await;
    }
    mounting::sweep(core, |id| owners.iter().any(|owner| owner.record.id == id && owner.record.pid != 0));
    sweep(core, &known).await;
    // All are known to come again before the first of them looks whether those that it links to do.
    for owner in owners.iter_mut().filter(|owner| wants_boot_restart(&owner.record)) {
        owner.restart_soon();
    }
    owners.into_iter().for_each(Owner::spawn);
    let _ = settings;
    Ok(())
}

/// One record. `None`: it was removed.
async fn one(core: &Arc<Core>, mut record: Record) -> Option<Owner> {
    let process = ProcessRef::container(record.id.clone());
    let reconnected = core.ports.runtime.reconnect(&process).await;
    let is_running = matches!(reconnected, Reconnected::Running { .. });
    if record.status == Status::Removing || (record.spec.host.auto_remove && !is_running) {
        record.status = Status::Removing;
        match remove::run(core, &record).await {
            Ok(()) => return None,
            Err(error) => {
                tracing::error!(container = %record.id, %error, "could not finish its removal");
                record.status = Status::Dead;
            }
        }
    }
    if core.index.reserve(&record.name, &record.id).is_err() {
        let name = record.id[..12].to_owned();
        tracing::error!(container = %record.id, name = %record.name, "its name is taken, it is now {name}");
        record.name = name;
        let _ = core.index.reserve(&record.name, &record.id);
    }
    let was_alive = matches!(record.status, Status::Running | Status::Paused | Status::Restarting);
    let mut adopted = None;
    let mut ended = false;
    match reconnected {
        Reconnected::Running { started, paused } => {
            record.started_at = Some(started.started_at);
            adopted = Some((started, paused));
        }
        // Once in the record, it is not asked for again.
        Reconnected::Exited(exit) if was_alive || record.started_at.is_none_or(|at| exit.at > at) => {
            ended = true;
            record.status = Status::Exited;
            record.exit_code = exit.code;
            record.end.signal = exit.signal;
            if exit.checkpointed {
                record.stopped_by_user = true;
                record.end.by =
                    Some(EndedBy { who: Who::Checkpoint, signal: crate::container::signal::KILL });
            }
            record.oom_killed = exit.oom_killed;
            record.finished_at = Some(exit.at);
            record.error = exit.error.unwrap_or_default();
        }
        Reconnected::Gone if was_alive => {
            record.status = Status::Exited;
            if record.pid != 0 {
                record.exit_code = 255;
                record.end = End { by: Some(EndedBy { who: Who::Machine, signal: 0 }), ..End::default() };
            }
            record.finished_at = Some(core.ports.clock.now());
        }
        Reconnected::Exited(_) | Reconnected::Gone => {}
    }
    if adopted.is_none() && (was_alive || ended) {
        record.pid = 0;
        // The next start does what the specification says.
        record.unapplied = None;
        record.unapplied_ports = None;
        record.unapplied_mounts = None;
        record.endpoints.clear();
        record.ports.clear();
        record.sandbox_id.clear();
        // First the record: until it has the exit, the monitor's file is the only place that knows it.
        if let Err(error) = core.ports.storage.put_record(&record.id, &records::write(&record), false) {
            tracing::warn!(container = %record.id, %error, "could not save its state");
        } else {
            core.ports.runtime.forget(&process).await;
        }
    }
    let id = record.id.clone();
    let (mut owner, handle) = Owner::new(core.clone(), record);
    if let Some((started, mut paused)) = adopted {
        if paused && super::commit::resume_held(core, &handle.view()).await {
            paused = false;
        }
        owner.adopt(started, paused);
        owner.finish_update().await;
        owner.finish_mounts().await;
    }
    let container = handle.view();
    core.index.insert(&id, handle);
    core.index.link(&id, &owner.record.links);
    if container.state.pid != 0 {
        execs::boot::adopt(core, &container).await;
    }
    Some(owner)
}

fn wants_boot_restart(record: &Record) -> bool {
    if record.status != Status::Exited || record.started_at.is_none() {
        return false;
    }
    match record.spec.host.restart {
        RestartPolicy::No => false,
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => !record.stopped_by_user,
        RestartPolicy::OnFailure { max_retries } | RestartPolicy::OnUnhealthy { max_retries } => {
            record.exit_code != 0
                && !record.stopped_by_user
                && (max_retries == 0 || record.restart_count < max_retries)
        }
    }
}

/// One that nobody refers to.
fn sweep_volume(core: &Arc<Core>, name: &str) {
    if let Ok(Some(entry)) = core.volumes.take(name, None)
        && entry.volume.driver != volumes::LOCAL
    {
        let core = core.clone();
        tokio::spawn(async move { plugged::take_along(&core, entry).await });
        return;
    }
    let data_root = &core.settings().data_root;
    core.ports.storage.release_limit(&layout::volume_data(data_root, name));
    let _ = takeback::remove_directory(&layout::volume(data_root, name));
}

/// Volumes that an update had made, and that it did not come to record.
fn sweep_added(core: &Arc<Core>, id: &str) {
    let path = layout::added_volumes(&layout::container(&core.settings().data_root, id));
    for name in create::noted_volumes(&path) {
        if core.volumes.get(&name).is_none_or(|entry| entry.holders.is_empty()) {
            sweep_volume(core, &name);
        }
    }
    let _ = std::fs::remove_file(&path);
}

/// What a killed engine had begun and nobody was told of.
async fn sweep(core: &Arc<Core>, known: &HashSet<String>) {
    let storage = &core.ports.storage;
    match storage.layers() {
        Ok(layers) => {
            for id in layers.iter().filter(|id| !known.contains(*id)) {
                if let Err(error) = storage.remove_layer(id) {
                    tracing::warn!(container = %id, %error, "could not sweep a layer without a record");
                }
            }
        }
        Err(error) => tracing::warn!(%error, "could not look for layers without a record"),
    }
    let directories = layout::containers(&core.settings().data_root);
    for entry in std::fs::read_dir(&directories).into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        // Only what this engine made: names of 64 hex digits.
        if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) && !known.contains(&id) {
            for name in create::noted_volumes(&layout::begun_volumes(&entry.path())) {
                sweep_volume(core, &name);
            }
            let _ = takeback::remove_directory(&entry.path());
        }
    }
    for id in core.ports.runtime.leftovers().await {
        let process = ProcessRef::container(id.clone());
        if known.contains(&id) {
            // An engine was killed in a start, before there was a process.
            let is_idle = core.index.find(&id).is_ok_and(|handle| handle.view().state.pid == 0);
            if is_idle && matches!(core.ports.runtime.reconnect(&process).await, Reconnected::Gone) {
                core.ports.runtime.forget(&process).await;
            }
            continue;
        }
        if let Reconnected::Running { .. } = core.ports.runtime.reconnect(&process).await {
            tracing::warn!(container = %id, "runs without a record, killing it");
            let _ = core.ports.runtime.signal(&process, crate::container::signal::KILL).await;
        }
        core.ports.runtime.forget(&process).await;
    }
}
