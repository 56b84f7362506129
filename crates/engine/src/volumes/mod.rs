//! Volumes: data that outlives the containers that use it.
//!
//! A volume of the driver `local` is a directory, `<data-root>/volumes/<name>/_data`. What a client asked for beyond the
//! name (labels, options) is in a record; a volume that a container brought up by its name needs none, and the directory
//! alone is a volume to the next engine. Who makes, fills or removes a volume holds its name's turn ([`registry`]), so
//! that nobody sees one half-made; that a container refers to it is known from the container's create until its removal.
//!
//! Volumes of other drivers are with plugins ([`plugged`], [`mounting`]), and here is a record of those that were used.

mod arriving;
mod artifact;
mod backup;
pub(crate) mod boot;
mod clone;
mod export;
mod held;
mod import;
pub(crate) mod local;
pub(crate) mod make;
pub(crate) mod mounting;
pub(crate) mod plugged;
mod record;
pub(crate) mod registry;
pub(crate) mod remove;
mod rename;
mod restore;
mod service;
pub(crate) mod source;
pub use backup::BackupRequest;
pub use export::Export;
pub use restore::RestoreRequest;
pub use service::Volumes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::core::Core;

/// What marks a volume that nobody gave a name: clients look for it, and prune takes these.
pub(crate) const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// The driver of volumes that are directories here.
pub const LOCAL: &str = "local";

/// A volume, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    pub scope: Scope,
    /// Where its data is on the host; a plugin's volume may be nowhere while nothing has it mounted.
    pub mountpoint: PathBuf,
    pub created: Option<Timestamp>,
    pub labels: BTreeMap<String, String>,
    /// The driver's.
    pub options: BTreeMap<String, String>,
    /// What its plugin wants to show, when one volume is inspected.
    pub status: Option<serde_json::Map<String, serde_json::Value>>,
    /// Measured only when asked for.
    pub usage: Option<Usage>,
}

/// Whether the same volume is there on other machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    Local,
    Global,
}

/// What a list of volumes says: those that there are, and which plugins could not be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// By name.
    pub volumes: Vec<Arc<Volume>>,
    pub warnings: Vec<String>,
}

/// How much of the disk it takes, and how many containers refer to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// `None`: it could not be measured.
    pub bytes: Option<u64>,
    pub containers: u64,
}

/// `POST /volumes/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateRequest {
    /// Empty: one is made up, and the volume is anonymous.
    pub name: String,
    /// Empty: the one that has a volume of this name, or `local`.
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

/// Names that an engine makes up: 64 hex digits.
pub(crate) fn is_made_up(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `create` and `destroy`; `mount` and `unmount`, with the container among the attributes; `prune`, of no volume.
pub(crate) fn event(core: &Core, name: &str, action: &str, attributes: &[(&str, &str)]) {
    let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    core.events.publish("volume", action, name, attributes.collect());
}
