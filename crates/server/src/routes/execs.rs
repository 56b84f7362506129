//! `exec`.

use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use crate::hijack::{Way, hand_over};
use crate::routes::streams::{frame, way};
use crate::versions::ApiVersion;
use api::exec::{ExecCreateRequest, ExecStartRequest, IdResponse};
use engine::{Error, Result};
use http::{Response, StatusCode};
use std::io::Write;

pub(crate) async fn create(call: Call) -> Result<Response<Body>> {
    let (engine, container, version) = (call.engine().clone(), call.name.clone(), call.version);
    let mut request: ExecCreateRequest = call.json().await?;
    if request.cmd.is_empty() {
        return Err(Error::invalid("No exec command specified"));
    }
    if version < ApiVersion::minor(42) {
        request.console_size = None;
    }
    let id = engine.execs.create(&container, convert::exec::spec(request)).await?;
    Ok(body::json(StatusCode::CREATED, &IdResponse { id }))
}

pub(crate) async fn start(mut call: Call) -> Result<Response<Body>> {
    let (engine, id, version) = (call.engine().clone(), call.name.clone(), call.version);
    let (way, peer) = (way(&mut call), call.peer.clone());
    let mut request: ExecStartRequest = call.json().await?;
    if version < ApiVersion::minor(42) || !request.tty {
        request.console_size = None;
    }
    let detach = request.detach;
    let ticket = engine.execs.open(&id, convert::exec::start(request)).await?;
    if detach {
        ticket.start(None).await?;
        return Ok(body::empty(StatusCode::OK));
    }
    let raw = ticket.raw;
    hand_over(way.unwrap_or_else(|| Way::Relay(None, peer)), raw, version, move |connection| async move {
        let spare = connection.stream.try_clone();
        if let Err(e) = ticket.start(Some(connection)).await {
            tracing::error!("exec {id} could not be started: {e}");
            if let Ok(spare) = spare {
                // The answer has begun: the reason goes into the stream. The client may be gone by now.
                let _ = std::fs::File::from(spare).write_all(&frame(1, &format!("{e}\r\n"), raw));
            }
        }
    })
}

pub(crate) async fn resize(call: Call) -> Result<Response<Body>> {
    let (rows, columns) = (call.query.dimension("h", "height")?, call.query.dimension("w", "width")?);
    call.engine().execs.resize(&call.name, rows, columns).await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn inspect(call: Call) -> Result<Response<Body>> {
    let view = call.engine().execs.inspect(&call.name).await?;
    Ok(body::json(StatusCode::OK, &convert::exec::inspect(view)))
}
