//! What the engine shows of a container: an immutable snapshot, published by the container's task after every
//! change. List and inspect answer from it and never ask a busy task.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::health::Health;
use super::spec::{ContainerSpec, MountSpec};
use super::why::End;
use crate::ports::{Endpoint, ImageManifest, PortMapping, Rootfs};

/// `State.Status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

/// Observed state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateView {
    pub status: Status,
    /// 0 when no process is there.
    pub pid: u32,
    pub exit_code: i32,
    /// Why the last start failed; empty otherwise.
    pub error: String,
    pub oom_killed: bool,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// `None`: it has no check, or was never started.
    pub health: Option<Health>,
    pub end: End,
}

impl StateView {
    /// The word of `health=` filters and of lists.
    pub fn health_word(&self) -> &'static str {
        self.health.as_ref().map_or("none", |health| health.status.word())
    }

    /// `State.Running`: there is a process (also while paused or restarting's process lives).
    pub fn is_running(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused | Status::Restarting)
    }
}

/// One mount point, as `Mounts` of inspect shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPoint {
    /// `bind`, `volume`, `tmpfs`.
    pub kind: String,
    /// Volume name.
    pub name: String,
    /// Host path.
    pub source: String,
    /// Absolute path in the container.
    pub destination: String,
    /// Volume driver.
    pub driver: String,
    /// The options part of `-v` (`ro`, `z` ...).
    pub mode: String,
    pub read_write: bool,
    pub propagation: String,
    /// The `--mount` it came from, here or in the container that it was taken over from.
    pub spec: Option<MountSpec>,
    /// Of an image: what keeps its layers for the container, named as a container's own (64 hex digits).
    pub layer: String,
    /// Of an image: its layers, the uppermost first.
    pub lower: Vec<PathBuf>,
}

/// Network side of inspect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkView {
    pub sandbox_id: String,
    pub sandbox_key: String,
    /// By network name. Endpoints of a stopped container have only names and ids.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// It has a network on which others could be told of what it exposes: not the host's, or none.
    pub exposes: bool,
    pub ports: Vec<PortMapping>,
}

/// A container as seen from outside.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Default))]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    pub created: Timestamp,
    /// `Path`: the executable; `Args`: its arguments.
    pub path: String,
    pub args: Vec<String>,
    pub state: StateView,
    /// `sha256:...` of the image config.
    pub image_id: String,
    /// When the image has one. Of containers that an older engine made only its digest is known.
    pub image_manifest: Option<ImageManifest>,
    /// Merged with the image's defaults.
    pub spec: Arc<ContainerSpec>,
    pub restart_count: u32,
    /// Storage driver: `overlay2` or `vfs`.
    pub driver: String,
    pub rootfs: Rootfs,
    pub mounts: Vec<MountPoint>,
    pub network: NetworkView,
    /// Running execs.
    pub exec_ids: Vec<String>,
    /// `<data-root>/containers/<id>`.
    pub directory: PathBuf,
    pub resolv_conf_path: PathBuf,
    pub hostname_path: PathBuf,
    pub hosts_path: PathBuf,
    /// Empty when the log driver keeps no file.
    pub log_path: PathBuf,
    pub apparmor_profile: String,
    pub mount_label: String,
    pub process_label: String,
    /// What the driver resolved to (`json-file`, `none`).
    pub log_driver: String,
    /// What others call it by their links: `web/db`. Only in a list.
    pub link_names: Vec<String>,
    /// A person stopped it: `unless-stopped` leaves it so.
    pub stopped_by_user: bool,
    /// Bytes written in the container's own layer and in total; measured only when asked for.
    pub size_rw: Option<u64>,
    pub size_rootfs: Option<u64>,
    /// Bytes of its log, with what was rotated; measured for the disk usage only.
    pub size_log: Option<u64>,
}

impl Container {
    /// First 12 digits of the id.
    pub fn short_id(&self) -> &str {
        &self.id[..12.min(self.id.len())]
    }

    /// `Status` of list: `Up 3 minutes`, `Exited (0) 2 hours ago`, `Created` ...
    pub fn status_text(&self, now: Timestamp) -> String {
        let since = |at: Option<Timestamp>| at.map_or_else(String::new, |at| human_duration(now, at));
        match self.state.status {
            Status::Created => "Created".into(),
            Status::Running => match &self.state.health {
                Some(health) => format!("Up {} ({})", since(self.state.started_at), health.words()),
                None => format!("Up {}", since(self.state.started_at)),
            },
            Status::Paused => format!("Up {} (Paused)", since(self.state.started_at)),
            Status::Restarting => {
                format!("Restarting ({}) {} ago", self.state.exit_code, since(self.state.finished_at))
            }
            Status::Removing => "Removal In Progress".into(),
            Status::Dead => "Dead".into(),
            Status::Exited => {
                format!("Exited ({}) {} ago", self.state.exit_code, since(self.state.finished_at))
            }
        }
    }

    /// `Command` of list: path and arguments, quoted where Docker quotes.
    pub fn command_text(&self) -> String {
        let mut words = vec![self.path.clone()];
        words.extend(self.args.iter().map(
            |arg| {
                if arg.contains(' ') { format!("'{arg}'") } else { arg.clone() }
            },
        ));
        words.join(" ")
    }
}

/// Docker's rough durations: `Less than a second`, `About a minute`, `3 hours`, `2 weeks` ...
pub fn human_duration(now: Timestamp, then: Timestamp) -> String {
    let seconds = (now.as_second() - then.as_second()).max(0);
    let (minutes, hours) = (seconds / 60, (seconds as f64 / 3600.0).round() as i64);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}
