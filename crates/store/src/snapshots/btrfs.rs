//! The driver for btrfs: every layer and every container is a subvolume, made as a snapshot of the one below. Nothing is
//! copied or stacked: the file system shares what neither changes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use super::Layer;
use super::driver::{Driver, Root};
use super::overlay::inherit_root;
use crate::error::{At, Error, Result};
use crate::layout::Layout;

#[derive(Debug)]
pub(super) struct Btrfs;

impl Btrfs {
    /// Where the data root is not on btrfs, it says so now and not at the first layer.
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        let root = layout.snapshots("btrfs");
        fs::create_dir_all(&root).at("create", &root)?;
        if is_btrfs(&root) {
            return Ok(Self);
        }
        Err(Error::Invalid(format!(
            "storage driver btrfs: {} is not on a btrfs file system (use overlay2, which works on any)",
            root.display()
        )))
    }
}

pub(super) fn is_btrfs(path: &Path) -> bool {
    // linux/magic.h
    const BTRFS_SUPER_MAGIC: i64 = 0x9123_683e;
    rustix::fs::statfs(path).is_ok_and(|status| status.f_type == BTRFS_SUPER_MAGIC)
}

impl Driver for Btrfs {
    fn name(&self) -> &'static str {
        "btrfs"
    }

    fn docker_name(&self) -> &'static str {
        "btrfs"
    }

    fn mode(&self) -> archive::Mode {
        archive::Mode::Apply
    }

    fn seed(&self, staged: &Path, parent: Option<&Layer>) -> Result<()> {
        let (directory, name) = place(staged)?;
        match parent {
            Some(layer) => {
                let below = open(&layer.path)?;
                sys::btrfs::snapshot(below.as_fd(), directory.as_fd(), name).at("snapshot to", staged)?;
            }
            None => {
                sys::btrfs::create(directory.as_fd(), name).at("create subvolume", staged)?;
            }
        }
        inherit_root(staged, parent)
    }

    fn prepare(&self, dir: &Path, top: Option<&Layer>) -> Result<()> {
        self.seed(&dir.join("root"), top)
    }

    fn root(&self, dir: &Path, _stack: &[PathBuf]) -> Root {
        Root::Directory(dir.join("root"))
    }

    fn changes_dir(&self, dir: &Path) -> PathBuf {
        dir.join("root")
    }
}

/// Takes away at once what of a layer's or container's directory is a subvolume. What is not, or has others in it that
/// its container made, is deleted as any tree is: file by file, which ends with the directories of empty subvolumes.
pub(super) fn forget(path: &Path) {
    for path in [&path.join("root"), path] {
        let is_subvolume = fs::symlink_metadata(path)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.ino() == sys::btrfs::ROOT_INODE);
        if is_subvolume && let Ok((directory, name)) = place(path) {
            let group = open(path).ok().and_then(|root| sys::btrfs::subvolume(root.as_fd()).ok());
            let destroyed = sys::btrfs::destroy(directory.as_fd(), name);
            // Kernels before 6.10 keep it; where nothing is counted, there is none.
            if let (Ok(()), Some(group)) = (destroyed, group) {
                let _ = sys::btrfs::forget_quota(directory.as_fd(), group);
            }
        }
    }
}

fn place(path: &Path) -> Result<(OwnedFd, &OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput)).at("open", path);
    };
    Ok((open(parent)?, name))
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).at("open", path)
}
