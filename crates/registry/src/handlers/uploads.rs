//! `/v2/<name>/blobs/uploads/`: at once, in pieces, or from another repository.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use oci::Digest;
use tokio::sync::mpsc;

use super::{CONTENT_DIGEST, Call, House, UPLOAD_ID, blocking, empty, set};
use crate::action::Action;
use crate::body::Body;
use crate::error::{Code, Error, Result};
use crate::quota;
use crate::range;
use crate::route;
use crate::storage::Upload;

/// Pieces between the socket and the disk: enough to keep both busy, little enough to bound the memory of a request.
const PIECES_IN_FLIGHT: usize = 16;

/// `POST`: begins one; with `digest` it is whole already, with `mount` it comes from elsewhere.
pub(crate) async fn begin(call: Call, repository: String) -> Result<Response<Body>> {
    if let Some(text) = call.query.get("mount") {
        let digest = route::digest(text)?;
        if mount(&call, &repository, &digest).await? {
            return Ok(created(&repository, &digest));
        }
    }
    let whole = call.query.get("digest").map(route::digest).transpose()?;
    let room = room(&call, &repository, 0).await?;
    let storage = call.house.storage.clone();
    let (id, name) = {
        let name = repository.clone();
        blocking(move || Ok((storage.begin_upload(&name)?, name))).await?
    };
    match whole {
        None => Ok(progress(StatusCode::ACCEPTED, &name, &id, 0)),
        Some(digest) => {
            let storage = call.house.storage.clone();
            let upload = blocking(move || storage.upload(&name, &id)).await?.at_most(room);
            let (upload, received) = receive(upload, call.body).await?;
            if let Err(error) = received {
                return Err(given_up(upload, error).await);
            }
            commit(call.house, upload, repository, digest).await
        }
    }
}

async fn mount(call: &Call, repository: &str, digest: &Digest) -> Result<bool> {
    let storage = call.house.storage.clone();
    let (to, digest) = (repository.to_owned(), digest.clone());
    match call.query.get("from") {
        Some(from) => {
            if crate::name::check_repository(from).is_err() {
                return Ok(false);
            }
            // Who may not read it there does not get it here, and is not told whether it exists.
            if call.house.access.check(&call.caller, Action::Pull, Some(from)).is_err() {
                return Ok(false);
            }
            let from = from.to_owned();
            let house = call.house.clone();
            blocking(move || {
                // What is not there is not mounted, and fits.
                let size = storage.blob(&from, &digest).map_or(0, |blob| blob.size);
                let _admitted = quota::admit(&house.settings.quotas, &storage, &to, &digest, size)?;
                storage.mount(&from, &to, &digest)
            })
            .await
        }
        None if call.house.access.is_open() => {
            let house = call.house.clone();
            blocking(move || {
                let size = storage.size_of(&digest);
                let _admitted = quota::admit(&house.settings.quotas, &storage, &to, &digest, size)?;
                storage.mount_from_any(&to, &digest)
            })
            .await
        }
        None => Ok(false),
    }
}

/// `GET`: how far it is.
pub(crate) async fn status(call: Call, repository: String, id: String) -> Result<Response<Body>> {
    let storage = call.house.storage.clone();
    let (name, number) = (repository.clone(), id.clone());
    let size = blocking(move || storage.upload_size(&name, &number)).await?;
    Ok(progress(StatusCode::NO_CONTENT, &repository, &id, size))
}

/// `PATCH`: one more piece.
pub(crate) async fn append(call: Call, repository: String, id: String) -> Result<Response<Body>> {
    let storage = call.house.storage.clone();
    let (name, number) = (repository.clone(), id.clone());
    let upload = blocking(move || storage.upload(&name, &number)).await?;
    let before = upload.size();
    let upload = match room(&call, &repository, before).await {
        Ok(room) => upload.at_most(room),
        Err(error) => return Err(given_up(upload, error).await),
    };
    if let Some(response) = out_of_order(&call, &repository, &id, before) {
        blocking(move || upload.suspend()).await?;
        return Ok(response);
    }
    let announced = announced(&call);
    let (upload, received) = receive(upload, call.body).await?;
    if let Err(error) = &received
        && error.code == Code::Denied
    {
        return Err(given_up(upload, error.clone()).await);
    }
    let size = upload.size();
    // Also what came of a body that broke off: the client asks how far it is, and goes on from there.
    blocking(move || upload.suspend()).await?;
    received?;
    if announced.is_some_and(|bytes| before + bytes != size) {
        return Err(Error::new(Code::BlobUploadInvalid, "the chunk has not the announced length"));
    }
    Ok(progress(StatusCode::ACCEPTED, &repository, &id, size))
}

/// `PUT`: maybe a last piece, and then it is whole.
pub(crate) async fn finish(call: Call, repository: String, id: String) -> Result<Response<Body>> {
    let digest = call.query.get("digest").ok_or_else(|| {
        Error::new(
            Code::DigestInvalid,
            "the parameter digest is missing: nobody knows what the upload is to be",
        )
    })?;
    let digest = route::digest(digest)?;
    let storage = call.house.storage.clone();
    let (name, number) = (repository.clone(), id.clone());
    let upload = blocking(move || storage.upload(&name, &number)).await?;
    if let Some(response) = out_of_order(&call, &repository, &id, upload.size()) {
        blocking(move || upload.suspend()).await?;
        return Ok(response);
    }
    let upload = match room(&call, &repository, upload.size()).await {
        Ok(room) => upload.at_most(room),
        Err(error) => return Err(given_up(upload, error).await),
    };
    let (upload, received) = receive(upload, call.body).await?;
    if let Err(error) = received {
        return Err(given_up(upload, error).await);
    }
    commit(call.house, upload, repository, digest).await
}

/// `DELETE`: it is given up.
pub(crate) async fn cancel(call: Call, repository: String, id: String) -> Result<Response<Body>> {
    let storage = call.house.storage.clone();
    blocking(move || storage.cancel_upload(&repository, &id)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// A piece that does not begin where the last one ended: how far it is, so that the client can mend it.
fn out_of_order(call: &Call, repository: &str, id: &str, size: u64) -> Option<Response<Body>> {
    let header = call.header(CONTENT_RANGE)?;
    let in_order = range::chunk(header).is_some_and(|(first, _)| first == size);
    (!in_order).then(|| progress(StatusCode::RANGE_NOT_SATISFIABLE, repository, id, size))
}

/// Bytes of the piece, by its range or its length.
fn announced(call: &Call) -> Option<u64> {
    match call.header(CONTENT_RANGE).and_then(range::chunk) {
        Some((first, last)) => Some(last - first + 1),
        None => call.header(CONTENT_LENGTH)?.parse().ok(),
    }
}

/// Writes the body while it comes. The upload comes back also when it broke off.
async fn receive(mut upload: Upload, mut body: Incoming) -> Result<(Upload, Result<()>)> {
    let (pieces, mut arriving) = mpsc::channel::<Bytes>(PIECES_IN_FLIGHT);
    let writing = tokio::task::spawn_blocking(move || {
        let mut written = Ok(());
        while let Some(piece) = arriving.blocking_recv() {
            written = upload.write(&piece);
            if written.is_err() {
                break;
            }
        }
        (upload, written)
    });
    let mut received = Ok(());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let Ok(piece) = frame.into_data() else { continue };
                // The writer has stopped: it says why.
                if pieces.send(piece).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                received = Err(Error::new(Code::BlobUploadInvalid, format!("the body broke off: {error}")));
                break;
            }
        }
    }
    drop(pieces);
    let done = writing.await;
    let (upload, written) =
        done.map_err(|error| Error::new(Code::Unknown, format!("a handler was broken off: {error}")))?;
    Ok((upload, written.and(received)))
}

async fn commit(
    house: Arc<House>,
    upload: Upload,
    repository: String,
    digest: Digest,
) -> Result<Response<Body>> {
    let response = created(&repository, &digest);
    blocking(move || {
        let quotas = &house.settings.quotas;
        match quota::admit(quotas, &house.storage, &repository, &digest, upload.size()) {
            Ok(_admitted) => upload.commit(&digest),
            Err(error) => upload.discard().and(Err(error)),
        }
    })
    .await?;
    Ok(response)
}

/// Bytes that the upload may have in all; `None`: any number.
async fn room(call: &Call, repository: &str, before: u64) -> Result<Option<u64>> {
    if call.house.settings.quotas.is_empty() {
        return Ok(None);
    }
    let (house, repository) = (call.house.clone(), repository.to_owned());
    let more = announced(call);
    // Nothing is announced by who only begins.
    let wanted = more.filter(|more| before + more > 0).map(|more| before + more);
    blocking(move || quota::room(&house.settings.quotas, &house.storage, &repository, wanted)).await
}

/// What does not fit will not fit later: it is gone. What broke off is gone on with.
async fn given_up(upload: Upload, error: Error) -> Error {
    match error.code {
        Code::Denied => blocking(move || upload.discard()).await.err().unwrap_or(error),
        _ => {
            // The first error is the one to tell.
            let _ = blocking(move || upload.suspend()).await;
            error
        }
    }
}

fn created(repository: &str, digest: &Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &format!("/v2/{repository}/blobs/{digest}"));
    set(&mut response, CONTENT_DIGEST, digest.as_str());
    response
}

fn progress(status: StatusCode, repository: &str, id: &str, size: u64) -> Response<Body> {
    let mut response = empty(status);
    set(&mut response, LOCATION, &format!("/v2/{repository}/blobs/uploads/{id}"));
    set(&mut response, RANGE, &format!("0-{}", size.saturating_sub(1)));
    set(&mut response, UPLOAD_ID, id);
    response
}
