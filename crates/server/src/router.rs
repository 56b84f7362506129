//! From a request to its handler: version prefix, route table, errors.

use crate::body::{self, Body};
use crate::call::Call;
use crate::listen::{Peer, Shared};
use crate::query::{Query, decode};
use crate::routes::{NOT_BUILT, ROUTES};
use crate::status::status;
use crate::versions::ApiVersion;
use api::error::ErrorResponse;
use engine::{Class, Error, Result};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) type Reply = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;

/// One line of the table. `{name}` stands for one segment, `{name*}` for one or more: images' names have slashes. There may
/// be one segment more at the end.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Handlers before this version do not exist.
    pub(crate) since: ApiVersion,
    pub(crate) run: fn(Call) -> Reply,
}

pub(crate) async fn answer(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let experimental = shared.experimental;
    let product = shared.product.clone();
    let (version, path) = split_version(uri.path());
    let mut response = match dispatch(shared, peer, version, path, request).await {
        Ok(response) => response,
        Err(error) => {
            let status = status(error.class);
            if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
                tracing::error!(%method, path = uri.path(), status = status.as_u16(), "request failed: {error}");
            }
            refusal(status, version, &error)
        }
    };
    let headers = response.headers_mut();
    headers.insert("api-version", HeaderValue::from_static(api::VERSION));
    headers
        .insert("docker-experimental", HeaderValue::from_static(if experimental { "true" } else { "false" }));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert("server", product);
    response
}

fn refusal(status: StatusCode, version: Option<&str>, error: &Error) -> Response<Body> {
    if status == StatusCode::NOT_MODIFIED {
        return body::empty(status);
    }
    // Clients that old print the body as it is.
    if version.and_then(ApiVersion::parse).is_some_and(|v| v < ApiVersion::MIN) {
        return body::bytes(status, "text/plain; charset=utf-8", format!("{error}\n").into_bytes());
    }
    body::json(status, &ErrorResponse { message: error.message.clone() })
}

async fn dispatch(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    version: Option<&str>,
    path: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    let path = decode(path, false);
    let Some((found, Names { name, part })) = find(request.method(), &path) else {
        return Err(Error::not_found("page not found"));
    };
    let version = match version {
        None => ApiVersion::MAX,
        Some(text) => check_version(text)?,
    };
    let route = match found {
        Found::Route(route) if route.since <= version => route,
        Found::Route(_) => return Err(Error::not_found("page not found")),
        Found::NotBuilt(method, path) => {
            return Err(Error::new(Class::Unsupported, format!("{method} {path} is not supported yet")));
        }
    };
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    (route.run)(Call { shared, peer, version, name, part, query, request }).await
}

enum Found {
    Route(&'static Route),
    NotBuilt(&'static str, &'static str),
}

/// What a path names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    name: String,
    part: String,
}

fn find(method: &Method, path: &str) -> Option<(Found, Names)> {
    for route in ROUTES {
        if route.method == *method
            && let Some(name) = matches(route.path, path)
        {
            return Some((Found::Route(route), name));
        }
    }
    for (verb, pattern) in NOT_BUILT {
        if *verb == method.as_str()
            && let Some(name) = matches(pattern, path)
        {
            return Some((Found::NotBuilt(verb, pattern), name));
        }
    }
    None
}

/// What the pattern's variables are, if the path fits; empty if the pattern has none.
fn matches(pattern: &str, path: &str) -> Option<Names> {
    let Some((before, after)) = pattern.split_once('{') else {
        return (pattern == path).then(Names::default);
    };
    let (variable, after) = after.split_once('}')?;
    let rest = path.strip_prefix(before)?;
    let (name, part) = match after.split_once('{') {
        None => (rest.strip_suffix(after)?, ""),
        // To the end, and one segment.
        Some((between, _)) => {
            rest.rsplit_once(between).filter(|(_, part)| !part.is_empty() && !part.contains('/'))?
        }
    };
    let fits = !name.is_empty() && (variable.ends_with('*') || !name.contains('/'));
    fits.then(|| Names { name: name.to_owned(), part: part.to_owned() })
}

/// `/v1.47/x` is version `1.47` and `/x`.
fn split_version(path: &str) -> (Option<&str>, &str) {
    let split = || {
        let rest = path.strip_prefix("/v")?;
        let at = rest.find('/')?;
        let version = &rest[..at];
        let is_version = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        is_version.then_some((Some(version), &rest[at..]))
    };
    split().unwrap_or((None, path))
}

fn check_version(text: &str) -> Result<ApiVersion> {
    let version =
        ApiVersion::parse(text).ok_or_else(|| Error::invalid(format!("invalid API version {text}")))?;
    if version < ApiVersion::MIN {
        return Err(Error::invalid(format!(
            "client version {text} is too old. Minimum supported API version is {}, please upgrade your client to a \
             newer version",
            api::MIN_VERSION
        )));
    }
    if version > ApiVersion::MAX {
        return Err(Error::invalid(format!(
            "client version {text} is too new. Maximum supported API version is {}",
            api::VERSION
        )));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_are_images_only() {
        let matches = |pattern, path| {
            let names = matches(pattern, path)?;
            Some(format!("{} {}", names.name, names.part).trim_end().to_owned())
        };
        assert_eq!(matches("/containers/{name}/json", "/containers/a/json").as_deref(), Some("a"));
        let two = "/containers/{name*}/checkpoints/{checkpoint}";
        assert_eq!(matches(two, "/containers/a/checkpoints/b").as_deref(), Some("a b"));
        assert_eq!(matches(two, "/containers/a/checkpoints/"), None);
        assert_eq!(matches(two, "/containers/a/checkpoints/b/c"), None);
        assert_eq!(matches("/containers/{name}/json", "/containers/a/b/json"), None);
        assert_eq!(matches("/images/{name*}/json", "/images/h:5/a/b:c/json").as_deref(), Some("h:5/a/b:c"));
        assert_eq!(matches("/images/{name*}/json", "/images/json"), None);
        assert_eq!(matches("/info", "/info").as_deref(), Some(""));
        assert_eq!(matches("/containers/{name}", "/containers/"), None);
    }

    #[test]
    fn versions_are_split_and_checked() {
        assert_eq!(split_version("/v1.47/info"), (Some("1.47"), "/info"));
        assert_eq!(split_version("/volumes"), (None, "/volumes"));
        assert_eq!(split_version("/v1.47"), (None, "/v1.47"));
        assert!(check_version("1.24").is_ok() && check_version("1.55").is_ok());
        assert_eq!(
            check_version("1.99").unwrap_err().message,
            "client version 1.99 is too new. Maximum supported API version is 1.55"
        );
        assert!(
            check_version("1.10").unwrap_err().message.starts_with("client version 1.10 is too old. Minimum")
        );
    }

    #[test]
    fn no_route_is_listed_twice_or_hidden_by_another() {
        for route in ROUTES {
            let path = route.path.replace("{name*}", "x").replace("{name}", "x");
            match find(&route.method, &path) {
                Some((Found::Route(found), _)) => assert_eq!(found.path, route.path),
                _ => panic!("{} {} is not found", route.method, route.path),
            }
        }
        for (method, pattern) in NOT_BUILT {
            let path = pattern.replace("{name*}", "x").replace("{name}", "x");
            let method = method.parse().unwrap();
            assert!(
                matches!(find(&method, &path), Some((Found::NotBuilt(..), _))),
                "{method} {pattern} is built"
            );
        }
    }
}
