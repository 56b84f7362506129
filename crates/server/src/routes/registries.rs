//! Registries: who is known there, and what is there.

use api::registry::{
    AuthConfig, AuthResponse, CopyTarget, DistributionInspect, DistributionManifest, RepositoryTags,
};
use engine::images::{CopyRequest, SearchRequest};
use engine::{Error, Result};
use http::{Response, StatusCode};

use super::lines::transfer;
use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;

pub(crate) async fn login(call: Call) -> Result<Response<Body>> {
    let engine = call.engine().clone();
    let auth: AuthConfig = call.json().await?;
    let server = auth.server_address.clone();
    let identity_token = engine.images.login(&server, convert::registry::of(auth)).await?.unwrap_or_default();
    let answer = AuthResponse { identity_token, status: "Login Succeeded".to_owned() };
    Ok(body::json(StatusCode::OK, &answer))
}

pub(crate) async fn inspect(call: Call) -> Result<Response<Body>> {
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let remote = call.engine().images.remote(&call.name, &credentials).await?;
    let (descriptor, platforms) = convert::registry::remote(remote);
    Ok(body::json(StatusCode::OK, &DistributionInspect { descriptor, platforms }))
}

pub(crate) async fn tags(call: Call) -> Result<Response<Body>> {
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let (name, tags) = call.engine().images.remote_tags(&call.name, &credentials).await?;
    Ok(body::json(StatusCode::OK, &RepositoryTags { name, tags }))
}

pub(crate) async fn manifest(call: Call) -> Result<Response<Body>> {
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let insecure = call.query.flag("insecure");
    let found = call.engine().images.remote_document(&call.name, &credentials, insecure).await?;
    let (descriptor, platforms) = convert::registry::remote(found.view);
    let mut answer = DistributionManifest { descriptor, platforms, raw: String::new() };
    answer.set_bytes(&found.bytes);
    Ok(body::json(StatusCode::OK, &answer))
}

pub(crate) async fn put_manifest(call: Call) -> Result<Response<Body>> {
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let (engine, name, insecure) = (call.engine().clone(), call.name.clone(), call.query.flag("insecure"));
    let given: DistributionManifest = call.json().await?;
    let bytes = given.bytes().ok_or_else(|| Error::invalid("Raw: no base64"))?;
    let media_type = &given.descriptor.media_type;
    let digest = engine.images.put_remote(&name, media_type, &bytes, &credentials, insecure).await?;
    let descriptor = api::image::Descriptor { digest: digest.to_string(), ..given.descriptor };
    Ok(body::json(StatusCode::CREATED, &DistributionInspect { descriptor, platforms: given.platforms }))
}

pub(crate) async fn copy(call: Call) -> Result<Response<Body>> {
    let credentials = convert::registry::credentials(call.request.headers()).unwrap_or_default();
    let (engine, from, peer) = (call.engine().clone(), call.name.clone(), call.peer.clone());
    let target: CopyTarget = call.json().await?;
    let request = CopyRequest {
        from,
        to: target.to,
        credentials,
        credentials_there: convert::registry::of(target.auth),
        insecure: target.insecure,
    };
    transfer(peer, move |lines| async move { engine.images.copy(request, lines.report()).await }).await
}

pub(crate) async fn search(call: Call) -> Result<Response<Body>> {
    let limit = match call.query.get("limit") {
        "" => 0,
        text => text.parse::<i64>().ok().filter(|limit| *limit >= 0).ok_or_else(|| {
            Error::invalid(format!("invalid limit specified: strconv.Atoi: parsing {text:?}: invalid syntax"))
        })?,
    };
    let request = SearchRequest {
        term: call.query.get("term").to_owned(),
        limit,
        filters: call.query.filters()?,
        credentials: convert::registry::credentials(call.request.headers()).unwrap_or_default(),
    };
    let found = call.engine().images.search(request).await?;
    let list: Vec<_> = found.into_iter().map(convert::registry::found).collect();
    Ok(body::json(StatusCode::OK, &list))
}
