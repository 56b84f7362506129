//! `/v2/<name>/manifests/<reference>`

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use oci::{Digest, Digester, media_type};
use serde_json::Value;

use super::{CONTENT_DIGEST, Call, SUBJECT, TAG, blocking, empty, set};
use crate::body::Body;
use crate::error::{Code, Error, Result};
use crate::name;
use crate::quota;
use crate::route::Reference;
use crate::storage::{MANIFEST_BYTES_MAX, Manifest, Put, Storage};

pub(crate) async fn get(call: Call, repository: String, reference: Reference) -> Result<Response<Body>> {
    let accepts_index = match &reference {
        // Who names a digest gets what has it.
        Reference::Digest(_) => true,
        Reference::Tag(_) => accepts_index(&call),
    };
    if let Some(upstream) = call.house.upstreams.of(&repository) {
        upstream.refresh(&repository, &reference).await?;
    }
    let storage = call.house.storage.clone();
    let manifest = blocking(move || {
        let digest = match &reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => storage.resolve_tag(&repository, tag)?,
        };
        let manifest = storage.manifest(&repository, &digest)?;
        match media_type::is_index(&manifest.media_type) && !accepts_index {
            true => Ok(for_old_clients(&storage, &repository, manifest)),
            false => Ok(manifest),
        }
    })
    .await?;
    let etag = format!("\"{}\"", manifest.digest);
    let mut response = match call.header(IF_NONE_MATCH).is_some_and(|known| known.contains(&etag)) {
        true => empty(StatusCode::NOT_MODIFIED),
        false => super::bytes(StatusCode::OK, &manifest.media_type, manifest.bytes),
    };
    set(&mut response, CONTENT_DIGEST, manifest.digest.as_str());
    set(&mut response, ETAG, &etag);
    Ok(match call.is_head() {
        true => super::head_only(response),
        false => response,
    })
}

pub(crate) async fn put(call: Call, repository: String, reference: Reference) -> Result<Response<Body>> {
    let too_large = || {
        let message = format!("manifest too large: more than {MANIFEST_BYTES_MAX} bytes");
        Error::new(Code::SizeInvalid, message)
    };
    let length = call.header(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|bytes| bytes > MANIFEST_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let media_type = call.header(CONTENT_TYPE).map(str::to_owned);
    let mut tags: Vec<String> = call.query.all("tag").map(str::to_owned).collect();
    if let Some(bad) = tags.iter().find(|tag| !name::is_tag(tag)) {
        return Err(Error::new(Code::TagInvalid, "manifest tag did not match URI").with("tag", bad.as_str()));
    }
    let asked = call.query.get("digest").map(crate::route::digest).transpose()?;
    let body = Limited::new(call.body, MANIFEST_BYTES_MAX).collect().await.map_err(|error| {
        match error.is::<http_body_util::LengthLimitError>() {
            true => too_large(),
            false => Error::new(Code::ManifestInvalid, format!("the body broke off: {error}")),
        }
    })?;
    let bytes = body.to_bytes();
    let promised = match &reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(tag) => {
            tags.insert(0, tag.clone());
            asked
        }
    };
    let digest = promised.map_or_else(|| Ok(Digest::of(&bytes)), |promised| verified(promised, &bytes))?;
    let house = call.house.clone();
    let storage = call.house.storage.clone();
    let location = format!("/v2/{repository}/manifests/{digest}");
    let subject = {
        let (digest, tags) = (digest.clone(), tags.clone());
        blocking(move || {
            let tags = tags.iter().map(String::as_str).collect();
            let validation = Some(&house.settings.validation);
            let put = Put { bytes: &bytes, digest, media_type: media_type.as_deref(), tags, validation };
            let (quotas, size) = (&house.settings.quotas, put.bytes.len() as u64);
            let _admitted = quota::admit(quotas, &storage, &repository, &put.digest, size)?;
            storage.put_manifest(&repository, &put)
        })
        .await?
    };
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &location);
    set(&mut response, CONTENT_DIGEST, digest.as_str());
    if let Some(subject) = subject {
        set(&mut response, SUBJECT, subject.as_str());
    }
    for tag in call.query.all("tag") {
        if let Ok(tag) = HeaderValue::from_str(tag) {
            response.headers_mut().append(TAG, tag);
        }
    }
    Ok(response)
}

pub(crate) async fn delete(call: Call, repository: String, reference: Reference) -> Result<Response<Body>> {
    let storage = call.house.storage.clone();
    blocking(move || match &reference {
        Reference::Tag(tag) => storage.delete_tag(&repository, tag),
        Reference::Digest(digest) => storage.delete_manifest(&repository, digest),
    })
    .await?;
    Ok(empty(StatusCode::ACCEPTED))
}

fn verified(promised: Digest, bytes: &[u8]) -> Result<Digest> {
    let mut digester = Digester::new(promised.algorithm());
    digester.update(bytes);
    let found = digester.finish();
    match found == promised {
        true => Ok(promised),
        false => {
            let message = "provided digest did not match uploaded content";
            Err(Error::new(Code::DigestInvalid, message).with("digest", promised.as_str()))
        }
    }
}

/// Whether the client knows of indexes. Who says nothing takes anything.
fn accepts_index(call: &Call) -> bool {
    let mut kinds = call.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if kinds.peek().is_none() {
        return true;
    }
    kinds.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        media_type::is_index(kind) || kind == "*/*" || kind == "application/*"
    })
}

/// As Docker's registry: clients older than indexes get the image for their likely platform, if there is one.
fn for_old_clients(storage: &Storage, repository: &str, index: Manifest) -> Manifest {
    let value: Value = serde_json::from_slice(&index.bytes).unwrap_or(Value::Null);
    let children = value["manifests"].as_array().into_iter().flatten();
    let fits =
        |child: &&Value| child["platform"]["os"] == "linux" && child["platform"]["architecture"] == "amd64";
    let digest = children.into_iter().find(fits).and_then(|child| child["digest"].as_str()?.parse().ok());
    digest.and_then(|digest| storage.manifest(repository, &digest).ok()).unwrap_or(index)
}
