//! The `json-file` driver: Docker's format, so that everything which reads Docker's logs reads ours.
//!
//! ```text
//! <id>-json.log          {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}
//! <id>-json.log.1        the one before (with `compress`: <id>-json.log.1.gz)
//! <id>-json.log.<n>      the oldest, n = max-file - 1
//! ```
//!
//! Unlike Docker's, the log is capped when the user says nothing: [`DEFAULT_FILES`] files of
//! [`DEFAULT_FILE_BYTES`] each. `--log-opt max-size=-1` asks for no cap.

mod compress;
mod decode;
mod encode;
mod rotate;
mod writer;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use compress::source_inode;
pub(crate) use decode::decode;
pub(crate) use rotate::{compressed, rotated};
pub(crate) use writer::JsonFileWriter;

/// Size at which a file is rotated when the user names none, in bytes.
pub(crate) const DEFAULT_FILE_BYTES: u64 = 20 * 1024 * 1024;
/// Files kept, the current one included, when the user names neither size nor number.
pub(crate) const DEFAULT_FILES: u32 = 5;

/// A resolved `json-file` log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonFileDestination {
    /// The current file.
    pub path: PathBuf,
    /// Rotate before a line is written to a file that has reached this size; `None`: never.
    pub file_bytes_max: Option<u64>,
    /// Files kept, the current one included; at least 1 (the current one is then emptied).
    pub files_max: u32,
    /// Whether rotated files are compressed with gzip.
    pub compress: bool,
    /// The constant `attrs` object of every record, as JSON text.
    pub attrs: Option<String>,
}
