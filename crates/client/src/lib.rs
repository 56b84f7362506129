//! Client of the Docker Engine API: one file per resource, hijacked streams, JSON streams, typed errors.
//!
//! Runs on a current-thread runtime. Nothing is sent before the first call: no ping, no version negotiation.
//! Requests go unversioned (the newest shape of the engine) unless the caller fixes a version, as
//! `DOCKER_API_VERSION` does. One idle connection is kept for the next call; streams have their own.
//!
//! It knows no flags, tables or terminals: those are `cli`'s.

mod address;
mod archive;
mod checkpoints;
mod connection;
mod containers;
mod error;
mod execs;
mod hijack;
mod images;
mod networks;
mod objects;
mod query;
mod registries;
mod stream;
mod system;
mod tls;
mod upload;
mod volumes;

pub use address::{Address, AddressError, DEFAULT_SOCKET};
pub use archive::Commit;
pub use checkpoints::Checkpoints;
pub use connection::{ReadHalf, Stream, WriteHalf};
pub use containers::{Attach, Containers, Logs, Remove, Stop, Wait};
pub use error::{Error, Result};
pub use execs::Execs;
pub use hijack::{Demultiplexer, FrameKind, Hijacked};
pub use images::{Images, Import};
pub use networks::Networks;
pub use objects::{ObjectKind, Objects};
pub use registries::Registries;
pub use stream::{ByteStream, JsonStream};
pub use system::{Events, Ping, System};
pub use tls::{Tls, TlsError, TlsFiles};
pub use upload::{Upload, UploadWriter, upload};
pub use volumes::Volumes;

use connection::Http;

/// An engine somewhere. Cheap to make: no connection is opened until something is asked.
#[derive(Debug)]
pub struct Client {
    http: Http,
}

impl Client {
    pub fn new(address: Address) -> Self {
        Self { http: Http::new(address) }
    }

    /// Whether an engine was there for any request so far.
    pub fn has_reached_engine(&self) -> bool {
        self.http.has_reached()
    }

    /// Sends `/v<version>/...` with every request from now on (`DOCKER_API_VERSION`); `1.47` or `v1.47`.
    #[must_use]
    pub fn with_api_version(mut self, version: &str) -> Self {
        self.http.prefix = match version.trim_start_matches('v') {
            "" => String::new(),
            version => format!("/v{version}"),
        };
        self
    }

    /// A header for every request from now on (`HttpHeaders` of the client's configuration).
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.http.headers.append(name, value);
        self
    }

    /// Encrypts connections over TCP from now on; a socket in the file system needs none.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.http.tls = Some(tls);
        self
    }

    pub fn address(&self) -> &Address {
        &self.http.address
    }

    /// The `Api-Version` of the last reply; `None` before the first.
    pub fn server_api_version(&self) -> Option<String> {
        self.http.server_version()
    }

    pub fn containers(&self) -> Containers<'_> {
        Containers { http: &self.http }
    }

    pub fn checkpoints(&self) -> Checkpoints<'_> {
        Checkpoints { http: &self.http }
    }

    pub fn execs(&self) -> Execs<'_> {
        Execs { http: &self.http }
    }

    pub fn images(&self) -> Images<'_> {
        Images { http: &self.http }
    }

    pub fn registries(&self) -> Registries<'_> {
        Registries { http: &self.http }
    }

    pub fn system(&self) -> System<'_> {
        System { http: &self.http }
    }

    pub fn objects(&self, kind: ObjectKind) -> Objects<'_> {
        Objects { http: &self.http, kind }
    }

    pub fn networks(&self) -> Networks<'_> {
        Networks { http: &self.http }
    }

    pub fn volumes(&self) -> Volumes<'_> {
        Volumes { http: &self.http }
    }
}
