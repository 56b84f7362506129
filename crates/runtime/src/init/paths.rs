//! Masked and read-only paths.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use sys::mount::{Change, attr};

use super::mounts::attach;
use crate::mount_api::setattr;
use crate::mount_api::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen, open_tree,
};
use crate::{Error, Result, inside};

/// Covers what must not be seen: a directory by an empty one, anything else by `/dev/null`. Paths that do not
/// exist are none to hide.
pub(super) fn mask(root: BorrowedFd<'_>, paths: &[String]) -> Result<()> {
    // One empty file system for all; it can be copied once it is attached somewhere.
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let failed = |source: io::Error| Error::Setup { step: format!("mask {path:?}"), source };
        let target = match inside::open(root, path, OFlags::PATH) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(error) => return Err(failed(error.into())),
        };
        if !inside::is_directory(&target) {
            null().and_then(|tree| attach(tree.as_fd(), target.as_fd())).map_err(failed)?;
        } else if let Some(first) = &empty {
            copy(first.as_fd(), false)
                .and_then(|tree| attach(tree.as_fd(), target.as_fd()))
                .map_err(failed)?;
        } else {
            let tree = empty_directory().map_err(failed)?;
            attach(tree.as_fd(), target.as_fd()).map_err(failed)?;
            empty = Some(tree);
        }
    }
    Ok(())
}

/// Makes what exists of `paths` read-only, by a read-only copy of the mount over itself.
pub(super) fn read_only(root: BorrowedFd<'_>, paths: &[String]) -> Result<()> {
    for path in paths {
        let failed = |source: io::Error| Error::Setup { step: format!("make {path:?} read-only"), source };
        let target = match inside::open(root, path, OFlags::PATH) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(error) => return Err(failed(error.into())),
        };
        let tree = copy(target.as_fd(), true).map_err(failed)?;
        let change = Change { set: attr::RDONLY, ..Change::default() };
        setattr(tree.as_fd(), c"", false, change, None).map_err(failed)?;
        attach(tree.as_fd(), target.as_fd()).map_err(failed)?;
    }
    Ok(())
}

fn copy(of: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(of, "", flags)?)
}

fn null() -> io::Result<OwnedFd> {
    let tree =
        open_tree(CWD, "/dev/null", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let stat = rustix::fs::statat(&tree, "", rustix::fs::AtFlags::EMPTY_PATH)?;
    if stat.st_rdev != rustix::fs::makedev(1, 3) {
        return Err(io::Error::other("/dev/null is not the null device"));
    }
    Ok(tree)
}

fn empty_directory() -> io::Result<OwnedFd> {
    let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&fs, "source", "tmpfs")?;
    fsconfig_set_string(&fs, "mode", "755")?;
    fsconfig_create(&fs)?;
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY;
    Ok(fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, flags)?)
}
