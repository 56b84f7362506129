//! `_ping`, `version`, `info`, `system/df`.

use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use crate::versions::{ApiVersion, answers};
use engine::{Error, Result};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, PRAGMA};
use http::{HeaderValue, Method, Response, StatusCode};

pub(crate) async fn ping(call: Call) -> Result<Response<Body>> {
    let is_head = call.request.method() == Method::HEAD;
    let text = if is_head { Vec::new() } else { b"OK".to_vec() };
    let mut response = body::bytes(StatusCode::OK, "text/plain; charset=utf-8", text);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    if is_head {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(response)
}

pub(crate) async fn version(call: Call) -> Result<Response<Body>> {
    Ok(body::json(StatusCode::OK, &convert::system::version(&call.engine().system.version())))
}

pub(crate) async fn info(call: Call) -> Result<Response<Body>> {
    let info = convert::system::info(&call.engine().system.info().await?);
    Ok(body::json(StatusCode::OK, &answers::info(call.version, &info)))
}

pub(crate) async fn disk_usage(call: Call) -> Result<Response<Body>> {
    let kinds = if call.version < ApiVersion::minor(42) { Vec::new() } else { call.query.all("type") };
    if let Some(unknown) =
        kinds.iter().find(|k| !matches!(k.as_str(), "container" | "image" | "volume" | "build-cache"))
    {
        return Err(Error::invalid(format!("unknown object type: {unknown}")));
    }
    let verbose = call.query.flag("verbose");
    let usage = convert::system::disk_usage(&call.engine().system.disk_usage().await?, &kinds);
    Ok(body::json(StatusCode::OK, &answers::disk_usage(call.version, verbose, usage)))
}
