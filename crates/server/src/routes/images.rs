//! Images.

use std::time::Duration;

use super::lines::{error_line, progress, transfer};
use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use crate::versions::{ApiVersion, answers};
use api::image::{GarbageImage, ImageDeleteItem, ImageGarbage, ImagesPruneResponse};
use api::media_type::TAR;
use api::progress::ProgressMessage;
use engine::images::{
    AttestationRequest, GarbageRequest, GarbageStep, ImageListRequest, ImportRequest, Progress, PullRequest,
    PushRequest, Removed,
};
use engine::{Error, ImageGc, Result};
use http::{Response, StatusCode};

pub(crate) async fn list(call: Call) -> Result<Response<Body>> {
    let since = |minor| call.version >= ApiVersion::minor(minor);
    let mut filters = call.query.filters()?;
    let pattern = call.query.get("filter");
    if !since(25) && !pattern.is_empty() && !filters.has("reference") {
        filters.0.insert("reference".into(), vec![pattern.into()]);
    }
    let manifests = since(47) && call.query.flag("manifests");
    if since(54) && call.query.flag("identity") && !manifests {
        return Err(Error::invalid("conflicting options: identity requires manifests=1"));
    }
    let request = ImageListRequest {
        all: call.query.flag("all"),
        digests: call.query.flag("digests"),
        shared_size: since(42) && call.query.flag("shared-size"),
        manifests,
        filters,
    };
    let found = call.engine().images.list(request).await?;
    let list: Vec<_> = found.into_iter().map(|image| convert::image::summary(image, manifests)).collect();
    Ok(body::json(StatusCode::OK, &answers::images(call.version, &list)))
}

pub(crate) async fn inspect(call: Call) -> Result<Response<Body>> {
    let manifests = call.version >= ApiVersion::minor(48) && call.query.flag("manifests");
    let platform = platforms(&call, "platform", 49)?.pop();
    if manifests && platform.is_some() {
        return Err(Error::invalid("conflicting options: manifests and platform options cannot both be set"));
    }
    let view = call.engine().images.inspect(&call.name, platform.as_ref()).await?;
    let answer = convert::image::inspect(view, manifests);
    Ok(body::json(StatusCode::OK, &answers::image(call.version, &answer)))
}

pub(crate) async fn history(call: Call) -> Result<Response<Body>> {
    let platform = platforms(&call, "platform", 48)?.pop();
    let history = call.engine().images.history(&call.name, platform.as_ref()).await?;
    let list: Vec<_> = history.into_iter().map(convert::image::history).collect();
    Ok(body::json(StatusCode::OK, &list))
}

pub(crate) async fn attestations(call: Call) -> Result<Response<Body>> {
    let mut platforms = platforms(&call, "platform", 55)?;
    if platforms.len() > 1 {
        return Err(Error::invalid("only one platform can be specified"));
    }
    let request = AttestationRequest {
        name: call.name.clone(),
        platform: platforms.pop(),
        predicates: call.query.all("type").into_iter().filter(|uri| !uri.is_empty()).collect(),
        statements: call.query.flag("statement"),
    };
    let found = call.engine().images.attestations(request).await?;
    let list = found.into_iter().map(convert::image::attestation).collect::<Result<Vec<_>>>()?;
    Ok(body::json(StatusCode::OK, &list))
}

/// The platforms of a query (each as JSON), which older versions than `1.<since>` do not know.
fn platforms(call: &Call, key: &str, since: u16) -> Result<Vec<oci::Platform>> {
    if call.version < ApiVersion::minor(since) {
        return Ok(Vec::new());
    }
    let asked = call.query.all(key).into_iter().filter(|text| !text.is_empty());
    asked
        .map(|text| {
            let asked: api::image::Platform = serde_json::from_str(&text)
                .map_err(|e| Error::invalid(format!("failed to parse platform: {e}")))?;
            convert::image::platform(asked)
        })
        .collect()
}

/// Before an answer begins.
fn check_platforms(call: &Call, names: &[&str], platforms: &[oci::Platform]) -> Result<()> {
    for name in names {
        for platform in platforms {
            call.engine().images.check_platform(name, platform)?;
        }
    }
    Ok(())
}

/// As [`platforms`], for save and load, which took one until 1.52.
fn archive_platforms(call: &Call) -> Result<Vec<oci::Platform>> {
    let platforms = platforms(call, "platform", 48)?;
    if platforms.len() > 1 && call.version < ApiVersion::minor(52) {
        return Err(Error::invalid(
            "multiple platform parameters are not supported in this API version; use API version 1.52 or later",
        ));
    }
    Ok(platforms)
}

pub(crate) async fn tag(call: Call) -> Result<Response<Body>> {
    let (repo, tag) = (call.query.get("repo"), call.query.get("tag"));
    // As Docker, which takes what has a digest for a reference that cannot be a tag.
    if repo.contains('@') || tag.contains(':') {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    call.engine().images.tag(&call.name, repo, tag).await?;
    Ok(body::empty(StatusCode::CREATED))
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>> {
    if call.name.trim().is_empty() {
        return Err(Error::invalid("image name cannot be blank"));
    }
    let platforms = platforms(&call, "platforms", 50)?;
    let (force, prune) = (call.query.flag("force"), !call.query.flag("noprune"));
    let removed = call.engine().images.remove(&call.name, platforms, force, prune).await?;
    let list: Vec<_> = removed.into_iter().map(item).collect();
    Ok(body::json(StatusCode::OK, &list))
}

fn item(removed: Removed) -> ImageDeleteItem {
    match removed {
        Removed::Untagged(untagged) => ImageDeleteItem { untagged, ..Default::default() },
        Removed::Deleted(deleted) => ImageDeleteItem { deleted, ..Default::default() },
    }
}

pub(crate) async fn save_one(call: Call) -> Result<Response<Body>> {
    let names = vec![call.name.clone()];
    save(call, names).await
}

pub(crate) async fn save_many(call: Call) -> Result<Response<Body>> {
    let names = call.query.all("names");
    save(call, names).await
}

async fn save(call: Call, names: Vec<String>) -> Result<Response<Body>> {
    let engine = call.engine().clone();
    engine.images.check_save(&names).await?;
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let platforms = archive_platforms(&call)?;
    check_platforms(&call, &all, &platforms)?;
    let (sender, response) = body::channel(TAR);
    tokio::spawn(async move {
        let to = Box::new(body::writer(sender.clone()));
        if let Err(e) = engine.images.save(names, platforms, to).await {
            tracing::error!("saving images broke off: {e}");
            // The answer has begun: breaking it off is the only way to tell.
            let _ = sender.send(Err(std::io::Error::other(e))).await;
        }
    });
    Ok(response)
}

pub(crate) async fn load(call: Call) -> Result<Response<Body>> {
    let engine = call.engine().clone();
    let quiet = call.query.get("quiet").is_empty() || call.query.flag("quiet");
    let platforms = archive_platforms(&call)?;
    let from = Box::new(body::reader(call.request.into_body()));
    progress(move |lines| async move {
        let failed = lines.clone();
        let report = Box::new(move |progress| {
            let line = match progress {
                Progress::Line(text) => ProgressMessage { stream: format!("{text}\n"), ..Default::default() },
                Progress::Status { .. } if quiet => return,
                Progress::Status { id, status } => ProgressMessage { id, status, ..Default::default() },
                Progress::Layer { .. } | Progress::Pushed { .. } | Progress::PushedInstead { .. } => return,
            };
            lines.put(&line);
        });
        // As Docker: whatever the archive is, the answer is 200 and a line that says what is wrong with it.
        if let Err(e) = engine.images.load(from, platforms, report).await {
            failed.put(&error_line(&e));
        }
        Ok(())
    })
    .await
}

pub(crate) async fn push(call: Call) -> Result<Response<Body>> {
    let platform = platforms(&call, "platform", 46)?.pop();
    // As Docker: who says who he is in an unreadable way is nobody in particular.
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let tag = call.query.get("tag").to_owned();
    let request = PushRequest { name: call.name.clone(), tag, platform, credentials };
    let engine = call.engine().clone();
    transfer(call.peer, move |lines| async move { engine.images.push(request, lines.report()).await }).await
}

/// Pull (`fromImage`) or import (`fromSrc`).
pub(crate) async fn create(call: Call) -> Result<Response<Body>> {
    let engine = call.engine().clone();
    let platform = call.query.get("platform").to_owned();
    let (image, source) = (call.query.get("fromImage").to_owned(), call.query.get("fromSrc").to_owned());
    let tag = call.query.get("tag").to_owned();
    if !image.is_empty() {
        // As Docker: who says who he is in an unreadable way is nobody in particular.
        let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
        let request = PullRequest { name: image, tag, platform, credentials };
        return transfer(
            call.peer,
            move |lines| async move { engine.images.pull(request, lines.report()).await },
        )
        .await;
    }
    let request = ImportRequest {
        repo: call.query.get("repo").to_owned(),
        tag,
        message: call.query.get("message").to_owned(),
        changes: call.query.all("changes"),
        platform,
        source: String::new(),
    };
    if source != "-" {
        return transfer(call.peer, move |lines| async move {
            let status = engine.images.import_from(&source, request, lines.clone().report()).await?;
            lines.put(&ProgressMessage { status, ..Default::default() });
            Ok(())
        })
        .await;
    }
    let from = Box::new(body::reader(call.request.into_body()));
    progress(move |lines| async move {
        let status = engine.images.import(request, from).await?;
        lines.put(&ProgressMessage { status, ..Default::default() });
        Ok(())
    })
    .await
}

pub(crate) async fn prune(call: Call) -> Result<Response<Body>> {
    let pruned = call.engine().images.prune(call.query.filters()?).await?;
    let report = ImagesPruneResponse {
        images_deleted: pruned.removed.into_iter().map(item).collect(),
        space_reclaimed: pruned.space_bytes,
    };
    Ok(body::json(StatusCode::OK, &report))
}

pub(crate) async fn collect_garbage(call: Call) -> Result<Response<Body>> {
    let query = &call.query;
    let marks = match (query.get("high"), query.get("low")) {
        ("", "") => None,
        (high, low) => {
            let marks = || -> std::result::Result<ImageGc, String> {
                let age = match query.get("minage") {
                    "" => ImageGc::MIN_AGE,
                    text => Duration::from_secs(text.parse().map_err(|_| format!("invalid minage: {text}"))?),
                };
                ImageGc::new(high.parse()?, low.parse()?, age)
            };
            Some(marks().map_err(Error::invalid)?)
        }
    };
    let request = GarbageRequest { dry_run: query.flag("dryrun"), marks };
    let report = call.engine().images.collect_garbage(request).await?;
    let image = |step: GarbageStep| GarbageImage {
        id: step.id,
        names: step.names,
        last_used: step.last_used.to_string(),
        size: step.bytes,
    };
    let answer = ImageGarbage {
        used: report.used_bytes,
        high: report.high_bytes,
        low: report.low_bytes,
        images: report.steps.into_iter().map(image).collect(),
        images_deleted: report.removed.into_iter().map(item).collect(),
        space_reclaimed: report.freed_bytes,
    };
    Ok(body::json(StatusCode::OK, &answer))
}
