//! Checkpoints of containers.

use std::path::PathBuf;

use crate::body::{self, Body};
use crate::call::{Call, read_json};
use api::checkpoint::{CreateRequest, Summary};
use engine::Result;
use engine::containers::CheckpointRequest;
use http::{Response, StatusCode};

/// Empty: with the container.
pub(super) fn directory(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>> {
    call.check_json()?;
    let (engine, name) = (call.engine().clone(), call.name.clone());
    let CreateRequest { checkpoint_id, checkpoint_dir, exit } = read_json(&call.json_bytes().await?)?;
    let request = CheckpointRequest {
        name: checkpoint_id,
        directory: directory(&checkpoint_dir),
        leave_running: !exit,
    };
    engine.containers.checkpoint(&name, request).await?;
    Ok(body::empty(StatusCode::CREATED))
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>> {
    let directory = directory(call.query.get("dir"));
    let names = call.engine().containers.checkpoints(&call.name, directory).await?;
    let list: Vec<Summary> = names.into_iter().map(|name| Summary { name }).collect();
    Ok(body::json(StatusCode::OK, &list))
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>> {
    let directory = directory(call.query.get("dir"));
    call.engine().containers.remove_checkpoint(&call.name, &call.part, directory).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}
