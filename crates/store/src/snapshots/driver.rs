//! What a snapshot driver does. `tests/store.rs` runs one suite on each.

use std::collections::HashSet;
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Layer;
use crate::error::{At, Result};

/// How a container's root directory is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// To be mounted, by the container's own set-up code.
    Overlay {
        /// Top first.
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
    /// To be used as it is.
    Directory(PathBuf),
}

/// Disk space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of regular files and links; hard links count once.
    pub bytes: u64,
    pub inodes: u64,
}

pub(super) trait Driver: Debug + Send + Sync {
    /// Its directory's name.
    fn name(&self) -> &'static str;
    /// Its name in `docker info`.
    fn docker_name(&self) -> &'static str;
    /// How a layer's tar is unpacked.
    fn mode(&self) -> archive::Mode;
    /// Puts into a new, empty layer directory what the layer's files are to be laid over.
    fn seed(&self, staged: &Path, parent: Option<&Layer>) -> Result<()>;
    /// Makes the writable part in a new, empty container directory.
    fn prepare(&self, dir: &Path, top: Option<&Layer>) -> Result<()>;
    fn root(&self, dir: &Path, stack: &[PathBuf]) -> Root;
    /// Where the container's writes end.
    fn changes_dir(&self, dir: &Path) -> PathBuf;
}

/// Walks a tree without leaving it.
pub(super) fn usage(root: &Path) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut seen = HashSet::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let entry = entry?;
            let metadata = entry.metadata().at("stat", entry.path())?;
            if metadata.nlink() > 1 && !metadata.is_dir() && !seen.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            usage.inodes += 1;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                usage.bytes += metadata.len();
            }
        }
    }
    Ok(usage)
}
