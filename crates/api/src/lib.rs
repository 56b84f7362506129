//! Docker Engine API wire types, one file per resource.
//!
//! These structs are what travels: field names, order, zero values, `null` versus `[]` versus absent are
//! Docker's (API 1.55). What a value means is the engine's business; older shapes are made from these at
//! the server's edge (`server/src/versions`). Both `server` and `client` use them, so each type serializes
//! and deserializes. Read them with [`go::from_slice`], which forgives what Go's decoder forgives: `null`
//! for any field, keys in any case, unknown keys.
//!
//! Lists and maps that Docker prints as `null` when unset are plain `Vec`/`BTreeMap` here and printed through
//! [`go::null_if_empty`]; Go's `omitempty` is [`go::is_zero`].

pub mod archive;
pub mod build;
pub mod checkpoint;
pub mod container;
pub mod error;
pub mod events;
pub mod exec;
pub mod filters;
pub mod go;
pub mod host_config;
pub mod image;
pub mod mount;
pub mod network;
pub mod progress;
pub mod registry;
pub mod stats;
pub mod system;
mod text;
pub mod update;
pub mod volume;

/// The newest API version spoken.
pub const VERSION: &str = "1.55";

/// The oldest API version spoken.
pub const MIN_VERSION: &str = "1.24";

/// Media types of streams and JSON documents.
pub mod media_type {
    /// One stream, as it comes: a tty, or an old client.
    pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
    /// stdout and stderr in 8-byte frames.
    pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";
    pub const JSON: &str = "application/json";
    pub const NDJSON: &str = "application/x-ndjson";
    pub const JSON_LINES: &str = "application/jsonl";
    pub const JSON_SEQ: &str = "application/json-seq";
    pub const TAR: &str = "application/x-tar";
    pub const OCTET_STREAM: &str = "application/octet-stream";
}
