//! `POST /containers/{id}/update`.

use crate::body::{self, Body};
use crate::call::{Call, read_json};
use crate::convert;
use crate::versions::{ApiVersion, requests};
use api::host_config::HostConfig;
use api::update::{Additions, UpdateResponse};
use engine::Result;
use http::{Response, StatusCode};

pub(crate) async fn update(call: Call) -> Result<Response<Body>> {
    call.check_json()?;
    let (engine, name, version): (_, _, ApiVersion) =
        (call.engine().clone(), call.name.clone(), call.version);
    let bytes = call.json_bytes().await?;
    let mut host: HostConfig = read_json(&bytes)?;
    let ours: Additions = read_json(&bytes)?;
    requests::update(version, &mut host);
    let warnings = engine.containers.update(&name, convert::update::request(&host, ours)?).await?;
    Ok(body::json(StatusCode::OK, &UpdateResponse { warnings }))
}
