//! From a host's name to a connection: names over DNS, and whom to believe with TLS. What a client of an engine and a
//! client of a registry both need, and neither owns.

mod names;
mod verify;

pub use names::{LookupError, resolve};
pub use verify::{Anybody, SYSTEM_ROOTS, provider, system_roots};
