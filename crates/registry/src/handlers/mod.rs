//! What is answered to each request: one file per noun, as in `storage`.

pub(crate) mod blobs;
pub(crate) mod catalog;
pub(crate) mod manifests;
pub(crate) mod referrers;
pub(crate) mod search;
pub(crate) mod tags;
pub(crate) mod tokens;
pub(crate) mod uploads;

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;

use crate::access::{Access, Caller};
pub(crate) use crate::blocking::blocking;
use crate::body::Body;
use crate::error::{Code, Error, Result};
use crate::settings::Settings;
use crate::storage::Storage;
use crate::upstream::Upstreams;

/// What handlers share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) storage: Storage,
    pub(crate) upstreams: Upstreams,
    pub(crate) access: Access,
    pub(crate) settings: Settings,
}

/// One request, without its path, which is its target.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) house: Arc<House>,
    pub(crate) caller: Caller,
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(crate) const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(crate) const TAG: HeaderName = HeaderName::from_static("oci-tag");
pub(crate) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Call {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

/// The query of a URI, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// `n`: how many at most.
    pub(crate) fn limit(&self) -> Result<Option<usize>> {
        let Some(text) = self.get("n") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Error::new(Code::PaginationInvalid, "invalid number of results requested").with("n", text)
        })
    }
}

/// `%41` and `+`. What is no such thing stays; what is not UTF-8 is replaced, and then no valid name.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        (rest, _) = match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).zip(hex(*low)).is_some() => {
                let value = hex(*high).zip(hex(*low)).map_or(0, |(high, low)| high * 16 + low);
                (after, bytes.push(u8::try_from(value).unwrap_or(0)))
            }
            (b'+', _) => (tail, bytes.push(b' ')),
            (byte, _) => (tail, bytes.push(*byte)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

pub(crate) fn bytes(
    status: StatusCode,
    content_type: &str,
    bytes: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::Bytes(bytes.into()));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, content_type);
    response
}

pub(crate) fn json(content_type: &str, value: &serde_json::Value) -> Response<Body> {
    bytes(StatusCode::OK, content_type, value.to_string())
}

/// Values are digests, names and numbers: always valid in a header.
pub(crate) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The head alone: what the body would be is told.
pub(crate) fn head_only(response: Response<Body>) -> Response<Body> {
    use hyper::body::Body as _;
    let length = response.body().size_hint().exact().unwrap_or(0);
    let mut response = response.map(|_| Body::Empty);
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("digest=sha256%3Aab&n=5&x&tag=a&tag=b+c&bad=%zz");
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.limit().unwrap(), Some(5));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(query.get("bad"), Some("%zz"));
        assert!(Query::parse("n=-1").limit().is_err());
    }
}
