//! What can be asked about containers, and what comes back: the arguments and answers of
//! [`Containers`](super::Containers)' methods.

use std::collections::BTreeMap;

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
    pub error: Option<String>,
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
}

/// `GET /containers/{id}/logs`.
#[derive(Debug, Clone, Default)]
pub struct LogsRequest {
    pub follow: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<jiff::Timestamp>,
    pub until: Option<jiff::Timestamp>,
    /// Prefix lines with `2006-01-02T15:04:05.000000000Z `. Carried here for the server; entries hold the time.
    pub timestamps: bool,
    /// Prefix lines with the extra attributes.
    pub details: bool,
    /// Last `n` lines; `None`: all.
    pub tail: Option<usize>,
}

/// Which stream a byte came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One log line (or part of one).
#[derive(Debug, Clone)]
pub struct LogLine {
    pub stream: Stream,
    pub at: jiff::Timestamp,
    /// With its newline, when the line had one.
    pub bytes: bytes::Bytes,
    /// `--log-opt labels=...` attributes.
    pub attrs: BTreeMap<String, String>,
}

/// Log lines as they are read; ends (`None`) at the end of the log, or with the container when following.
#[derive(Debug)]
pub struct LogStream {
    /// The container's pty: raw bytes instead of frames.
    pub tty: bool,
    pub(crate) lines: tokio::sync::mpsc::Receiver<Result<LogLine>>,
}

impl LogStream {
    pub async fn next(&mut self) -> Option<Result<LogLine>> {
        self.lines.recv().await
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
