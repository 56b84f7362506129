//! A log kept in files: the current one, those rotated before it, compressed if so wished.
//!
//! ```text
//! <path>          the current file
//! <path>.1        the one before (with `compress`: <path>.1.gz)
//! <path>.<n>      the oldest, n = max-file - 1
//! ```

mod compress;
mod rotate;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use compress::source_inode;
pub(crate) use rotate::{compressed, rotated};
pub(crate) use writer::FileWriter;

/// How records lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    JsonFile,
    Local,
}

/// A resolved log in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileDestination {
    pub(crate) format: Format,
    /// The current file.
    pub(crate) path: PathBuf,
    /// Rotate before a line is written to a file that has reached this size; `None`: never.
    pub(crate) file_bytes_max: Option<u64>,
    /// Files kept, the current one included; with 0 or 1 the current one is emptied.
    pub(crate) files_max: u32,
    /// Whether rotated files are compressed with gzip.
    pub(crate) compress: bool,
    /// Part of every record.
    pub(crate) attrs: BTreeMap<String, String>,
}

/// All files of the log at `path`, newest first.
fn files(path: &Path) -> impl Iterator<Item = PathBuf> {
    let rotated = (1..).map_while(move |index| {
        let plain = rotated(path, index);
        let compressed = compressed(&plain);
        // Both, while one is made of the other.
        let there: Vec<PathBuf> = [plain, compressed].into_iter().filter(|p| p.exists()).collect();
        (!there.is_empty()).then_some(there)
    });
    std::iter::once(path.to_owned()).chain(rotated.flatten())
}

/// What the log at `path` takes up, in bytes, all its files together.
pub fn size(path: &Path) -> u64 {
    files(path).filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// Forgets the records of the log at `path`, which nobody writes now. The current file stays, empty, so that its
/// followers and whoever ships it see what happened.
///
/// # Errors
///
/// What removing or emptying says, with the path.
pub fn clear(path: &Path) -> io::Result<()> {
    let told =
        |path: &Path, e: io::Error| io::Error::new(e.kind(), format!("log file {}: {e}", path.display()));
    for file in files(path).skip(1) {
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(told(&file, e)),
            _ => {}
        }
    }
    match std::fs::File::options().write(true).open(path).and_then(|file| file.set_len(0)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(told(path, e)),
        _ => Ok(()),
    }
}
