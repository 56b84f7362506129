//! Names of rotated files, and moving them up by one.

use std::io;
use std::path::{Path, PathBuf};

/// `<path>.<index>`: the file rotated `index` times, uncompressed.
pub(crate) fn rotated(path: &Path, index: u32) -> PathBuf {
    with_suffix(path, &format!(".{index}"))
}

/// `<path>.gz`.
pub(crate) fn compressed(path: &Path) -> PathBuf {
    with_suffix(path, ".gz")
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes room for a new file at `path` and moves the current one to `<path>.1`.
///
/// A file is moved together with its form: `.2` to `.3`, `.2.gz` to `.3.gz`, as the option may have
/// changed between two starts. A gap in the row is no error.
pub(super) fn shift(path: &Path, files_max: u32) -> io::Result<()> {
    let oldest = rotated(path, files_max - 1);
    remove(&oldest)?;
    remove(&compressed(&oldest))?;
    for index in (1..files_max - 1).rev() {
        let (from, to) = (rotated(path, index), rotated(path, index + 1));
        rename(&from, &to)?;
        rename(&compressed(&from), &compressed(&to))?;
    }
    rename(path, &rotated(path, 1))
}

fn remove(path: &Path) -> io::Result<()> {
    absent_is_fine(std::fs::remove_file(path))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    absent_is_fine(std::fs::rename(from, to))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
