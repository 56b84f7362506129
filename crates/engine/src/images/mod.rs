//! Images: listing, inspecting, tagging, removing, moving them in and out. The store keeps them; here are the
//! decisions (what a reference means, what may be removed) and the events.

mod attestations;
mod copy;
mod fetch;
mod garbage;
mod index;
mod layers;
mod manifests;
mod pieces;
mod prune;
mod pull;
mod push;
mod push_index;
mod registry;
mod remote;
mod search;
mod service;

pub use attestations::{Attestation, AttestationRequest};
pub use copy::CopyRequest;
pub use distribution::{Credentials, Found};
pub use garbage::{GarbageReport, GarbageRequest, GarbageStep};
pub use prune::ImagesPruned;
pub use pull::PullRequest;
pub use push::PushRequest;
pub use remote::{RemoteDocument, RemoteView};
pub use search::SearchRequest;
pub use service::Images;
pub(crate) use service::name_of;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::container::{Filters, Healthcheck};

/// One row of `GET /images/json`.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// `sha256:...` of the config.
    pub id: String,
    /// `name:tag`, sorted, as Docker shows them (familiar names).
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub created: Option<Timestamp>,
    pub size_bytes: u64,
    pub labels: BTreeMap<String, String>,
    /// Containers (running or not) made from it.
    pub containers: u64,
    /// Of the size, what other images have too; if it was asked for.
    pub shared_bytes: Option<u64>,
    /// `None` when the content store has lost it.
    pub target: Option<Target>,
    pub manifests: Vec<Manifest>,
}

/// What a name points to: an image's manifest, or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub digest: String,
    pub media_type: String,
    /// Of the document itself.
    pub size_bytes: u64,
}

/// What an image's manifest says and refers to: one platform's image, or what is attested of one. Those of an index need not
/// be here.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub digest: String,
    pub media_type: String,
    /// Of the manifest itself.
    pub size_bytes: u64,
    /// Of all blobs that are here: manifest, configuration, layers as they came.
    pub content_bytes: u64,
    pub unpacked_bytes: u64,
    pub platform: Option<oci::Platform>,
    pub annotations: BTreeMap<String, String>,
    /// Is all of it here?
    pub available: bool,
    pub kind: ManifestKind,
    /// Ids of the containers made from it.
    pub containers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestKind {
    Image,
    /// What is attested of an image, by its manifest.
    Attestation(String),
    Unknown,
}

/// `GET /images/{name}/json`.
#[derive(Debug, Clone)]
pub struct ImageView {
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub comment: String,
    pub created: Option<Timestamp>,
    pub author: String,
    pub architecture: String,
    pub variant: String,
    pub os: String,
    pub os_version: String,
    pub size_bytes: u64,
    pub config: ImageConfig,
    /// Diff ids, bottom first.
    pub layers: Vec<String>,
    /// Storage driver and the directories it shows (`LowerDir` ...).
    pub driver: String,
    pub driver_data: BTreeMap<String, String>,
    pub target: Option<Target>,
    pub manifests: Vec<Manifest>,
    pub last_tagged: Option<Timestamp>,
}

/// The defaults an image gives its containers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageConfig {
    pub user: String,
    pub exposed_ports: Vec<String>,
    pub env: Vec<String>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub volumes: Vec<String>,
    pub working_dir: String,
    pub labels: BTreeMap<String, String>,
    pub stop_signal: Option<String>,
    pub stop_timeout_s: Option<i64>,
    pub shell: Option<Vec<String>>,
    pub on_build: Option<Vec<String>>,
    pub healthcheck: Option<Healthcheck>,
    pub args_escaped: bool,
}

/// One row of `GET /images/{name}/history`, newest first.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// The image id for the newest row, `<missing>` for the others.
    pub id: String,
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub tags: Vec<String>,
    pub size_bytes: u64,
    pub comment: String,
}

/// `GET /images/json`.
#[derive(Debug, Clone, Default)]
pub struct ImageListRequest {
    pub all: bool,
    pub digests: bool,
    /// Count what images share.
    pub shared_size: bool,
    /// Say what each consists of.
    pub manifests: bool,
    pub filters: Filters,
}

/// What `DELETE /images/{name}` did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Untagged(String),
    Deleted(String),
}

/// `POST /images/create?fromSrc=-`.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    pub repo: String,
    pub tag: String,
    pub message: String,
    /// Dockerfile instructions (`CMD ...`, `ENV ...`).
    pub changes: Vec<String>,
    pub platform: String,
    /// Where it came from, as the image's comment says; empty: it was sent.
    pub source: String,
}

/// What load and pull tell while they work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// `Loaded image: x` and the like, without a newline.
    Line(String),
    /// `{"id":..., "status":...}`.
    Status { id: String, status: String },
    /// Of one layer; bytes so far, and bytes in all, where these are known.
    Layer { id: String, status: &'static str, current: u64, total: u64 },
    /// A tag is at the registry, as this manifest.
    Pushed { tag: String, digest: String, size: u64 },
    /// Not all of an index was to be had: one of its images went in its stead.
    PushedInstead { index: Target, manifest: Target },
}

/// Told of progress, from any task.
pub type Report = Box<dyn FnMut(Progress) + Send>;
