//! Deleting below a directory's file descriptor, without ever following a link.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{At, Error};

pub(crate) fn open_dir(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// A directory below another, with no link on the way.
pub(crate) fn open_below(root: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

/// The names in a directory.
pub(crate) fn names(dir: impl AsFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Deletes a file or a whole tree by its path, however deep, and follows no link on the way down. What is not there is
/// fine. (`std::fs::remove_dir_all` holds a descriptor and a stack frame for each level, and containers make the trees.)
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    let shown = path.as_os_str().as_encoded_bytes();
    let Some(name) = path.file_name() else {
        return Err(Error::Entry {
            name: path.display().to_string(),
            reason: "has no name to remove".into(),
        });
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, parent, flags, Mode::empty()) {
        Ok(parent) => remove(parent, name.as_encoded_bytes()).at("remove", shown),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).at("open directory of", shown),
    }
}

/// Levels that one descent goes down before what lies below is brought up: each costs a descriptor and a stack frame,
/// and who made the tree decides how deep it is.
const LEVELS: usize = 64;

/// Deletes a file or a whole tree, however deep. What is not there is fine.
pub(crate) fn remove(parent: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    if unlink(&parent, name)? {
        return Ok(());
    }
    let top = open_dir(&parent, name)?;
    let mut moved = 0;
    // What was too deep has been brought up to the top meanwhile.
    while empty(&top, &top, 0, &mut moved)? {}
    drop(top);
    rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)
}

/// Deletes what is in `dir`. Answers whether there was anything.
fn empty(top: &OwnedFd, dir: &OwnedFd, level: usize, moved: &mut u64) -> Result<bool, Errno> {
    let names = names(dir)?;
    for name in &names {
        let name = name.as_bytes();
        if unlink(dir, name)? {
            continue;
        }
        if level == LEVELS {
            bring_up(top, dir, name, moved)?;
            continue;
        }
        match open_dir(dir, name) {
            Ok(child) => empty(top, &child, level + 1, moved)?,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(!names.is_empty())
}

/// Deletes anything but a directory; answers whether that was it, or nothing.
fn unlink(dir: impl AsFd, name: &[u8]) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(&dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        // POSIX's word for a directory, and an immutable file's.
        Err(Errno::PERM) => match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => Ok(false),
            _ => Err(Errno::PERM),
        },
        Err(error) => Err(error),
    }
}

fn bring_up(top: &OwnedFd, dir: &OwnedFd, name: &[u8], moved: &mut u64) -> Result<(), Errno> {
    loop {
        *moved += 1;
        let fresh = format!(".deep-{moved}");
        match rustix::fs::renameat_with(dir, name, top, fresh.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_may_be_deeper_than_a_path_is_long_and_descriptors_are_many() {
        let outer = tempfile::tempdir().unwrap();
        let root = OwnedFd::from(std::fs::File::open(outer.path()).unwrap());
        rustix::fs::mkdirat(&root, "tree", Mode::RWXU).unwrap();
        let mut dir = open_dir(&root, b"tree").unwrap();
        for level in 0..3000 {
            // A name that bringing up wants, and a file on each level.
            let name = if level == 0 { ".deep-1" } else { "level" };
            rustix::fs::mkdirat(&dir, name, Mode::RWXU).unwrap();
            rustix::fs::openat(&dir, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            dir = open_dir(&dir, name.as_bytes()).unwrap();
        }
        drop(dir);
        remove(&root, b"tree").unwrap();
        assert_eq!(names(&root).unwrap().len(), 0);
        remove(&root, b"tree").unwrap();
    }

    #[test]
    fn links_are_not_followed() {
        let outer = tempfile::tempdir().unwrap();
        let path = |name: &str| outer.path().join(name);
        std::fs::create_dir_all(path("kept/inner")).unwrap();
        std::fs::create_dir(path("tree")).unwrap();
        std::os::unix::fs::symlink("../kept", path("tree/link")).unwrap();
        remove_tree(&path("tree")).unwrap();
        remove_tree(&path("tree")).unwrap();
        remove_tree(&path("never/was")).unwrap();
        assert!(path("kept/inner").exists() && !path("tree").exists());
    }
}
