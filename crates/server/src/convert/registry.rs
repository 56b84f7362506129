//! Who asks a registry, and how far a transfer is.

use api::progress::ProgressDetail;
use api::registry::{AuthConfig, REGISTRY_AUTH, SearchResult};
use engine::images::{Credentials, Found, RemoteView};
use http::HeaderMap;

/// `X-Registry-Auth`; `None` where there is none that can be read.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let header = headers.get(REGISTRY_AUTH)?.to_str().ok()?;
    AuthConfig::from_header(header).map(of)
}

/// A user of this name means that the password is an identity token.
const TOKEN_USER: &str = "<token>";

pub(crate) fn of(auth: AuthConfig) -> Credentials {
    let (mut username, mut password) = (auth.username, auth.password);
    // Older clients send both as one.
    if username.is_empty()
        && let Some((user, secret)) = api::registry::decode_pair(&auth.auth)
    {
        (username, password) = (user, secret);
    }
    let mut identity_token = auth.identity_token;
    if username == TOKEN_USER && identity_token.is_empty() {
        identity_token = std::mem::take(&mut password);
    }
    Credentials { username, password, identity_token, registry_token: auth.registry_token }
}

/// Nothing of both is an empty object, as Docker sends it.
pub(crate) fn detail(current: u64, total: u64) -> ProgressDetail {
    let bytes = |n| i64::try_from(n).unwrap_or(i64::MAX);
    ProgressDetail { current: bytes(current), total: bytes(total), ..Default::default() }
}

/// What a registry has.
pub(crate) fn remote(view: RemoteView) -> (api::image::Descriptor, Vec<api::image::Platform>) {
    let platform = |platform: oci::Platform| api::image::Platform {
        architecture: platform.architecture,
        os: platform.os,
        os_version: platform.os_version.unwrap_or_default(),
        os_features: platform.os_features,
        variant: platform.variant.unwrap_or_default(),
    };
    let descriptor = api::image::Descriptor {
        media_type: view.media_type,
        digest: view.digest,
        size: i64::try_from(view.size_bytes).unwrap_or(i64::MAX),
        ..Default::default()
    };
    (descriptor, view.platforms.into_iter().map(platform).collect())
}

pub(crate) fn found(found: Found) -> SearchResult {
    SearchResult {
        star_count: found.star_count,
        is_official: found.is_official,
        name: found.name,
        is_automated: false,
        description: found.description,
    }
}
