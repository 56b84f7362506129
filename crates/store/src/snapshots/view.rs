//! A look into a root that no container is running on: for cp, export, diff and for finding a user.
//!
//! The overlay is mounted detached (`fsmount` without `move_mount`): it is in no mount table, and the last
//! file descriptor's closing takes it down.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::Snapshots;
use super::driver::Root;
use crate::error::{At, Result};
use crate::images::Image;

/// What the caller wants to do in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Only while no container runs on it.
    Write,
}

impl Snapshots {
    /// A prepared container's root directory.
    pub fn open_root(&self, container: &str, access: Access) -> Result<OwnedFd> {
        match (self.root(container)?, access) {
            (Root::Directory(path), _) => open_directory(&path),
            (Root::Overlay { lower, upper, work }, Access::Write) => mount(&lower, Some((&upper, &work))),
            // The writable part as the topmost lower one: nothing is written, not even a work directory.
            (Root::Overlay { lower, upper, .. }, Access::Read) => {
                let stack: Vec<PathBuf> = std::iter::once(upper).chain(lower).collect();
                mount(&stack, None)
            }
        }
    }

    /// An image's root directory, for reading.
    pub fn open_image(&self, image: &Image) -> Result<OwnedFd> {
        let lease = self.content.lease();
        let top = self.ensure(&lease, image)?;
        let stack = self.stack(top.as_deref());
        match (&*stack, self.kind) {
            ([only], _) | ([only, ..], super::DriverKind::Vfs) => open_directory(only),
            (stack, _) => mount(stack, None),
        }
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at("open", path)
}

fn mount(lower: &[PathBuf], writable: Option<(&Path, &Path)>) -> Result<OwnedFd> {
    let first = lower.first().map_or(Path::new("overlay"), PathBuf::as_path);
    let context =
        rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).at("fsopen overlay for", first)?;
    let fs = context.as_fd();
    rustix::mount::fsconfig_set_string(fs, "source", "overlay").at("configure overlay for", first)?;
    // `lowerdir+` came with Linux 6.5; before, one string must carry all of them.
    let each = lower.iter().try_for_each(|path| rustix::mount::fsconfig_set_string(fs, "lowerdir+", path));
    if each.is_err() {
        let joined = lower.iter().map(|path| escape(path)).collect::<Vec<_>>().join(":");
        rustix::mount::fsconfig_set_string(fs, "lowerdir", joined).at("add layer", first)?;
    }
    if let Some((upper, work)) = writable {
        rustix::mount::fsconfig_set_string(fs, "upperdir", upper).at("add upper directory", upper)?;
        rustix::mount::fsconfig_set_string(fs, "workdir", work).at("add work directory", work)?;
    }
    rustix::mount::fsconfig_create(fs).at("mount overlay of", first)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    if writable.is_none() {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let mount = rustix::mount::fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .at("mount overlay of", first)?;
    // `fsmount` returns an O_PATH descriptor; callers want to list it too.
    rustix::fs::openat(&mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .at("open overlay of", first)
}

/// Colons and backslashes separate layers in the old option string.
fn escape(path: &Path) -> String {
    path.display().to_string().replace('\\', "\\\\").replace(':', "\\:")
}
