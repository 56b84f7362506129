//! Who asks a registry, and how far a transfer is.

use api::progress::ProgressDetail;
use api::registry::{AuthConfig, REGISTRY_AUTH};
use engine::images::Credentials;
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
