//! One request on its way through a handler.

use crate::body;
use crate::listen::{Peer, Shared};
use crate::query::Query;
use crate::versions::ApiVersion;
use engine::{Engine, Error, Result};
use http::Request;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// JSON bodies are small; this only keeps a stray upload out of memory.
const JSON_LIMIT_BYTES: usize = 16 << 20;

pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Arc<Peer>,
    /// What the client speaks: the path's prefix, or the newest.
    pub(crate) version: ApiVersion,
    /// The `{name}` of the route, decoded; empty if it has none.
    pub(crate) name: String,
    /// The variable at the route's end, if it has a second one.
    pub(crate) part: String,
    pub(crate) query: Query,
    pub(crate) request: Request<Incoming>,
}

impl Call {
    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn wants_upgrade(&self) -> bool {
        self.request.headers().contains_key(UPGRADE)
    }

    /// No body was announced.
    pub(crate) fn is_bodiless(&self) -> bool {
        let headers = self.request.headers();
        match headers.get(CONTENT_LENGTH) {
            Some(length) => length == "0",
            None => {
                !headers.contains_key(TRANSFER_ENCODING)
                    || hyper::body::Body::is_end_stream(self.request.body())
            }
        }
    }

    /// The body must be JSON by its content type, unless there is none.
    pub(crate) fn check_json(&self) -> Result<()> {
        let text = match self.request.headers().get(CONTENT_TYPE) {
            None if self.is_bodiless() => return Ok(()),
            None => "",
            Some(value) => value.to_str().unwrap_or_default(),
        };
        let media_type = text.split(';').next().unwrap_or_default().trim();
        match media_type {
            "" => Err(Error::invalid(format!("malformed Content-Type header ({text}): mime: no media type"))),
            t if t.eq_ignore_ascii_case(api::media_type::JSON) => Ok(()),
            _ => Err(Error::invalid(format!(
                "unsupported Content-Type header ({text}): must be '{}'",
                api::media_type::JSON
            ))),
        }
    }

    /// The bytes of a JSON body.
    pub(crate) async fn json_bytes(self) -> Result<Vec<u8>> {
        body::whole(self.request.into_body(), JSON_LIMIT_BYTES).await
    }

    /// Reads a JSON body that may be absent.
    pub(crate) async fn json<T: DeserializeOwned + Default>(self) -> Result<T> {
        self.check_json()?;
        if self.is_bodiless() {
            return Ok(T::default());
        }
        read_json(&self.json_bytes().await?)
    }
}

pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    api::go::from_slice(bytes).map_err(|e| json_error(bytes, &e))
}

/// Docker's wording for a body that cannot be read.
pub(crate) fn json_error(bytes: &[u8], e: &serde_json::Error) -> Error {
    if bytes.trim_ascii().is_empty() {
        Error::invalid("invalid JSON: got EOF while reading request body")
    } else if e.to_string().starts_with("trailing characters") {
        Error::invalid("unexpected content after JSON")
    } else {
        Error::invalid(format!("invalid JSON: {e}"))
    }
}
