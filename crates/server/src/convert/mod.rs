//! Wire shapes to the engine's and back, by hand, one file per resource.
//!
//! `create` and `host_config` also validate, in Docker's words, and refuse by name what the engine cannot
//! honour yet: nothing that was asked for is ignored.

pub(crate) mod archive;
pub(crate) mod container;
pub(crate) mod create;
pub(crate) mod disk;
pub(crate) mod event;
pub(crate) mod exec;
mod health;
pub(crate) mod host_config;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod registry;
pub(crate) mod resources;
mod restart;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod update;
pub(crate) mod volume;

use jiff::Timestamp;

/// Go's zero time.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 with as many digits of nanoseconds as needed, as Go prints it.
pub(crate) fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}
