//! What a registry is told before it serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::log::Log;
use crate::quota::Quota;
use crate::retention::Rule;
use crate::storage::{BucketSettings, Storage};
use crate::validation::Validation;
use crate::web::Place;

/// All of it. The names are those of `wharf registry serve --help`, and of `config.yml` (`config/keys.rs`).
#[derive(Clone, Debug)]
pub struct Settings {
    pub address: Address,
    /// The directory that holds everything.
    pub root: PathBuf,
    /// In place of `root`.
    pub bucket: Option<BucketSettings>,
    /// The data root of an engine on the same file system: what the engine has need not be sent, and is not there twice.
    pub share: Option<PathBuf>,
    pub tls: Option<Tls>,
    /// Users with their bcrypt hashes, as htpasswd(1) writes them with `-B`.
    pub htpasswd: Option<PathBuf>,
    pub realm: String,
    /// Clients get a token for their password, and bring that.
    pub token_auth: bool,
    /// What processes that serve one registry sign tokens with; without it, they share a key beside the data.
    pub secret: Option<String>,
    /// `https://registry.example`, where a client sees this registry under another address than it is told.
    pub url: Option<String>,
    /// Locations of answers have no host, even where [`Settings::url`] would give them one.
    pub relative_urls: bool,
    /// `/registry`: what is before every path. No slash at its end; empty: nothing.
    pub prefix: String,
    /// Of every answer.
    pub headers: Vec<(String, String)>,
    /// Who may do what where; without it, whoever is known may do everything.
    pub rules: Option<PathBuf>,
    /// Nothing is pushed or deleted.
    pub read_only: bool,
    pub delete: bool,
    /// What manifests have to be.
    pub validation: Validation,
    /// Most that one page of the catalog, or of tags, may have.
    pub catalog_max: Option<usize>,
    pub tags_max: Option<usize>,
    pub log: Log,
    /// How often what nobody has any more is removed; `None`: never by itself.
    pub collect_every: Option<Duration>,
    /// Uploads that nobody goes on with; `None`: they stay.
    pub purge: Option<Purge>,
    pub debug: Option<Debug>,
    /// How long open requests may go on once the registry is told to stop.
    pub drain: Duration,
    /// With TLS, and without it.
    pub http2: bool,
    pub h2c: bool,
    /// Threads that wait for the disk, at most.
    pub threads: Option<usize>,
    pub health: Vec<Check>,
    /// Other registries, whose images are fetched when somebody asks for them.
    pub upstreams: Vec<Upstream>,
    pub notifications: Notifications,
    pub retention: Retention,
    /// How much may be pushed where.
    pub quotas: Vec<Quota>,
}

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must have a certificate of one of these authorities.
    pub client_authorities: Vec<PathBuf>,
    /// They may also have none.
    pub client_optional: bool,
    /// 1.2 is no longer spoken.
    pub only_1_3: bool,
    /// By the names of TLS; empty: all that are good.
    pub cipher_suites: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Nobody has written to it for so long.
    pub age: Duration,
    pub every: Duration,
    /// It is only told of.
    pub dry_run: bool,
}

/// A second address, for machines that look after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debug {
    pub address: SocketAddr,
    /// The path of the metrics.
    pub metrics: Option<String>,
}

/// What is looked at again and again. While it fails, requests are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub what: Checked,
    pub every: Duration,
    /// It fails when it did so often, one after another.
    pub threshold: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The directory can be read.
    Storage,
    /// A file that must not be there.
    File(PathBuf),
    /// `host:port` takes connections.
    Tcp { address: String, timeout: Duration },
    /// A server answers HEAD with this status.
    Http { url: String, place: Place, headers: Vec<(String, String)>, status: u16, timeout: Duration },
}

/// Which tags stay.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// How often the others are removed; `None`: by `wharf registry retain` only.
    pub every: Option<Duration>,
    pub rules: Vec<Rule>,
}

/// Who is told of what is done here.
#[derive(Clone, Debug, Default)]
pub struct Notifications {
    pub endpoints: Vec<Endpoint>,
    /// An event of a manifest has what that names.
    pub references: bool,
}

/// A server that takes events.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub name: String,
    pub place: Place,
    pub headers: Vec<(String, String)>,
    pub timeout: Duration,
    /// After so many failures, one after another, it is left alone for [`Endpoint::backoff`] each time.
    pub threshold: u32,
    pub backoff: Duration,
    /// What it is not told of.
    pub ignored_types: Vec<String>,
    pub ignored_actions: Vec<String>,
}

/// Another registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its repositories are those below this name here; empty: all are.
    pub place: String,
    /// Who asks in this registry's name (`ns=`) means this one; `None`: whatever name.
    pub namespace: Option<String>,
    /// `https://registry-1.docker.io`
    pub url: String,
    pub username: String,
    pub password: String,
    /// What was fetched is given up after so long.
    pub ttl: Option<Duration>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("place", &self.place).field("url", &self.url).finish_non_exhaustive()
    }
}

impl Settings {
    /// Where things are kept.
    ///
    /// # Errors
    /// As [`Storage::of`]; there is an engine to share with, and it is elsewhere.
    pub fn storage(&self) -> Result<Storage> {
        let storage = Storage::of(&self.root, self.bucket.as_ref())?;
        if let Some(engine) = &self.share {
            storage.check_share(engine)?;
        }
        Ok(storage)
    }

    /// With a directory, if one is said beside them.
    #[must_use]
    pub(crate) fn at(mut self, root: Option<PathBuf>) -> Settings {
        if let Some(root) = root {
            (self.root, self.bucket) = (root, None);
        }
        self
    }

    /// For people.
    pub(crate) fn place(&self) -> String {
        match &self.bucket {
            Some(bucket) => format!("s3://{}/{}", bucket.bucket, bucket.root),
            None => self.root.display().to_string(),
        }
    }

    /// What holds without a word.
    pub fn new(root: &Path) -> Settings {
        Settings {
            address: Address::Tcp(([0u16; 8], 5000).into()),
            root: root.to_owned(),
            bucket: None,
            share: None,
            tls: None,
            htpasswd: None,
            realm: "Registry".into(),
            token_auth: false,
            secret: None,
            url: None,
            relative_urls: false,
            prefix: String::new(),
            headers: Vec::new(),
            rules: None,
            read_only: false,
            delete: true,
            validation: Validation::default(),
            catalog_max: None,
            tags_max: None,
            log: Log::default(),
            collect_every: None,
            purge: Some(Purge {
                age: Duration::from_secs(168 * 3600),
                every: Duration::from_secs(24 * 3600),
                dry_run: false,
            }),
            debug: None,
            drain: Duration::from_secs(10),
            http2: true,
            h2c: true,
            threads: None,
            health: Vec::new(),
            upstreams: Vec::new(),
            notifications: Notifications::default(),
            retention: Retention::default(),
            quotas: Vec::new(),
        }
    }
}
