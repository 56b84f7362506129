//! Files that are there whole or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use oci::Digest;

use crate::error::{Result, disk};

/// Makes names beside a file unique within this process; the process id makes them so among processes.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Writes beside, syncs, renames over, and syncs the directory.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let result = (|| {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        create_directories(parent)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let beside = parent.join(format!(".new-{}-{number}", std::process::id()));
        let written = File::create_new(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
        let renamed = written.and_then(|()| fs::rename(&beside, path));
        if renamed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        renamed?;
        sync_directory(parent)
    })();
    result.map_err(|error| disk("write", path, &error))
}

/// A link, unless it is there.
pub(super) fn link(path: &Path, digest: &Digest) -> Result<()> {
    match read_link(path)? {
        Some(there) if there == *digest => Ok(()),
        _ => write(path, digest.as_str().as_bytes()),
    }
}

/// The digest in a link; `None` if there is none, or nothing that makes sense (half a file of another program).
pub(super) fn read_link(path: &Path) -> Result<Option<Digest>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(disk("read", path, &error)),
    }
}

/// `ENOTDIR` too: a repository may be below one that has a file of that name.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes a directory with all above it; each that is new is synced into its parent.
pub(super) fn create_directories(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Err(error), create_directories)?;
            match fs::create_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => path.parent().map_or(Ok(()), sync_directory),
            }
        }
        Err(error) => Err(error),
    }
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Names in a directory that may not be there.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(disk("read", path, &error)),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let names: io::Result<Vec<String>> = names.collect();
    let mut names = names.map_err(|error| disk("read", path, &error))?;
    names.retain(|name| !name.is_empty() && !name.starts_with('.'));
    Ok(names)
}

/// Removes a file or a tree. `false`: it was not there.
pub(super) fn remove(path: &Path) -> Result<bool> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {
            let synced = path.parent().map_or(Ok(()), sync_directory);
            synced.map(|()| true).map_err(|error| disk("sync the directory of", path, &error))
        }
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(disk("remove", path, &error)),
    }
}
