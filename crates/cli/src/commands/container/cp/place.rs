//! What is copied, where to, and what it is called there.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::paths;
use crate::failure::{self, Failure};

/// Links that are followed to a destination, as Docker's client does.
const LINKS_MAX: usize = 10;

/// A source or a destination, here or in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) exists: bool,
    pub(super) is_directory: bool,
    /// What a source's entries are called instead of by its own name.
    pub(super) rebased: Option<String>,
}

fn failed(what: &str, path: &str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::new(format!("{what} {path}: {}", failure::reason(&error)))
}

/// The first name on the way along a path that is not there, links on it followed.
fn first_missing(path: &str) -> String {
    let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut here = if path.starts_with('/') { String::from("/") } else { String::from(".") };
    // Two links may lead to each other.
    for _ in 0..4096 {
        let Some(part) = rest.pop() else { break };
        let next = paths::join(&here, &part);
        if let Ok(target) = fs::read_link(&next) {
            let target = target.to_string_lossy();
            if target.starts_with('/') {
                here = "/".into();
            }
            rest.extend(target.split('/').rev().map(str::to_owned));
            continue;
        }
        here = next;
        if fs::symlink_metadata(&here).is_err() {
            break;
        }
    }
    here
}

impl Place {
    /// A path here to copy from. Links before its last part are resolved; the last too, if they are to be followed.
    pub(super) fn source(path: &str, follow: bool) -> Result<Self, Failure> {
        let real = |path: &str| {
            let real = fs::canonicalize(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotADirectory => Failure::new("not a directory"),
                _ => failed("lstat", &first_missing(path))(error),
            })?;
            real.into_os_string().into_string().map_err(|_| Failure::new(format!("{path}: no UTF-8")))
        };
        let (resolved, rebased) = if follow {
            paths::rebase(path, &real(path)?)
        } else {
            let at = path.rfind('/').map_or(0, |slash| slash + 1);
            let (directory, name) = path.split_at(at);
            let resolved = format!("{}/{name}", real(if directory.is_empty() { "." } else { directory })?);
            let differs = path.ends_with('/') && paths::base(path) != paths::base(&resolved);
            let rebased = differs.then(|| paths::base(path).to_owned());
            (resolved, rebased)
        };
        let found = fs::symlink_metadata(&resolved).map_err(failed("lstat", &resolved))?;
        Ok(Self { path: resolved, exists: true, is_directory: found.is_dir(), rebased })
    }

    /// A path here to copy to: what a link leads to, if it is one.
    pub(super) fn destination(path: &str) -> Result<Self, Failure> {
        let mut here = path.to_owned();
        for _ in 0..=LINKS_MAX {
            let found = match fs::symlink_metadata(&here) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let (parent, _) = paths::split_entry(&here);
                    let found = fs::metadata(&parent).map_err(failed("stat", &parent))?;
                    return match found.is_dir() {
                        true => Ok(Self { path: here, ..Self::default() }),
                        false => Err(Failure::new("not a directory")),
                    };
                }
                Err(error) => return Err(failed("lstat", &here)(error)),
            };
            if !found.is_symlink() {
                return Ok(Self { path: here, exists: true, is_directory: found.is_dir(), rebased: None });
            }
            let target = fs::read_link(&here).map_err(failed("readlink", &here))?;
            let target = target.to_string_lossy().into_owned();
            here = match target.starts_with('/') {
                true => target,
                false => paths::join(&paths::split_entry(&here).0, &target),
            };
        }
        Err(Failure::new(format!("too many symlinks in {path}")))
    }

    /// What a source's entries are called.
    pub(super) fn name(&self) -> String {
        self.rebased.clone().unwrap_or_else(|| paths::split_entry(&self.path).1)
    }
}

/// The directory to unpack in, and what the source is called in there, if not by its own name.
pub(super) fn arrange(source: &Place, destination: &Place) -> Result<(String, Option<String>), Failure> {
    let (directory, name) = paths::split_entry(&destination.path);
    match destination {
        // Into it.
        Place { exists: true, is_directory: true, path, .. } => Ok((path.clone(), None)),
        Place { exists: true, .. } if source.is_directory => Err(Failure::new("cannot copy directory")),
        Place { exists: false, path, .. } if !source.is_directory && paths::asserts_directory(path) => {
            Err(Failure::new("no such directory"))
        }
        // Beside what is there, in its place.
        _ => Ok((directory, Some(name))),
    }
}

/// Before anything is asked for: a place here that nothing can be written to.
pub(super) fn check_output(path: &str) -> Result<(), Failure> {
    let directory = paths::dir(&paths::clean(path));
    let missing = |path: &str| fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if directory != "." && missing(&directory) {
        return Err(Failure::new(format!("invalid output path: directory {directory:?} does not exist")));
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("stat", path)(error)),
        Ok(found) if found.file_type().is_char_device() || found.file_type().is_block_device() => {
            Err(Failure::new(format!(
                "invalid output path: {path:?} must be a directory or a regular file: got a device"
            )))
        }
        Ok(_) => Ok(()),
    }
}

/// Bytes of the regular files at a path.
pub(super) fn content_size(path: &Path) -> io::Result<u64> {
    let found = fs::symlink_metadata(path)?;
    if found.is_file() {
        return Ok(found.len());
    }
    if !found.is_dir() {
        return Ok(0);
    }
    let mut total = 0;
    let mut pending = vec![path.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push(entry.path());
            } else if kind.is_file() {
                total += entry.metadata()?.len();
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_rules_for_where_a_copy_goes() {
        let source =
            |is_directory| Place { path: "/s/src".into(), exists: true, is_directory, rebased: None };
        let to = |path: &str, exists, is_directory| Place {
            path: path.into(),
            exists,
            is_directory,
            rebased: None,
        };
        let of = |from: &Place, to: &Place| arrange(from, to).map_err(|failure| failure.text);
        let renamed = |directory: &str, name: &str| Ok((directory.to_owned(), Some(name.to_owned())));
        let (file, directory) = (source(false), source(true));
        assert_eq!(of(&file, &to("/d/new", false, false)), renamed("/d", "new"));
        assert_eq!(of(&file, &to("/d/new/", false, false)), Err("no such directory".into()));
        assert_eq!(of(&file, &to("/d/file", true, false)), renamed("/d", "file"));
        assert_eq!(of(&file, &to("/d", true, true)), Ok(("/d".into(), None)));
        assert_eq!(of(&directory, &to("/d/new", false, false)), renamed("/d", "new"));
        assert_eq!(of(&directory, &to("/d/file", true, false)), Err("cannot copy directory".into()));
        assert_eq!(of(&directory, &to("/d", true, true)), Ok(("/d".into(), None)));
    }
}
