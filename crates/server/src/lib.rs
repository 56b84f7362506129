//! The Docker Engine API over HTTP.
//!
//! ```text
//! socket ─ listen (accept, sniff) ─ hyper ─ router (prefix, table) ─ routes/<resource> ─ engine
//!                                                    versions/ ┘   └ convert/<resource>
//! ```
//!
//! Handlers see the newest shapes; `versions` adapts what older clients send and expect. Only this crate knows
//! both wire types and the engine's, and converts by hand in `convert/`. How anything is done is the engine's
//! business. After an upgrade the connection's file descriptor goes to the engine, so that no byte of a
//! container's streams passes through here (`hijack`).

mod body;
mod call;
mod convert;
mod hijack;
mod listen;
mod query;
mod router;
mod routes;
mod status;
mod versions;
mod websocket;

pub use convert::disk::ConfigFiles;
pub use listen::{Listener, Server};
