//! Networks.

use crate::body::{self, Body};
use crate::call::{Call, json_error};
use crate::convert;
use crate::versions::ApiVersion;
use api::network::{
    NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse, NetworkDisconnectRequest,
    NetworkInspect, NetworkPruneResponse,
};
use engine::{Error, Result};
use http::{Response, StatusCode};

pub(crate) async fn list(call: Call) -> Result<Response<Body>> {
    let found = call.engine().networks.list(call.query.filters()?).await?;
    if call.version >= ApiVersion::minor(28) {
        let list: Vec<_> = found.iter().map(|found| convert::network::summary(&found.network)).collect();
        return Ok(body::json(StatusCode::OK, &list));
    }
    // Before 1.28 the list had what inspect has.
    let list: Vec<NetworkInspect> = found.iter().map(convert::network::inspect).collect();
    Ok(body::json(StatusCode::OK, &list))
}

pub(crate) async fn inspect(call: Call) -> Result<Response<Body>> {
    let scope = call.query.get("scope");
    if !matches!(scope, "" | "local") {
        return Err(Error::not_found(format!("network {} not found", call.name)));
    }
    let found = call.engine().networks.inspect(&call.name).await?;
    let mut answer = convert::network::inspect(&found);
    if call.version >= ApiVersion::minor(52) {
        answer.status = Some(convert::network::status(&found));
    }
    Ok(body::json(StatusCode::OK, &answer))
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>> {
    let engine = call.engine().clone();
    let request: NetworkCreateRequest = required(call).await?;
    let made = engine.networks.create(convert::network::create(request)).await?;
    let answer = NetworkCreateResponse { id: made.id.clone(), warning: String::new() };
    Ok(body::json(StatusCode::CREATED, &answer))
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>> {
    call.engine().networks.remove(&call.name).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn prune(call: Call) -> Result<Response<Body>> {
    let networks_deleted = call.engine().networks.prune(call.query.filters()?).await?;
    Ok(body::json(StatusCode::OK, &NetworkPruneResponse { networks_deleted }))
}

pub(crate) async fn connect(call: Call) -> Result<Response<Body>> {
    let (engine, network) = (call.engine().clone(), call.name.clone());
    let request: NetworkConnectRequest = required(call).await?;
    // What is said depends on which it is, also where it is named by its id.
    let name = engine.networks.inspect(&network).await?.network.name.clone();
    let spec = convert::network::endpoint(&name, request.endpoint_config)?;
    engine.networks.connect(&network, &request.container, spec).await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn disconnect(call: Call) -> Result<Response<Body>> {
    let (engine, network) = (call.engine().clone(), call.name.clone());
    let request: NetworkDisconnectRequest = required(call).await?;
    engine.networks.disconnect(&network, &request.container).await?;
    Ok(body::empty(StatusCode::OK))
}

/// A body that must be there.
async fn required<T: serde::de::DeserializeOwned>(call: Call) -> Result<T> {
    call.check_json()?;
    let bytes = call.json_bytes().await?;
    api::go::from_slice(&bytes).map_err(|error| json_error(&bytes, &error))
}
