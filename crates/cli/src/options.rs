//! `run` and `create`: Docker's hundred flags, and what they mean.
//!
//! [`container_flags`] is the table, [`request`] turns a line into the body of the create request: parse, then
//! resolve, then act. What reads files or looks at paths does so here, on the client's machine, because that is where
//! the user's files are.

pub(crate) mod devices;
pub(crate) mod environment;
mod flags;
mod health;
pub(crate) mod mounts;
pub(crate) mod networks;
pub(crate) mod ports;
pub(crate) mod request;
pub(crate) mod resources;
mod security;
pub(crate) mod values;
mod volumes;

pub(crate) use flags::container_flags;
pub(crate) use request::request;
