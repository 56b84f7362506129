//! `/v2/<name>/blobs/<digest>`

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, ETAG, IF_NONE_MATCH, LOCATION, RANGE};
use http::{Response, StatusCode};
use oci::Digest;

use super::{CONTENT_DIGEST, Call, blocking, empty, set};
use crate::action::Action;
use crate::body::{Body, FileBody};
use crate::error::Result;
use crate::quota;
use crate::range::{self, Wanted};
use crate::storage::{Blob, Bytes};
use crate::upstream::Found;

/// What has this digest never changes.
const FOR_EVER: &str = "max-age=31536000";

pub(crate) async fn get(call: Call, repository: String, digest: Digest) -> Result<Response<Body>> {
    let etag = format!("\"{digest}\"");
    let found = match call.house.upstreams.of(&repository) {
        Some(upstream) => upstream.blob(&repository, &digest, !call.is_head()).await?,
        None => {
            share(&call, &repository, &digest).await?;
            let (storage, digest) = (call.house.storage.clone(), digest.clone());
            Found::Here(blocking(move || storage.blob(&repository, &digest)).await?)
        }
    };
    let size = match &found {
        Found::Here(blob) => blob.size,
        Found::There(size) => *size,
        Found::Coming(arriving) => arriving.size,
    };
    let is_head = call.is_head();
    let given = match &found {
        Found::Here(Blob { bytes: Bytes::Object(object), .. }) if !is_head => object.given(),
        _ => None,
    };
    let mut response = if call.header(IF_NONE_MATCH).is_some_and(|known| known.contains(&etag)) {
        empty(StatusCode::NOT_MODIFIED)
    } else if let Some(address) = given {
        // Whoever gets the blob there, gets ranges of it there.
        let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
        set(&mut response, LOCATION, &address);
        set(&mut response, CONTENT_DIGEST, digest.as_str());
        return Ok(response);
    } else {
        // A range of a blob that has changed would be a mixture; it never does, so If-Range needs no look.
        let (first, length, partial) = match range::wanted(call.header(RANGE), size)? {
            Wanted::All => (0, size, false),
            Wanted::Part { first, length } => (first, length, true),
        };
        let mut response = super::bytes(StatusCode::OK, "application/octet-stream", Vec::new());
        if partial {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {first}-{}/{size}", first + length - 1);
            set(&mut response, CONTENT_RANGE, &range);
        }
        response.map(|_| match found {
            Found::Here(Blob { bytes: Bytes::File(file), .. }) => {
                Body::File(FileBody::new(file, first, length))
            }
            Found::Here(Blob { bytes: Bytes::Object(_), .. }) if is_head => Body::Length(length),
            Found::Here(Blob { bytes: Bytes::Object(object), .. }) => object.body(first, length),
            Found::There(_) => Body::Length(length),
            Found::Coming(arriving) => arriving.body(first, length),
        })
    };
    set(&mut response, CONTENT_DIGEST, digest.as_str());
    set(&mut response, ETAG, &etag);
    set(&mut response, CACHE_CONTROL, FOR_EVER);
    set(&mut response, ACCEPT_RANGES, "bytes");
    Ok(match call.is_head() {
        true => super::head_only(response),
        false => response,
    })
}

/// Who asks whether a blob is here before it sends it need not send what the engine beside us has.
async fn share(call: &Call, repository: &str, digest: &Digest) -> Result<()> {
    let Some(engine) = call.house.settings.share.clone().filter(|_| call.is_head()) else { return Ok(()) };
    if call.house.access.check(&call.caller, Action::Push, Some(repository)).is_err() {
        return Ok(());
    }
    let (house, repository, digest) = (call.house.clone(), repository.to_owned(), digest.clone());
    blocking(move || {
        let storage = &house.storage;
        if storage.has_blob(&repository, &digest)? {
            return Ok(());
        }
        let size = storage.shared_size(&engine, &digest);
        // What does not fit is refused when it is sent.
        if let Ok(_admitted) = quota::admit(&house.settings.quotas, storage, &repository, &digest, size) {
            storage.share(&engine, &repository, &digest)?;
        }
        Ok(())
    })
    .await
}

pub(crate) async fn delete(call: Call, repository: String, digest: Digest) -> Result<Response<Body>> {
    let storage = call.house.storage.clone();
    blocking(move || storage.delete_blob(&repository, &digest)).await?;
    Ok(empty(StatusCode::ACCEPTED))
}
