//! The root file system: mounted, entered, and the host's left behind.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci::runtime::{NamespaceType, Spec};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use sys::mount::{Change, attr};
use sys::process::CloneFlags;

use super::overlay::Overlay;
use crate::error::Context;
use crate::job::ContainerJob;
use crate::mount_api;
use crate::mount_api::setattr;
use crate::mount_api::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use crate::options::{MS_SLAVE, propagation};
use crate::{Error, Result, Rootfs};

const MS_PRIVATE: u64 = 1 << 18;
const MS_UNBINDABLE: u64 = 1 << 17;

/// Cuts the mount namespace off from the host's and puts the container's root into it. Returns its root
/// directory: all that follows happens relative to it.
pub(super) fn prepare(job: &ContainerJob<'_>) -> Result<OwnedFd> {
    let (flag, recursive) = wanted(job)?.unwrap_or((MS_SLAVE, true));
    // What cannot be bound could not become the container's root either: that comes last, in `enter`.
    let now = if flag == MS_UNBINDABLE { MS_PRIVATE } else { flag };
    let change = Change { propagation: now, ..Change::default() };
    setattr(CWD, c"/", recursive, change, None).step(|| "change the propagation of /".into())?;
    mount_api::begin().step(|| "prepare for mount(2)".into())?;
    let (tree, place) = match job.rootfs {
        Rootfs::Directory(path) => {
            let path = job.bundle.join(path);
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_RECURSIVE;
            (open_tree(CWD, &path, flags).map_err(|e| failed(&path, e))?, path)
        }
        Rootfs::Overlay { lower, upper, work, options } => {
            (Overlay { lower, upper, work, options }.tree().map_err(|e| failed(upper, e))?, upper.clone())
        }
    };
    if !recursive || (now != MS_SLAVE && now != MS_PRIVATE) {
        // pivot_root refuses a root that is shared, or whose parent mount is; `enter` shares it afterwards.
        let parent = mount_point(&place)?;
        let apart = if now == MS_SLAVE { MS_SLAVE } else { MS_PRIVATE };
        let change = Change { propagation: apart, ..Change::default() };
        setattr(tree.as_fd(), c"", false, change, None).step(|| "make rootfs private".into())?;
        setattr(CWD, &parent, false, change, None)
            .step(|| format!("make {} private", parent.to_string_lossy()))?;
    }
    // The overlay lies over its own upper directory: a place that exists, in a namespace nobody else sees.
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(&tree, "", CWD, &place, flags).map_err(|e| failed(&place, e))?;
    Ok(tree)
}

/// Mounts `rootfs` over the directory `place`, in a new mount namespace of the calling process: for a container
/// that another runtime makes out of a bundle. No mount on the host; it lasts as long as the namespace.
///
/// # Errors
/// The namespace cannot be made, or the file system cannot be mounted.
pub fn mount_apart(rootfs: &Rootfs, place: &Path) -> Result<()> {
    sys::process::unshare(CloneFlags::NEWNS).step(|| "make a mount namespace".into())?;
    // Only what `place` lies on must not tell the host; elsewhere mounts propagate, as volumes may ask for.
    let below = mount_point(place)?;
    let change = Change { propagation: MS_SLAVE, ..Change::default() };
    setattr(CWD, &below, false, change, None).step(|| format!("cut off {}", below.to_string_lossy()))?;
    mount_api::begin().step(|| "prepare for mount(2)".into())?;
    let tree = match rootfs {
        Rootfs::Directory(path) => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            open_tree(CWD, path, flags | OpenTreeFlags::AT_RECURSIVE).map_err(|e| failed(path, e))?
        }
        Rootfs::Overlay { lower, upper, work, options } => {
            Overlay { lower, upper, work, options }.tree().map_err(|e| failed(upper, e))?
        }
    };
    move_mount(&tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(|e| failed(place, e))
}

/// Whether a container without a mount namespace of its own has something mounted, which then is the host's.
pub(crate) fn is_mounted_on_host(spec: &Spec) -> bool {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |l| &l.namespaces);
    let hidden = namespaces.iter().any(|n| n.kind == NamespaceType::Mount);
    !hidden && (!spec.mounts.is_empty() || spec.root.as_ref().is_some_and(|r| r.readonly))
}

/// Which mount a path leads to, as the kernel numbers them.
pub(crate) fn mount_id(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID).then_some(stat.stx_mnt_id)
}

/// Makes a mount of the directory, private, and returns it.
pub(super) fn bind_over_itself(path: &Path) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags).map_err(|e| failed(path, e))?;
    let change = Change { propagation: MS_PRIVATE, ..Change::default() };
    setattr(tree.as_fd(), c"", true, change, None).step(|| "make rootfs private".into())?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(&tree, "", CWD, path, flags).map_err(|e| failed(path, e))?;
    Ok(tree)
}

/// Unmounts what [`bind_over_itself`] made, with all that was mounted in it, if it is still there.
pub(crate) fn release(path: &Path, id: u64) -> Result<()> {
    if mount_id(path) != Some(id) {
        return Ok(());
    }
    unmount(path, UnmountFlags::DETACH).step(|| format!("unmount {}", path.display()))
}

pub(super) fn make_read_only(root: BorrowedFd<'_>) -> Result<()> {
    let change = Change { set: attr::RDONLY, ..Change::default() };
    setattr(root, c"", false, change, None).step(|| "make rootfs read-only".into())
}

fn failed(path: &Path, source: impl Into<std::io::Error>) -> Error {
    Error::Mount { what: format!("rootfs {:?}", path.display().to_string()), source: source.into() }
}

fn wanted(job: &ContainerJob<'_>) -> Result<Option<(u64, bool)>> {
    let word = job.linux.rootfs_propagation.as_str();
    if word.is_empty() {
        return Ok(None);
    }
    let found = propagation(word);
    found.map(Some).ok_or_else(|| Error::Invalid(format!("rootfsPropagation={word} is not supported")))
}

/// Makes the container's root this process's, and forgets the host's.
pub(super) fn enter(job: &ContainerJob<'_>, root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).step(|| "chdir to rootfs".into())?;
    if job.no_pivot {
        cover_kernel_files()?;
        rustix::mount::mount_move(".", "/").step(|| "move rootfs to /".into())?;
        rustix::process::chroot(".").step(|| "chroot to rootfs".into())?;
    } else {
        if wanted(job)?.is_some_and(|w| w.0 != MS_SLAVE && w.0 != MS_PRIVATE) {
            let old = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .step(|| "open the old root".into())?;
            rustix::process::pivot_root(".", ".").step(|| "pivot_root".into())?;
            // Unmounting the host's tree here must not reach the host. What the container shares with it stays
            // shared: the new root is not below the old one any more.
            let change = Change { propagation: MS_SLAVE, ..Change::default() };
            setattr(old.as_fd(), c"", true, change, None).step(|| "detach the old root".into())?;
        } else {
            rustix::process::pivot_root(".", ".").step(|| "pivot_root".into())?;
        }
        // Old and new root lie on top of each other at "/"; unmounting "." takes the one on top, the old.
        unmount(".", UnmountFlags::DETACH).step(|| "unmount the old root".into())?;
    }
    rustix::process::chdir("/").step(|| "chdir to /".into())?;
    if let Some((flag, recursive)) = wanted(job)? {
        let change = Change { propagation: flag, ..Change::default() };
        setattr(CWD, c"/", recursive, change, None).step(|| "change the propagation of rootfs".into())?;
    }
    if job.spec.root.as_ref().is_some_and(|r| r.readonly) {
        let change = Change { set: attr::RDONLY, ..Change::default() };
        setattr(CWD, c"/", false, change, None).step(|| "make rootfs read-only".into())?;
    }
    Ok(())
}

/// Without `pivot_root` the host's mounts stay in the namespace, out of sight. A whole procfs or sysfs among them
/// would have the kernel grant a new user namespace in the container another one, without the masks: they go.
/// The working directory is the container's root.
fn cover_kernel_files() -> Result<()> {
    let here = rustix::process::getcwd(Vec::new()).step(|| "getcwd".into())?;
    let here = here.to_string_lossy().into_owned();
    let table = std::fs::read_to_string("/proc/self/mountinfo").step(|| "read mountinfo".into())?;
    for line in table.lines() {
        let mut fields = line.split(' ').skip(3);
        let (Some(of), Some(point)) = (fields.next(), fields.next()) else { continue };
        let kind = line.split_once(" - ").and_then(|(_, end)| end.split(' ').next());
        let point = point.replace("\\040", " ");
        let inside = Path::new(&point).starts_with(&here);
        if of != "/" || inside || !matches!(kind, Some("proc" | "sysfs")) {
            continue;
        }
        let failed = || format!("cover {point}");
        let path = std::ffi::CString::new(point.as_str())
            .map_err(|_| Error::Invalid("mount point with a NUL".into()))?;
        let change = Change { propagation: MS_SLAVE, ..Change::default() };
        match setattr(CWD, &path, true, change, None) {
            Ok(()) => {}
            // Went with the one that it lay on.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).step(failed),
        }
        match unmount(point.as_str(), UnmountFlags::DETACH) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => {
                let flags = rustix::mount::MountFlags::empty();
                rustix::mount::mount("tmpfs", point.as_str(), "tmpfs", flags, None).step(failed)?;
            }
            Err(error) => return Err(error).step(failed),
        }
    }
    Ok(())
}

/// The mount point that `path` is on.
fn mount_point(path: &Path) -> Result<std::ffi::CString> {
    let path = path.canonicalize().step(|| format!("resolve {}", path.display()))?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").step(|| "read mountinfo".into())?;
    let point = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| point.replace("\\040", " "))
        .filter(|point| path.starts_with(point))
        .max_by_key(String::len)
        .unwrap_or_else(|| "/".into());
    std::ffi::CString::new(point).map_err(|_| Error::Invalid("mount point with a NUL".into()))
}
