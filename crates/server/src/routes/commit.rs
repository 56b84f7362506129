//! A container as an image.

use crate::body::{self, Body};
use crate::call::{Call, read_json};
use crate::convert;
use api::container::ContainerConfig;
use api::exec::IdResponse;
use engine::Result;
use engine::containers::CommitRequest;
use http::{Response, StatusCode};

pub(crate) async fn create(call: Call) -> Result<Response<Body>> {
    let said = |key: &str| call.query.get(key).to_owned();
    let container = said("container");
    let mut request = CommitRequest {
        repo: said("repo"),
        tag: said("tag"),
        author: said("author"),
        comment: said("comment"),
        changes: call.query.all("changes"),
        // Said and not true; nothing said pauses.
        no_pause: !call.query.all("pause").is_empty() && !call.query.flag("pause"),
        config: None,
    };
    let engine = call.engine().clone();
    call.check_json()?;
    if !call.is_bodiless() {
        let bytes = call.json_bytes().await?;
        let config: Option<ContainerConfig> = match bytes.trim_ascii() {
            b"" => None,
            bytes => read_json(bytes)?,
        };
        request.config = config.map(convert::image::config_of_container);
    }
    let id = engine.containers.commit(&container, request).await?;
    Ok(body::json(StatusCode::CREATED, &IdResponse { id }))
}
