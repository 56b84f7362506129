//! Files in and out of a container.

use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use api::archive::PATH_STAT_HEADER;
use api::media_type::{OCTET_STREAM, TAR};
use engine::containers::{ExtractRequest, PathStat};
use engine::{Error, Result};
use http::{HeaderName, HeaderValue, Response, StatusCode};

fn path(call: &Call) -> Result<String> {
    match call.query.get("path") {
        "" => Err(Error::invalid("bad parameter: path cannot be empty")),
        path => Ok(path.to_owned()),
    }
}

fn with_stat(mut response: Response<Body>, stat: &PathStat) -> Result<Response<Body>> {
    let text = convert::archive::path_stat(stat).to_header();
    let value = HeaderValue::try_from(text).map_err(|e| Error::internal(format!("{}: {e}", stat.name)))?;
    response.headers_mut().insert(HeaderName::from_static(PATH_STAT_HEADER), value);
    Ok(response)
}

pub(crate) async fn stat(call: Call) -> Result<Response<Body>> {
    let stat = call.engine().containers.stat_path(&call.name, &path(&call)?).await?;
    with_stat(body::empty(StatusCode::OK), &stat)
}

pub(crate) async fn get(call: Call) -> Result<Response<Body>> {
    let archive = call.engine().containers.archive(&call.name, &path(&call)?).await?;
    let stat = archive.stat.clone();
    let response = body::written(TAR, "archive", move |to| archive.write_to(to));
    with_stat(response, &stat)
}

pub(crate) async fn changes(call: Call) -> Result<Response<Body>> {
    let changes = call.engine().containers.changes(&call.name).await?;
    let list: Vec<_> = changes.iter().map(convert::archive::change).collect();
    // Go's list that nothing was put into.
    Ok(body::json(StatusCode::OK, &Some(list).filter(|list| !list.is_empty())))
}

pub(crate) async fn export(call: Call) -> Result<Response<Body>> {
    let export = call.engine().containers.export(&call.name).await?;
    Ok(body::written(OCTET_STREAM, "export", move |to| export.write_to(to)))
}

pub(crate) async fn put(call: Call) -> Result<Response<Body>> {
    let path = path(&call)?;
    let request = ExtractRequest {
        copy_owner: call.query.flag("copyUIDGID"),
        keep_directories: call.query.flag("noOverwriteDirNonDir"),
    };
    let (engine, name) = (call.engine().clone(), call.name.clone());
    let from = Box::new(body::reader(call.request.into_body()));
    engine.containers.extract(&name, &path, request, from).await?;
    Ok(body::empty(StatusCode::OK))
}
