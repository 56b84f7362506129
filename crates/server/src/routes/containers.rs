//! Containers, but for their streams.

use crate::body::{self, Body};
use crate::call::{Call, json_error};
use crate::convert;
use crate::versions::{ApiVersion, answers, requests};
use api::container::{
    ContainersPruneResponse, CreateRequest, CreateResponse, TopResponse, WaitExitError, WaitResponse,
    WhyResponse,
};
use api::go::Tree;
use bytes::Bytes;
use engine::containers::{ListRequest, RemoveRequest, StopRequest, WaitCondition};
use engine::{Error, Result};
use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};

pub(crate) async fn list(call: Call) -> Result<Response<Body>> {
    let limit = call.query.number("limit")?.unwrap_or(0);
    let request = ListRequest {
        all: call.query.flag("all"),
        limit: usize::try_from(limit).ok().filter(|n| *n > 0),
        size: call.query.flag("size"),
        filters: call.query.filters()?,
    };
    let now = jiff::Timestamp::now();
    let found = call.engine().containers.list(request).await?;
    let list: Vec<_> = found.iter().map(|c| convert::container::summary(c, now)).collect();
    if call.version == ApiVersion::MAX {
        return Ok(body::json(StatusCode::OK, &list));
    }
    Ok(body::json(StatusCode::OK, &answers::containers(call.version, &list)))
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>> {
    call.check_json()?;
    let (engine, version) = (call.engine().clone(), call.version);
    let name = call.query.get("name").trim_start_matches('/').to_owned();
    let platform = if version < ApiVersion::minor(41) { "" } else { call.query.get("platform") }.to_owned();
    let bytes = call.json_bytes().await?;
    let document = Tree::from_slice(&bytes).map_err(|e| json_error(&bytes, &e))?;
    if document.has_no_fields() {
        return Err(Error::invalid("config cannot be empty in order to create a container"));
    }
    let mac = document.text("MacAddress").unwrap_or_default().to_owned();
    let mut request = CreateRequest::from_tree(document).map_err(|e| json_error(&bytes, &e))?;
    let is_v1 = engine.system.version().facts.cgroup_version == "1";
    let mut warnings = requests::create(version, is_v1, &mut request, &mac)?;
    let spec = convert::create::spec(request, platform)?;
    let created = engine.containers.create(&name, spec).await?;
    warnings.splice(..0, created.warnings);
    Ok(body::json(StatusCode::CREATED, &CreateResponse { id: created.id, warnings }))
}

pub(crate) async fn inspect(call: Call) -> Result<Response<Body>> {
    let found = call.engine().containers.inspect(&call.name, call.query.flag("size")).await?;
    let answer = convert::container::inspect(&found);
    if call.version == ApiVersion::MAX {
        return Ok(body::json(StatusCode::OK, &answer));
    }
    Ok(body::json(StatusCode::OK, &answers::container(call.version, &answer)))
}

pub(crate) async fn start(call: Call) -> Result<Response<Body>> {
    // Clients of 1.21 and older sent a HostConfig here; `{}` and `null` are let through.
    let length =
        call.request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|n| n > 7) || (length.is_none() && !call.is_bodiless()) {
        return Err(Error::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    let containers = &call.engine().containers;
    match call.query.get("checkpoint") {
        "" => containers.start(&call.name).await?,
        checkpoint => {
            let directory = super::checkpoints::directory(call.query.get("checkpoint-dir"));
            containers.restore(&call.name, checkpoint, directory).await?;
        }
    }
    Ok(body::empty(StatusCode::NO_CONTENT))
}

fn stop_request(call: &Call) -> Result<StopRequest> {
    let signal = call.query.get("signal");
    let asked = call.version >= ApiVersion::minor(42) && !signal.is_empty();
    Ok(StopRequest { signal: asked.then(|| signal.to_owned()), timeout_s: call.query.number("t")? })
}

pub(crate) async fn stop(call: Call) -> Result<Response<Body>> {
    call.engine().containers.stop(&call.name, stop_request(&call)?).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn restart(call: Call) -> Result<Response<Body>> {
    call.engine().containers.restart(&call.name, stop_request(&call)?).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn kill(call: Call) -> Result<Response<Body>> {
    let killed = call.engine().containers.kill(&call.name, call.query.get("signal")).await;
    killed.map_err(|e| e.context(format_args!("cannot kill container: {}", call.name)))?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn pause(call: Call) -> Result<Response<Body>> {
    call.engine().containers.pause(&call.name).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn unpause(call: Call) -> Result<Response<Body>> {
    call.engine().containers.unpause(&call.name).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn rename(call: Call) -> Result<Response<Body>> {
    call.engine().containers.rename(&call.name, call.query.get("name").trim_start_matches('/')).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn resize(call: Call) -> Result<Response<Body>> {
    let (rows, columns) = (call.query.dimension("h", "height")?, call.query.dimension("w", "width")?);
    call.engine().containers.resize(&call.name, rows, columns).await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>> {
    let request = RemoveRequest {
        force: call.query.flag("force"),
        volumes: call.query.flag("v"),
        link: call.query.flag("link"),
    };
    call.engine().containers.remove(&call.name, request).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn prune(call: Call) -> Result<Response<Body>> {
    let pruned = call.engine().containers.prune(call.query.filters()?).await?;
    let report =
        ContainersPruneResponse { containers_deleted: pruned.ids, space_reclaimed: pruned.space_bytes };
    Ok(body::json(StatusCode::OK, &report))
}

pub(crate) async fn top(call: Call) -> Result<Response<Body>> {
    let top = call.engine().containers.top(&call.name, call.query.get("ps_args")).await?;
    Ok(body::json(StatusCode::OK, &TopResponse { processes: top.processes, titles: top.titles }))
}

/// Of Wharf alone: why it ended.
pub(crate) async fn why(call: Call) -> Result<Response<Body>> {
    let found = call.engine().containers.why(&call.name).await?;
    let cause = found.cause.to_owned();
    Ok(body::json(StatusCode::OK, &WhyResponse { cause, why: found.sentence, evidence: found.evidence }))
}

/// The head goes out as soon as the wait is registered, so that a client may start the container then.
pub(crate) async fn wait(call: Call) -> Result<Response<Body>> {
    let is_old = call.version < ApiVersion::minor(30);
    let condition = match call.query.get("condition") {
        _ if is_old => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(Error::invalid(format!("invalid condition: \"{other}\""))),
    };
    // Before 1.34 a removal that failed was told by an answer without a body.
    let untold = condition == WaitCondition::Removed && call.version < ApiVersion::minor(34);
    let handle = call.engine().containers.wait(&call.name, condition).await?;
    if is_old {
        return Ok(body::json(StatusCode::OK, &wait_response(handle.answer().await)));
    }
    let (sender, response) = body::channel(api::media_type::JSON);
    let peer = call.peer;
    tokio::spawn(async move {
        let answer = tokio::select! {
            answer = handle.answer() => wait_response(answer),
            () = peer.gone() => return,
            () = sender.closed() => return,
        };
        if untold && answer.error.is_some() {
            return;
        }
        // Two numbers and a text have a JSON form.
        let mut text = serde_json::to_vec(&answer).unwrap_or_default();
        text.push(b'\n');
        let _ = sender.send(Ok(Bytes::from(text))).await;
    });
    Ok(response)
}

fn wait_response(answer: Result<engine::containers::WaitAnswer>) -> WaitResponse {
    let (status_code, error, warning) = match answer {
        Ok(answer) => (answer.status_code, answer.error, answer.warning.unwrap_or_default()),
        Err(e) => (-1, Some(e.message), String::new()),
    };
    WaitResponse { status_code, error: error.map(|message| WaitExitError { message }), warning }
}
