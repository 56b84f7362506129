//! What a registry is told before it serves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// All of it. The names are those of `wharf registry serve --help`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub address: SocketAddr,
    /// The directory that holds everything.
    pub root: PathBuf,
    pub tls: Option<Tls>,
    /// Users with their bcrypt hashes, as htpasswd(1) writes them with `-B`.
    pub htpasswd: Option<PathBuf>,
    pub realm: String,
    /// Clients get a token for their password, and bring that.
    pub token_auth: bool,
    /// `https://registry.example`, where a client sees this registry under another address than it is told.
    pub url: Option<String>,
    /// Who may do what where; without it, whoever is known may do everything.
    pub rules: Option<PathBuf>,
    /// Nothing is pushed or deleted.
    pub read_only: bool,
    pub delete: bool,
    /// An index may name manifests that are not here.
    pub sparse_indexes: bool,
    /// A line of JSON for each request, on standard output.
    pub access_log: bool,
    /// How often what nobody has any more is removed; `None`: never by itself.
    pub collect_every: Option<Duration>,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must have a certificate of one of these authorities.
    pub client_authorities: Vec<PathBuf>,
}
