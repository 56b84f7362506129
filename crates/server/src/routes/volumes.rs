//! Volumes.

use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use crate::routes::lines::transfer;
use crate::versions::ApiVersion;
use api::volume::{VolumeCreateRequest, VolumeListResponse, VolumePruneResponse};
use engine::volumes::{BackupRequest, CreateRequest, RestoreRequest};
use engine::{Error, Result};
use http::{Response, StatusCode};
use std::collections::BTreeMap;

pub(crate) async fn list(call: Call) -> Result<Response<Body>> {
    let filters = call.query.filters().map_err(|error| error.context("error reading volume filters"))?;
    let found = call.engine().volumes.list(filters).await?;
    let volumes = found.volumes.iter().map(|volume| convert::volume::volume(volume)).collect();
    Ok(body::json(StatusCode::OK, &VolumeListResponse { volumes, warnings: found.warnings }))
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>> {
    let engine = call.engine().clone();
    let request: VolumeCreateRequest = call.json().await?;
    if request.cluster_volume_spec.is_some() {
        return Err(Error::no_swarm_manager());
    }
    let made = engine.volumes.create(convert::volume::create(request)).await?;
    Ok(body::json(StatusCode::CREATED, &convert::volume::volume(&made)))
}

pub(crate) async fn inspect(call: Call) -> Result<Response<Body>> {
    let volume = call.engine().volumes.inspect(&call.name).await?;
    Ok(body::json(StatusCode::OK, &convert::volume::volume(&volume)))
}

/// Only volumes of a Swarm can be changed, which there are none of.
pub(crate) async fn update(_: Call) -> Result<Response<Body>> {
    Err(Error::unavailable("volume update only valid for cluster volumes, but swarm is unavailable"))
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>> {
    call.engine().volumes.remove(&call.name, call.query.flag("force")).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

/// To `name`.
pub(crate) async fn rename(call: Call) -> Result<Response<Body>> {
    call.engine().volumes.rename(&call.name, call.query.get("name")).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

/// Called `name`, or made up.
pub(crate) async fn clone(call: Call) -> Result<Response<Body>> {
    let made = call.engine().volumes.clone_of(&call.name, call.query.get("name")).await?;
    Ok(body::json(StatusCode::CREATED, &convert::volume::volume(&made)))
}

pub(crate) async fn export(call: Call) -> Result<Response<Body>> {
    let export = call.engine().volumes.export(&call.name).await?;
    Ok(body::written("application/x-tar", "volume export", move |to| export.write_to(to)))
}

/// To a registry, `to` there.
pub(crate) async fn backup(call: Call) -> Result<Response<Body>> {
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let request = BackupRequest { name: call.name.clone(), to: call.query.get("to").to_owned(), credentials };
    let engine = call.engine().clone();
    transfer(call.peer, move |lines| async move { engine.volumes.backup(request, lines.report()).await })
        .await
}

/// A new one, called `name` or as it was, with `label`s more, of what is at `from` in a registry.
pub(crate) async fn restore(call: Call) -> Result<Response<Body>> {
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let query = |key: &str| call.query.get(key).to_owned();
    let request =
        RestoreRequest { name: query("name"), from: query("from"), labels: labels(&call), credentials };
    let engine = call.engine().clone();
    transfer(call.peer, move |lines| async move { engine.volumes.restore(request, lines.report()).await })
        .await
}

fn labels(call: &Call) -> BTreeMap<String, String> {
    pairs(call, "label")
}

fn pairs(call: &Call, key: &str) -> BTreeMap<String, String> {
    let pairs = call.query.all(key).into_iter().map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        (key.to_owned(), value.to_owned())
    });
    pairs.collect()
}

/// A new one, with `label`s and `opt`s.
pub(crate) async fn import(call: Call) -> Result<Response<Body>> {
    let (engine, name) = (call.engine().clone(), call.name.clone());
    let options = pairs(&call, "opt");
    let request = CreateRequest { name, labels: labels(&call), options, ..CreateRequest::default() };
    let from = Box::new(body::reader(call.request.into_body()));
    let made = engine.volumes.import(request, from).await?;
    Ok(body::json(StatusCode::CREATED, &convert::volume::volume(&made)))
}

pub(crate) async fn prune(call: Call) -> Result<Response<Body>> {
    let mut filters = call.query.filters()?;
    // Before 1.42 all that are not used went, with a name or without.
    if call.version < ApiVersion::minor(42) {
        filters.0.entry("all".to_owned()).or_default().push("true".to_owned());
    }
    let pruned = call.engine().volumes.prune(filters).await?;
    let answer = VolumePruneResponse { volumes_deleted: pruned.ids, space_reclaimed: pruned.space_bytes };
    Ok(body::json(StatusCode::OK, &answer))
}
