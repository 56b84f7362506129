//! What can be wrong with a plugin.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Docker's words.
    #[error("plugin \"{0}\" not found")]
    NotFound(String),
    /// Docker's words.
    #[error(
        "plugin does not implement the requested driver: plugin=\"{name}\", requested implementation=\"{wanted}\""
    )]
    OtherKind { name: String, wanted: &'static str },
    /// A file that should say where it is.
    #[error("{path}: {why}")]
    Place { path: String, why: String },
    #[error("plugin \"{name}\" cannot be reached at {address}: {why}")]
    Unreachable { name: String, address: String, why: String },
    #[error("plugin \"{name}\" has not answered {method} for {} s; is it alive?", limit.as_secs())]
    Silent { name: String, method: String, limit: Duration },
    /// It broke off, or said what nobody understands.
    #[error("plugin \"{name}\", {method}: {why}")]
    Garbled { name: String, method: String, why: String },
    /// Its own words.
    #[error("{0}")]
    Refused(String),
}
