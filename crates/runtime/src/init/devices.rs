//! Device nodes and the usual links in `/dev`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use oci::runtime::{Device, DeviceType};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::mounts::attach;
use crate::job::ContainerJob;
use crate::mount_api::{OpenTreeFlags, open_tree};
use crate::{Error, Result, inside};

/// What every container has, whether the spec names it or not (runtime-spec, "Default Devices").
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Makes them all, unless `/dev` is somebody else's directory, bound in.
pub(super) fn all(job: &ContainerJob<'_>, root: BorrowedFd<'_>) -> Result<()> {
    let bound = |m: &crate::job::MountJob<'_>| {
        m.options.bind.is_some() && m.mount.destination.trim_end_matches('/') == "/dev"
    };
    if job.mounts.iter().any(bound) {
        return Ok(());
    }
    for device in &job.linux.devices {
        node(root, device).map_err(|source| failed(&device.path, source))?;
    }
    for (path, major, minor) in DEFAULT {
        if job.linux.devices.iter().any(|d| d.path == path) {
            continue;
        }
        let device = Device {
            path: path.into(),
            kind: DeviceType::Char,
            major: major.into(),
            minor: minor.into(),
            file_mode: Some(0o666),
            uid: None,
            gid: None,
        };
        node(root, &device).map_err(|source| failed(path, source))?;
    }
    for (path, target) in LINKS {
        link(root, path, target).map_err(|source| failed(path, source))?;
    }
    if rustix::fs::access("/proc/kcore", rustix::fs::Access::EXISTS).is_ok() {
        link(root, "/dev/core", "/proc/kcore").map_err(|source| failed("/dev/core", source))?;
    }
    ptmx(root).map_err(|source| failed("/dev/ptmx", source))
}

fn failed(path: &str, source: io::Error) -> Error {
    Error::Setup { step: format!("make {path}"), source }
}

fn node(root: BorrowedFd<'_>, device: &Device) -> io::Result<()> {
    let (parent, name) = inside::parent(root, &device.path)?;
    let kind = match device.kind {
        DeviceType::Block => FileType::BlockDevice,
        DeviceType::Char | DeviceType::Unbuffered => FileType::CharacterDevice,
        DeviceType::Fifo => FileType::Fifo,
    };
    let number = |n: i64| u32::try_from(n).map_err(|_| io::Error::from(Errno::INVAL));
    let dev = rustix::fs::makedev(number(device.major)?, number(device.minor)?);
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
    match rustix::fs::mknodat(&parent, name, kind, mode, dev) {
        Ok(()) => {}
        // The image or an earlier mount brought one.
        Err(Errno::EXIST) => return Ok(()),
        // In a user namespace, or where the device controller refuses: the host's node, bound.
        Err(Errno::PERM) => return bind(root, &device.path),
        Err(error) => return Err(error.into()),
    }
    if device.uid.is_some() || device.gid.is_some() {
        let (uid, gid) = (device.uid.map(Uid::from_raw), device.gid.map(Gid::from_raw));
        rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        // A change of owner takes set-user-id away.
        rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())?;
    }
    Ok(())
}

fn bind(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    let tree = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let target = inside::file(root, path)?;
    attach(tree.as_fd(), target.as_fd())
}

fn link(root: BorrowedFd<'_>, path: &str, target: &str) -> io::Result<()> {
    let (parent, name) = inside::parent(root, path)?;
    match rustix::fs::symlinkat(target, &parent, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `/dev/ptmx` of the image would be the host's; the container's own is in its devpts.
fn ptmx(root: BorrowedFd<'_>) -> io::Result<()> {
    if inside::open(root, "/dev/pts/ptmx", OFlags::PATH).is_err() {
        return Ok(());
    }
    let (parent, name) = inside::parent(root, "/dev/ptmx")?;
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    rustix::fs::symlinkat("pts/ptmx", &parent, name)?;
    Ok(())
}
