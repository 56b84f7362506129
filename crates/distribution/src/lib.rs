//! Client of registries: Docker's registry protocol v2 and OCI distribution 1.1, with their authentication.
//!
//! ```text
//! Client ─► Repository (a name, and whose it is) ─► resolve, manifest, blob, push, tags
//!   │           └─► endpoints: mirrors, then the registry; each pinged once, for its scheme and its challenge
//!   └─► Transport: connections by origin, TLS by host, proxies, time limits
//! ```
//!
//! What holds for every request: credentials go to the registry they are for and to the token server that it names, never
//! along a redirect to another host; whatever a registry sends is bounded, in bytes and in time; what has a digest is
//! hashed by whoever keeps it. A download that breaks off is taken up where it was.

mod auth;
mod blob;
mod certificates;
mod challenge;
mod client;
mod endpoint;
mod error;
mod fetch;
mod hosts;
mod login;
mod manifest;
mod pass;
mod proxy;
mod repository;
mod search;
mod settings;
mod size;
mod stream;
mod transport;
mod upload;
mod url;

pub use blob::Blob;
pub use client::Client;
pub use error::{Class, Error, Result};
pub use fetch::Fetch;
pub use manifest::{MANIFEST_BYTES_MAX, RemoteManifest};
pub use proxy::Proxies;
pub use repository::{Access, Repository};
pub use search::Found;
pub use settings::{Credentials, Network, Settings};
pub use upload::Pushed;
