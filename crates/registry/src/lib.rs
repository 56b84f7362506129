//! A registry: the OCI distribution specification 1.1 over HTTP, and Docker's schema 2.
//!
//! ```text
//!  listen.rs ─► service.rs ─► access.rs (who is it, may they?) ─► handlers/<noun>.rs ─► storage/<noun>.rs ─► disk
//!                  │                                              └► upstream/ (what is another registry's)
//!                  │ route.rs: path → what is meant
//!                  └ log.rs, metrics.rs: what was answered
//! ```
//!
//! What was done is told to whoever wants to know: `notify/`.
//!
//! What it is told comes from `config/` (Docker's `config.yml` and variables) and `command.rs` (flags): `settings.rs`.
//!
//! The layout on disk is that of the registry that Docker publishes (`storage/layout.rs`), so that a directory of
//! that one can be served here and the other way round. Everything is on disk before it is acknowledged, and
//! nothing is kept in memory that another process would need: any number of processes may serve one directory.
//!
//! Storage is synchronous; what may take long (bytes of a blob, syncs) is done where tokio lets one wait.

mod access;
mod action;
mod blocking;
mod body;
mod bytes;
pub mod command;
mod config;
mod debug;
mod error;
mod handlers;
mod health;
mod htpasswd;
pub mod image;
mod listen;
mod log;
mod metrics;
mod name;
mod notify;
mod page;
mod pattern;
mod quota;
mod range;
mod retention;
mod route;
mod service;
mod settings;
mod socket;
mod storage;
mod tls;
mod token;
mod upstream;
mod uuid;
mod validation;
mod web;

pub use error::{Code, Error, Result};
pub use listen::{Listener, serve};
pub use log::{Form, Level, Log};
pub use quota::Quota;
pub use retention::Rule;
pub use settings::{
    Address, Check, Checked, Debug, Endpoint, Notifications, Purge, Retention, Settings, Tls, Upstream,
};
pub use storage::{BucketSettings, Collected, Retired, Storage};
pub use validation::{Indexes, Validation};
pub use web::Place;
