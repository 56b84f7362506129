//! What can go wrong between a client and an engine.

use crate::address::AddressError;
use http::StatusCode;
use std::io;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing listens there. Docker's text, on which people and scripts rely.
    #[error("{}", connect_text(address, source))]
    Connect { address: String, source: io::Error },
    /// The engine answered with an error; `message` is its text.
    #[error("Error response from daemon: {message}")]
    Api { status: StatusCode, message: String },
    /// The conversation broke.
    #[error("error during connect: {method} {path}: {source}")]
    Transport { method: http::Method, path: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// A reply could not be read as what it should be.
    #[error("cannot read the reply to {what}: {source}")]
    Decode { what: String, source: serde_json::Error },
    /// An object was named by nothing; the engine would be asked for something else.
    #[error("invalid {kind} name or ID: value is empty")]
    Nameless { kind: &'static str },
    /// A stream broke off.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// HTTP status of an engine's refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Error::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// No engine is there (as opposed to one that refuses).
    pub fn is_connect(&self) -> bool {
        matches!(self, Error::Connect { .. })
    }
}

fn connect_text(address: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("permission denied while trying to connect to the docker API at {address}")
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("Cannot connect to the Docker daemon at {address}. Is the docker daemon running?")
        }
        _ => format!("error during connect: {address}: {source}"),
    }
}
