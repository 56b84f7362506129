//! What a request did, in the form of Docker's registry (`application/vnd.docker.distribution.events.v2+json`).

use std::net::SocketAddr;

use http::Method;
use oci::{Digest, media_type};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Result;
use crate::route::{Reference, Target};
use crate::storage::Storage;

const BLOB: &str = "application/octet-stream";

/// A request that was answered well.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) target: Target,
    pub(crate) method: Method,
    /// Of the answer: what it is about.
    pub(crate) digest: Option<Digest>,
    /// It was linked from somewhere, which is named if the client did.
    pub(crate) mounted: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) host: String,
    pub(crate) agent: String,
    /// Of this registry, as the client sees it.
    pub(crate) url: String,
}

#[derive(Debug)]
pub(crate) struct Source {
    address: String,
    instance: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Event {
    id: String,
    timestamp: String,
    action: &'static str,
    target: Value,
    request: Value,
    actor: Value,
    source: Value,
}

impl Source {
    pub(super) fn of_this_process(port: Option<u16>) -> Source {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let address = port.map(|port| format!("{name}:{port}")).unwrap_or(name);
        Source { address, instance: crate::uuid::random().unwrap_or_default() }
    }
}

impl Event {
    pub(super) fn is_ignored(&self, types: &[String], actions: &[String]) -> bool {
        let kind = self.target["mediaType"].as_str();
        types.iter().any(|ignored| Some(ignored.as_str()) == kind)
            || actions.iter().any(|ignored| ignored == self.action)
    }

    /// As it is sent: indented as Go's registry does it.
    pub(super) fn envelope(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let form = serde_json::ser::PrettyFormatter::with_indent(b"   ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, form);
        // Into memory: it cannot fail.
        let _ = json!({ "events": [self] }).serialize(&mut serializer);
        bytes
    }
}

/// The event; `None`: it is none (a look at how far an upload is).
pub(super) fn of(
    storage: &Storage,
    source: &Source,
    happened: &Happened,
    references: bool,
) -> Result<Option<Event>> {
    let Some((action, target)) = action(storage, happened, references)? else { return Ok(None) };
    let text = |value: &Option<String>, key: &str| match value.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => json!({ key: text }),
        None => json!({}),
    };
    let random = || crate::uuid::random().unwrap_or_default();
    let mut request = json!({ "id": random() });
    if let Some(remote) = happened.remote {
        request["addr"] = remote.to_string().into();
    }
    request["host"] = happened.host.as_str().into();
    request["method"] = happened.method.as_str().into();
    request["useragent"] = happened.agent.as_str().into();
    Ok(Some(Event {
        id: random(),
        timestamp: jiff::Timestamp::now().to_string(),
        action,
        target,
        request,
        actor: text(&happened.user, "name"),
        source: json!({ "addr": source.address, "instanceID": source.instance }),
    }))
}

fn action(storage: &Storage, happened: &Happened, references: bool) -> Result<Option<(&'static str, Value)>> {
    let digest = happened.digest.as_ref();
    let read = matches!(happened.method, Method::GET | Method::HEAD);
    let deleted = happened.method == Method::DELETE;
    Ok(match (&happened.target, digest) {
        (Target::Blob { repository, digest }, _) if deleted => {
            Some(("delete", json!({ "digest": digest.as_str(), "repository": repository })))
        }
        (Target::Blob { repository, digest }, _) if read => {
            blob(storage, happened, repository, digest)?.map(|target| ("pull", target))
        }
        (Target::Uploads { repository } | Target::Upload { repository, .. }, Some(digest)) => {
            let target = blob(storage, happened, repository, digest)?;
            target.map(|mut target| match &happened.mounted {
                None => ("push", target),
                Some(from) => {
                    if !from.is_empty() {
                        target["fromRepository"] = from.as_str().into();
                    }
                    ("mount", target)
                }
            })
        }
        (Target::Manifest { repository, reference }, _) if deleted => {
            let (key, value) = match reference {
                Reference::Digest(digest) => ("digest", digest.as_str()),
                Reference::Tag(tag) => ("tag", tag.as_str()),
            };
            Some(("delete", json!({ key: value, "repository": repository })))
        }
        (Target::Manifest { repository, reference }, Some(digest)) => {
            let action = if read { "pull" } else { "push" };
            let target = manifest(storage, happened, repository, digest, references)?;
            target.map(|mut target| {
                if let Reference::Tag(tag) = reference {
                    target["tag"] = tag.as_str().into();
                }
                (action, target)
            })
        }
        _ => None,
    })
}

fn blob(storage: &Storage, happened: &Happened, repository: &str, digest: &Digest) -> Result<Option<Value>> {
    // Of what is still being fetched from another registry the size is not known here.
    let size = storage.blob(repository, digest).map(|blob| blob.size).ok();
    let mut target = json!({ "mediaType": BLOB });
    if let Some(size) = size {
        target["size"] = size.into();
    }
    target["digest"] = digest.as_str().into();
    if let Some(size) = size {
        target["length"] = size.into();
    }
    target["repository"] = repository.into();
    target["url"] = format!("{}/v2/{repository}/blobs/{digest}", happened.url).into();
    Ok(Some(target))
}

fn manifest(
    storage: &Storage,
    happened: &Happened,
    repository: &str,
    digest: &Digest,
    references: bool,
) -> Result<Option<Value>> {
    // Deleted meanwhile: there is nothing to tell of it.
    let Ok(manifest) = storage.manifest(repository, digest) else { return Ok(None) };
    let mut target = json!({
        "mediaType": manifest.media_type,
        "size": manifest.bytes.len(),
        "digest": digest.as_str(),
        "length": manifest.bytes.len(),
        "repository": repository,
        "url": format!("{}/v2/{repository}/manifests/{digest}", happened.url),
    });
    if references {
        let value: Value = serde_json::from_slice(&manifest.bytes).unwrap_or(Value::Null);
        let key = if media_type::is_index(&manifest.media_type) { "manifests" } else { "layers" };
        let list = value[key].as_array().into_iter().flatten();
        let all: Vec<&Value> = value.get("config").into_iter().chain(list).collect();
        target["references"] = json!(all);
    }
    Ok(Some(target))
}
