//! Registries: who is known there, and what is there.

use api::registry::{AuthConfig, AuthResponse, DistributionInspect};
use engine::Result;
use http::{Response, StatusCode};

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
    let platform = |platform: oci::Platform| api::image::Platform {
        architecture: platform.architecture,
        os: platform.os,
        os_version: platform.os_version.unwrap_or_default(),
        os_features: platform.os_features,
        variant: platform.variant.unwrap_or_default(),
    };
    let answer = DistributionInspect {
        descriptor: api::image::Descriptor {
            media_type: remote.media_type,
            digest: remote.digest,
            size: i64::try_from(remote.size_bytes).unwrap_or(i64::MAX),
            ..Default::default()
        },
        platforms: remote.platforms.into_iter().map(platform).collect(),
    };
    Ok(body::json(StatusCode::OK, &answer))
}
