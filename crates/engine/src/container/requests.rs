//! What can be asked about containers, and what comes back: the arguments and answers of
//! [`Containers`](super::Containers)' methods.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// `filters=`: key → accepted values. An empty map lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(pub BTreeMap<String, Vec<String>>);

impl Filters {
    /// Refuse keys that the resource does not know, in Docker's words.
    pub fn check(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Error::invalid(format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    pub fn has(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    /// The value itself is one of those asked for, or the key was not asked for.
    pub fn exact(&self, key: &str, value: &str) -> bool {
        let asked = self.get(key);
        asked.is_empty() || asked.iter().any(|a| a == value)
    }

    /// Every `label=key` / `label=key=value` asked for under `key` holds.
    pub fn labels_match(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.get(key).iter().all(|asked| match asked.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|v| v == value),
            None => labels.contains_key(asked),
        })
    }

    /// A boolean filter (`dangling=true`).
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        let mut answer = None;
        for value in self.get(key) {
            let flag = match value.as_str() {
                "1" | "true" | "True" => true,
                "0" | "false" | "False" => false,
                _ => return Err(Error::invalid(format!("invalid filter '{key}=[{value}]'"))),
            };
            answer = Some(flag);
        }
        Ok(answer)
    }
}

/// `GET /containers/json`.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    pub all: bool,
    /// Newest `n`, running or not; `None`: no limit.
    pub limit: Option<usize>,
    /// Measure `size_rw` and `size_rootfs`.
    pub size: bool,
    pub filters: Filters,
}

/// The answer to create.
#[derive(Debug, Clone, Default)]
pub struct Created {
    pub id: String,
    pub warnings: Vec<String>,
}

/// `DELETE /containers/{id}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveRequest {
    pub force: bool,
    /// Also its anonymous volumes (`-v`).
    pub volumes: bool,
    /// Only the link of this name.
    pub link: bool,
}

/// `POST /containers/{id}/stop` and `/restart`.
#[derive(Debug, Clone, Default)]
pub struct StopRequest {
    /// Name or number; `None`: the container's.
    pub signal: Option<String>,
    /// `None`: the container's; negative: for ever.
    pub timeout_s: Option<i64>,
}

/// `POST /containers/{id}/wait`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// Answers at once when the container is not running.
    #[default]
    NotRunning,
    NextExit,
    Removed,
}

/// What wait answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitAnswer {
    pub status_code: i64,
    /// It was to be removed, and could not be.
    pub error: Option<String>,
    /// It ended as the status says, and not all of it went well: its log could not be written.
    pub warning: Option<String>,
}

/// `POST /containers/{id}/attach`.
#[derive(Debug, Clone, Default)]
pub struct AttachRequest {
    /// First what was logged until now.
    pub logs: bool,
    /// Then what comes.
    pub stream: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// As typed (`ctrl-p,ctrl-q`); `None`: the default.
    pub detach_keys: Option<String>,
    /// Both streams as one, without Docker's headers, also without a terminal.
    pub unframed: bool,
}

/// `GET /containers/{id}/logs`.
#[derive(Debug, Clone, Default)]
pub struct LogsRequest {
    pub follow: bool,
    /// With what was typed, where that is recorded (`--log-opt stdin=true`).
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<jiff::Timestamp>,
    pub until: Option<jiff::Timestamp>,
    /// Last `n` lines; `None`: all.
    pub tail: Option<usize>,
    /// Only lines in which this regular expression is found; `tail` counts those.
    pub grep: Option<String>,
}

/// Which stream a byte came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

/// One log line (or part of one), as it lies in the reader's buffer.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    pub stream: Stream,
    pub(crate) entry: logs::Entry<'a>,
}

impl LogLine<'_> {
    /// With its newline, when the line had one.
    pub fn bytes(&self) -> &[u8] {
        self.entry.bytes
    }

    /// Appends `2006-01-02T15:04:05.000000000Z`.
    pub fn write_time(&self, out: &mut Vec<u8>) {
        self.entry.write_timestamp(out);
    }

    /// Appends the `--log-opt labels=...` attributes: `key=value,key=value`, escaped as in a query string.
    pub fn write_attrs(&self, out: &mut Vec<u8>) {
        self.entry.write_details(out);
    }
}

/// Appends a line as its reader wants it. Runs where the log is read, so that a line is copied once.
pub type RenderLine = Box<dyn FnMut(&LogLine<'_>, &mut Vec<u8>) + Send>;

/// A log as it is read, rendered, in chunks of whole lines; ends (`None`) at the end of the log, or with the container when
/// following.
#[derive(Debug)]
pub struct LogStream {
    /// The container's pty: raw bytes instead of frames.
    pub tty: bool,
    pub(crate) chunks: tokio::sync::mpsc::Receiver<Result<Vec<u8>>>,
}

impl LogStream {
    pub async fn next(&mut self) -> Option<Result<Vec<u8>>> {
        self.chunks.recv().await
    }
}

/// `GET /containers/{id}/top`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    pub titles: Vec<String>,
    pub processes: Vec<Vec<String>>,
}

/// What prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub ids: Vec<String>,
    pub space_bytes: u64,
}

/// `POST /containers/{id}/checkpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRequest {
    pub name: String,
    /// Where checkpoints are kept, if not with the container.
    pub directory: Option<PathBuf>,
    pub leave_running: bool,
}
