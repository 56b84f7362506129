//! `/token`: a token for a password, or for nobody.

use http::Response;
use http::header::CACHE_CONTROL;
use serde_json::json;

use super::{Call, set};
use crate::access::Caller;
use crate::body::Body;
use crate::error::{Code, Error, Result};
use crate::token::{LIFE, Scope};

pub(crate) fn give(call: &Call, url: &str) -> Result<Response<Body>> {
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let service = call.query.get("service").unwrap_or(host);
    // A client may name several in one parameter, or in several.
    let words = call.query.all("scope").flat_map(|scopes| scopes.split(' '));
    let scopes: Vec<Scope> = words.filter_map(Scope::parse).collect();
    // A token is not good for another one.
    if matches!(call.caller, Caller::Bearer(_)) {
        return Err(Error::new(Code::Unauthorized, "authentication required: a token needs a password"));
    }
    let token = call.house.access.token(&call.caller, url, service, &scopes);
    let token = token.ok_or_else(|| Error::new(Code::NameUnknown, "page not found"))?;
    let answer = json!({
        "token": token,
        "access_token": token,
        "expires_in": LIFE.as_secs(),
        "issued_at": jiff::Timestamp::now().to_string(),
    });
    let mut response = super::json("application/json", &answer);
    set(&mut response, CACHE_CONTROL, "no-store");
    Ok(response)
}
