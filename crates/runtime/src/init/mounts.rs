//! The spec's mounts, made detached, given their attributes, and only then attached: at no moment is
//! something visible that the options forbid.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroups::Version;
use oci::runtime::Mount;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sys::mount::{Change, attr};
use sys::process::CloneFlags;

use super::overlay::Overlay;
use crate::error::Context;
use crate::file_system::{configure, create};
use crate::job::{ContainerJob, MountJob, open_source};
use crate::mount_api::{
    FsOpenFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_set_flag, fsconfig_set_string, fsopen,
    move_mount, open_tree, setattr, unmount,
};
use crate::options::Options;
use crate::{Error, Result, inside};

/// All of them, in the spec's order.
pub(super) fn all(job: &ContainerJob<'_>, root: BorrowedFd<'_>) -> Result<()> {
    for mount in &job.mounts {
        one(job, root, mount)?;
    }
    Ok(())
}

fn one(job: &ContainerJob<'_>, root: BorrowedFd<'_>, mount: &MountJob<'_>) -> Result<()> {
    let failed = |source| failed(mount, source);
    if let Some(recursive) = mount.options.bind {
        let opened;
        let tree = match &mount.tree {
            Some(tree) => tree.as_fd(),
            None => {
                opened = open_source(mount.mount, job.bundle, recursive)?;
                opened.as_fd()
            }
        };
        return bind(job, root, mount, tree);
    }
    if mount.options.remount {
        return remount(root, mount).map_err(failed);
    }
    match mount.mount.kind.as_str() {
        "cgroup" if job.process.cgroup.is_none() => {
            Err(Error::Invalid(format!("mount {:?}: the container has no cgroup", mount.mount.destination)))
        }
        "cgroup" => {
            let target = destination(root, mount).map_err(failed)?;
            place(job, root, target.as_fd(), false)?;
            cgroup(job, root, mount).map_err(failed)
        }
        "proc" | "sysfs" if !is_ordinary(root, &mount.mount.destination) => Err(Error::Invalid(format!(
            "error mounting {:?} to rootfs at {:?}: filesystem {:?} must be mounted on ordinary directory",
            mount.mount.source, mount.mount.destination, mount.mount.kind
        ))),
        _ => file_system(job, root, mount),
    }
}

/// Whether a path is a directory that is there, or none that is not: no symlink anywhere, nor another file.
fn is_ordinary(root: BorrowedFd<'_>, path: &str) -> bool {
    match inside::open_plain(root, path, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(handle) => inside::is_directory(handle),
        Err(Errno::NOENT) => true,
        Err(_) => false,
    }
}

fn bind(
    job: &ContainerJob<'_>,
    root: BorrowedFd<'_>,
    mount: &MountJob<'_>,
    tree: BorrowedFd<'_>,
) -> Result<()> {
    let path = mount.mount.destination.as_str();
    let target = if inside::is_directory(tree) {
        inside::directory(root, path, 0o755)
    } else {
        inside::file(root, path)
    };
    let target = target.map_err(|source| failed(mount, source.into()))?;
    place(job, root, target.as_fd(), is_proc(tree))?;
    let failed = |source| failed(mount, source);
    attributes(tree, &mount.options, true).map_err(failed)?;
    attach(tree, target.as_fd()).map_err(failed)?;
    spread(tree, &mount.options).map_err(failed)
}

/// Whether the descriptor leads into a procfs.
pub(super) fn is_proc(file: impl AsFd) -> bool {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    rustix::fs::fstatfs(file).is_ok_and(|s| s.f_type == PROC_SUPER_MAGIC)
}

/// What lxcfs shows in place of the kernel's.
const IN_PROC: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Refuses to cover the root, or the kernel's `/proc` by anything else: what a label or a sysctl is written to has
/// to be real. The place is where the kernel found it, whatever links led there. The texts are runc's.
fn place(job: &ContainerJob<'_>, root: BorrowedFd<'_>, target: BorrowedFd<'_>, of_proc: bool) -> Result<()> {
    let path = |fd: BorrowedFd<'_>| {
        let link = format!("self/fd/{}", fd.as_raw_fd());
        rustix::fs::readlinkat(&job.process.proc, &link, Vec::new()).step(|| format!("read /proc/{link}"))
    };
    let (root, target) = (path(root)?, path(target)?);
    // Something else can only be another root's, which the descriptor could not lead to.
    let Some(below) = target.as_bytes().strip_prefix(root.as_bytes()) else { return Ok(()) };
    let below = if root.as_bytes() == b"/" { target.as_bytes() } else { below };
    refuse(&String::from_utf8_lossy(below), of_proc)
}

/// Of a place in the container.
pub(super) fn refuse(name: &str, of_proc: bool) -> Result<()> {
    let why = match name {
        "" | "/" => "over the root file system",
        "/proc" if !of_proc => "because it is not of type proc",
        inside if inside.starts_with("/proc/") && !IN_PROC.contains(&inside) => "because it is inside /proc",
        _ => return Ok(()),
    };
    let name = if name.is_empty() { "/" } else { name };
    Err(Error::Invalid(format!("{name:?} cannot be mounted {why}")))
}

pub(super) fn failed(mount: &MountJob<'_>, source: io::Error) -> Error {
    let Mount { source: from, kind, destination, .. } = mount.mount;
    let from = if from.is_empty() { kind } else { from };
    Error::Mount { what: format!("{from:?} to rootfs at {destination:?}"), source }
}

/// Directories on top of each other, of which nothing can be changed: `lowerdir+` names each, the uppermost first.
pub(super) fn overlay(mount: &MountJob<'_>) -> io::Result<OwnedFd> {
    let words = mount.options.data.iter().filter_map(|word| word.strip_prefix("lowerdir+="));
    let lower: Vec<PathBuf> = words.map(PathBuf::from).collect();
    let overlay = Overlay { lower: &lower, upper: Path::new(""), work: Path::new(""), options: &[] };
    let tree = overlay.tree()?;
    let change = Change { set: mount.options.set, clear: mount.options.clear, propagation: 0 };
    setattr(tree.as_fd(), c"", false, change, None)?;
    Ok(tree)
}

/// Leaves of what is mounted at `target` only the part at `subpath`, under the rules of a bound one: it is looked up
/// with the mount as the end of the world. Only a part of what is attached can be copied.
fn narrow(tree: OwnedFd, target: BorrowedFd<'_>, subpath: &str) -> io::Result<OwnedFd> {
    let part = inside::open(tree.as_fd(), subpath, OFlags::PATH)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let part = open_tree(part, "", flags | OpenTreeFlags::AT_EMPTY_PATH)?;
    unmount(format!("/proc/self/fd/{}", tree.as_raw_fd()), UnmountFlags::DETACH)?;
    attach(part.as_fd(), target)?;
    Ok(part)
}

fn file_system(job: &ContainerJob<'_>, root: BorrowedFd<'_>, mount: &MountJob<'_>) -> Result<()> {
    let is_there = || inside::open(root, &mount.mount.destination, OFlags::PATH | OFlags::DIRECTORY).is_ok();
    let is_covering = mount.mount.kind == "tmpfs" && is_there();
    let target = destination(root, mount).map_err(|source| failed(mount, source))?;
    place(job, root, target.as_fd(), mount.mount.kind == "proc")?;
    fill(mount, target.as_fd(), is_covering).map_err(|source| failed(mount, source))
}

fn destination(root: BorrowedFd<'_>, mount: &MountJob<'_>) -> io::Result<OwnedFd> {
    let mount = mount.mount;
    let target = inside::directory(root, &mount.destination, 0o755)?;
    match mount.kind.as_str() {
        // A symlink planted at /proc or /sys would have the kernel's files appear somewhere else while
        // what the container sees at /proc is its own fake.
        "proc" | "sysfs" => {
            Ok(inside::open_plain(root, &mount.destination, OFlags::PATH | OFlags::DIRECTORY)?)
        }
        _ => Ok(target),
    }
}

/// `is_covering`: a tmpfs whose place was there before.
fn fill(job: &MountJob<'_>, target: BorrowedFd<'_>, is_covering: bool) -> io::Result<()> {
    let (mount, options) = (job.mount, &job.options);
    if let Some(tree) = &job.tree {
        copy_up_if(job, target, tree.as_fd())?;
        attributes(tree.as_fd(), options, false)?;
        return put(tree.try_clone()?, target, mount, options);
    }
    if is_layers(job) {
        return put(overlay(job)?, target, mount, options);
    }
    let tree = tmpfs(job, target, is_covering)?;
    attributes(tree.as_fd(), options, false)?;
    put(tree, target, mount, options)
}

/// Whether it is an overlay that [`overlay`] makes.
pub(super) fn is_layers(job: &MountJob<'_>) -> bool {
    job.mount.kind == "overlay" && job.options.data.iter().all(|word| word.starts_with("lowerdir+="))
}

/// A tmpfs, or another file system that is made of options alone, with what it may take over from `target`.
pub(super) fn tmpfs(job: &MountJob<'_>, target: BorrowedFd<'_>, is_covering: bool) -> io::Result<OwnedFd> {
    let (mount, options) = (job.mount, &job.options);
    let fs = fsopen(mount.kind.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    let source = if mount.source.is_empty() { mount.kind.as_str() } else { mount.source.as_str() };
    fsconfig_set_string(&fs, "source", source)?;
    if is_covering && !options.data.iter().any(|d| d.starts_with("mode=")) {
        // Like the directory that it covers; where there was none, it is everybody's, as the kernel makes it.
        let stat = rustix::fs::statat(target, "", AtFlags::EMPTY_PATH)?;
        fsconfig_set_string(&fs, "mode", format!("{:o}", stat.st_mode & 0o7777))?;
    }
    configure(fs.as_fd(), options)?;
    let tree = create(&fs, options)?;
    copy_up_if(job, target, tree.as_fd())?;
    Ok(tree)
}

/// An empty file system that is to begin with what it covers does so.
pub(super) fn copy_up_if(job: &MountJob<'_>, target: BorrowedFd<'_>, tree: BorrowedFd<'_>) -> io::Result<()> {
    if job.options.copy_up && is_empty(tree)? { copy_up(target, tree) } else { Ok(()) }
}

fn put(tree: OwnedFd, target: BorrowedFd<'_>, mount: &Mount, options: &Options) -> io::Result<()> {
    attach(tree.as_fd(), target)?;
    let tree = if mount.subpath.is_empty() { tree } else { narrow(tree, target, &mount.subpath)? };
    spread(tree.as_fd(), options)
}

/// One call per scope, and none when nothing is asked.
pub(super) fn attributes(tree: BorrowedFd<'_>, options: &Options, bound: bool) -> io::Result<()> {
    let beyond = options.set & !0xff != 0 || options.copy_up;
    if bound || beyond {
        let (set, clear) = (options.set, options.clear);
        if set != 0 || clear != 0 {
            setattr(tree, c"", false, Change { set, clear, propagation: 0 }, None)?;
        }
    }
    let (set, clear) = (options.set_recursive, options.clear_recursive);
    if set != 0 || clear != 0 {
        setattr(tree, c"", true, Change { set, clear, propagation: 0 }, None)?;
    }
    Ok(())
}

pub(super) fn spread(tree: BorrowedFd<'_>, options: &Options) -> io::Result<()> {
    for &(propagation, recursive) in &options.propagation {
        setattr(tree, c"", recursive, Change { propagation, ..Change::default() }, None)?;
    }
    Ok(())
}

/// Puts a detached mount where the descriptor `target` leads.
pub(crate) fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    match move_mount(tree, "", target, "", flags) {
        // mount(2) told a file from a directory; this call says that something is wrong.
        Err(Errno::INVAL) if is_directory(tree) != is_directory(target) => Err(Errno::NOTDIR.into()),
        result => Ok(result?),
    }
}

fn is_directory(fd: BorrowedFd<'_>) -> Option<bool> {
    let status = rustix::fs::fstat(fd).ok()?;
    Some(rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir())
}

fn remount(root: BorrowedFd<'_>, mount: &MountJob<'_>) -> io::Result<()> {
    let target = inside::open(root, &mount.mount.destination, OFlags::PATH)?;
    attributes(target.as_fd(), &mount.options, true)?;
    spread(target.as_fd(), &mount.options)
}

/// The container's view of its own cgroup.
fn cgroup(job: &ContainerJob<'_>, root: BorrowedFd<'_>, mount: &MountJob<'_>) -> io::Result<()> {
    let Some(cgroup) = job.process.cgroup else { return Ok(()) };
    let own_namespace = job.new.contains(CloneFlags::NEWCGROUP);
    let destination = mount.mount.destination.trim_end_matches('/');
    let trees = cgroup.mounts();
    let unified = matches!(&trees[..], [only] if only.version == Version::V2 && only.name.is_empty());
    if !unified {
        let target = inside::directory(root, destination, 0o755)?;
        let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&fs, "source", "tmpfs")?;
        fsconfig_set_string(&fs, "mode", "755")?;
        let basic = Options { set: mount.options.set & !attr::RDONLY, ..Options::default() };
        let tree = create(&fs, &basic)?;
        attach(tree.as_fd(), target.as_fd())?;
        // Nobody else has been in this tmpfs: names in it lead nowhere else.
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for one in &trees {
            rustix::fs::mkdirat(&tree, one.name.as_str(), Mode::from_raw_mode(0o755))?;
            let target = rustix::fs::openat(&tree, one.name.as_str(), directory, Mode::empty())?;
            one_cgroup(target.as_fd(), one, own_namespace, &mount.options)?;
            for link in &one.links {
                rustix::fs::symlinkat(one.name.as_str(), &tree, link.as_str())?;
            }
        }
        let change = Change { set: mount.options.set & attr::RDONLY, ..Change::default() };
        if change.set != 0 {
            setattr(tree.as_fd(), c"", false, change, None)?;
        }
        return spread(tree.as_fd(), &mount.options);
    }
    match trees.first() {
        Some(tree) => {
            let target = inside::directory(root, destination, 0o755)?;
            one_cgroup(target.as_fd(), tree, own_namespace, &mount.options)
        }
        None => Ok(()),
    }
}

fn one_cgroup(
    target: BorrowedFd<'_>,
    tree: &cgroups::CgroupMount,
    own_namespace: bool,
    options: &Options,
) -> io::Result<()> {
    let plain = Options { data: Vec::new(), ..options.clone() };
    if own_namespace {
        let kind = if tree.version == Version::V2 { "cgroup2" } else { "cgroup" };
        let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&fs, "source", "cgroup")?;
        for word in tree.options.split(',').filter(|w| !w.is_empty()) {
            match word.split_once('=') {
                Some((key, value)) => fsconfig_set_string(&fs, key, value)?,
                None => fsconfig_set_flag(&fs, word)?,
            }
        }
        let made = create(&fs, &plain)?;
        attach(made.as_fd(), target)?;
        return spread(made.as_fd(), &plain);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let bound = open_tree(rustix::fs::CWD, &tree.source, flags)?;
    attributes(bound.as_fd(), &plain, true)?;
    attach(bound.as_fd(), target)?;
    spread(bound.as_fd(), &plain)
}

/// A fresh tmpfs is; a volume's file system may be filled already.
fn is_empty(directory: BorrowedFd<'_>) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    for entry in rustix::fs::Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fills a tmpfs with what the directory holds: directories, files and symlinks with owner and mode.
fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::fs::{Dir, FileType, Gid, Timespec, Timestamps, Uid};
    let open = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let source = rustix::fs::openat(from, ".", open, Mode::empty())?;
    for entry in Dir::read_from(&source)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(&source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, mode)?;
                let below = rustix::fs::openat(&source, name, open, Mode::empty())?;
                let into = rustix::fs::openat(to, name, open, Mode::empty())?;
                copy_up(below.as_fd(), into.as_fd())?;
            }
            FileType::RegularFile => {
                let read = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut input = std::fs::File::from(rustix::fs::openat(&source, name, read, Mode::empty())?);
                let mut output = std::fs::File::from(rustix::fs::openat(to, name, write, mode)?);
                io::copy(&mut input, &mut output)?;
            }
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(&source, name, Vec::new())?;
                rustix::fs::symlinkat(text.as_c_str(), to, name)?;
            }
            _ => {
                let kind = FileType::from_raw_mode(stat.st_mode);
                rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?;
            }
        }
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            // A change of owner takes set-user-id away.
            rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
        }
        let time = |tv_sec: i64, tv_nsec: u64| Timespec { tv_sec, tv_nsec: tv_nsec.cast_signed() };
        let times = Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
        };
        rustix::fs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
