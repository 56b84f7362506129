//! Files inside a root that is not ours: every path is resolved by the kernel with that root as the end of
//! the world (`openat2(2)`, `RESOLVE_IN_ROOT`), so that neither `..` nor a symlink planted in an image leads out.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens a path inside `root`. Symlinks count from `root`; `/proc`'s magic ones are refused.
pub(crate) fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    open_with(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// As [`open`], refusing every symlink on the way.
pub(crate) fn open_plain(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    open_with(
        root,
        path,
        flags,
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS,
    )
}

fn open_with(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { "/" } else { path };
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something on the host was renamed in that moment; the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// The directory at `path` as an `O_PATH` descriptor, made (with its parents) where it is missing.
pub(crate) fn directory(root: BorrowedFd<'_>, path: &str, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open(root, path, flags) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let mut left: Vec<String> = names(path);
    let mut walked: Vec<String> = Vec::new();
    let mut at = open(root, "/", flags)?;
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            walked.pop();
            at = open(root, &joined(&walked), flags)?;
            continue;
        }
        walked.push(name);
        let here = joined(&walked);
        at = match open(root, &here, flags) {
            Err(Errno::NOENT) => {
                let name = walked.pop().unwrap_or_default();
                match rustix::fs::mkdirat(&at, name.as_str(), Mode::from_raw_mode(mode)) {
                    Ok(()) => {}
                    // A link that leads to nothing yet: on along it, as it counts from the root.
                    Err(Errno::EXIST) => match rustix::fs::readlinkat(&at, name.as_str(), Vec::new()) {
                        Ok(target) if links < LINKS_MAX => {
                            links += 1;
                            let target = target.to_string_lossy();
                            if target.starts_with('/') {
                                walked.clear();
                            }
                            at = open(root, &joined(&walked), flags)?;
                            left.extend(names(&target));
                            continue;
                        }
                        Ok(_) => return Err(Errno::LOOP),
                        // Somebody else made the directory just now.
                        Err(Errno::INVAL) => {}
                        Err(error) => return Err(error),
                    },
                    Err(error) => return Err(error),
                }
                walked.push(name);
                open(root, &here, flags)?
            }
            other => other?,
        };
    }
    Ok(at)
}

/// As the kernel's own.
const LINKS_MAX: u32 = 40;

/// The names of a path, the first one last.
fn names(path: &str) -> Vec<String> {
    path.split('/').filter(|n| !n.is_empty() && *n != ".").rev().map(ToOwned::to_owned).collect()
}

fn joined(names: &[String]) -> String {
    format!("/{}", names.join("/"))
}

/// The parent directory of `path`, made where missing, and the path's last name.
pub(crate) fn parent<'p>(root: BorrowedFd<'_>, path: &'p str) -> Result<(OwnedFd, &'p str), Errno> {
    let path = path.trim_end_matches('/');
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.is_empty() || name == "." || name == ".." {
        return Err(Errno::INVAL);
    }
    Ok((directory(root, parent, 0o755)?, name))
}

/// The file at `path` as an `O_PATH` descriptor, made empty where it is missing.
pub(crate) fn file(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let (parent, name) = parent(root, path)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    open(root, path, OFlags::PATH)
}

/// A regular file for reading; `None` when there is none. A device or a pipe planted there is not opened.
pub(crate) fn regular(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<File>> {
    let identity = |handle: &OwnedFd| -> Result<_, Errno> {
        let stat = rustix::fs::fstat(handle)?;
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        Ok((kind == rustix::fs::FileType::RegularFile).then_some((stat.st_dev, stat.st_ino)))
    };
    let handle = match open(root, path, OFlags::PATH) {
        Ok(handle) => handle,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(found) = identity(&handle)? else { return Ok(None) };
    let file = open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    // Exchanged in between by somebody in the container.
    let same = identity(&file)? == Some(found);
    Ok(same.then(|| File::from(file)))
}

/// Whether the descriptor leads to a directory.
pub(crate) fn is_directory(handle: impl AsFd) -> bool {
    rustix::fs::statat(handle, "", AtFlags::EMPTY_PATH)
        .is_ok_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode) == rustix::fs::FileType::Directory)
}
