//! The mount calls of Linux 5.2 to 5.12 (`fsopen`, `fsmount`, `open_tree`, `move_mount`, `mount_setattr`), and the
//! same with `mount(2)` where a kernel, or a filter around this process, does not have them.
//!
//! What is detached with the new calls is attached at a stage with the old one: a private tmpfs in the container's
//! own mount namespace, which goes with the host's tree when the root is pivoted. Moving from there (`MS_MOVE`)
//! stands for `move_mount`, a bind for a clone, a remount for `mount_setattr`, and a memfd that keeps the options
//! for what `fsopen` returns. Two things have no old form and end with `ENOSYS`: id-mapped mounts, and clones for
//! a process that does not yet have its mount namespace.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{io, str};

use rustix::fs::{AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
pub(crate) use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, unmount,
};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::path::Arg;
use sys::mount::{Change, attr};

type Result<T> = std::result::Result<T, Errno>;

/// Whether the old call has to do. Asked once per process: both questions change nothing.
pub(crate) fn is_classic() -> bool {
    static CLASSIC: OnceLock<bool> = OnceLock::new();
    *CLASSIC.get_or_init(|| {
        let missing = |error: io::Error| error.raw_os_error() == Some(Errno::NOSYS.raw_os_error());
        let plain = OpenTreeFlags::OPEN_TREE_CLOEXEC;
        sys::mount::setattr(CWD, c"/", false, Change::default(), None).is_err_and(missing)
            || matches!(rustix::mount::open_tree(CWD, "/", plain), Err(Errno::NOSYS))
    })
}

/// The directory that staged mounts lie in.
static STAGE: OnceLock<PathBuf> = OnceLock::new();

/// To be called once this process has a mount namespace that tells nobody: from now on there may be a stage.
pub(crate) fn begin() -> Result<()> {
    // Nothing is bound from these, and nobody looks for anything there before the root is pivoted.
    const PLACES: [&str; 3] = ["/proc/fs", "/proc/driver", "/proc/tty"];
    if !is_classic() || STAGE.get().is_some() {
        return Ok(());
    }
    match rustix::mount::mount_change("/proc", MountPropagationFlags::PRIVATE) {
        // Not a mount point: then it is no procfs, and nothing of this works anyway.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error),
    }
    let mut last = Errno::NOENT;
    for place in PLACES {
        match rustix::mount::mount("tmpfs", place, "tmpfs", MountFlags::empty(), c"mode=700") {
            Ok(()) => {
                rustix::mount::mount_change(place, MountPropagationFlags::PRIVATE)?;
                // Set once: this process has one thread.
                let _ = STAGE.set(place.into());
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A new place on the stage.
fn place(is_directory: bool) -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let stage = STAGE.get().ok_or(Errno::NOSYS)?;
    let path = stage.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
    if is_directory {
        rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700))?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))?;
    }
    Ok(path)
}

/// A path for a descriptor, for calls that know nothing but paths.
fn path_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn open_path(at: impl AsFd, path: impl Arg) -> Result<OwnedFd> {
    rustix::fs::openat(at, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// `fsopen(2)`.
pub(crate) fn fsopen(kind: &str, flags: FsOpenFlags) -> Result<OwnedFd> {
    if !is_classic() {
        return rustix::mount::fsopen(kind, flags);
    }
    let options = rustix::fs::memfd_create("mount options", MemfdFlags::CLOEXEC)?;
    keep(options.as_fd(), "", Some(kind))?;
    Ok(options)
}

/// `fsconfig(2)` with a text.
pub(crate) fn fsconfig_set_string(fs: impl AsFd, key: &str, value: impl Arg) -> Result<()> {
    if !is_classic() {
        return rustix::mount::fsconfig_set_string(fs, key, value);
    }
    // Options that the old call has no words for, such as overlay's one by one.
    if key.ends_with('+') {
        return Err(Errno::INVAL);
    }
    keep(fs.as_fd(), key, Some(&value.to_string_lossy()))
}

/// `fsconfig(2)` with a switch.
pub(crate) fn fsconfig_set_flag(fs: impl AsFd, key: &str) -> Result<()> {
    if is_classic() { keep(fs.as_fd(), key, None) } else { rustix::mount::fsconfig_set_flag(fs, key) }
}

/// `fsconfig(2)`: makes the file system. The old call does it while mounting.
pub(crate) fn fsconfig_create(fs: impl AsFd) -> Result<()> {
    if is_classic() { Ok(()) } else { rustix::mount::fsconfig_create(fs) }
}

/// One option: name, NUL, and `=` with the value if there is one, NUL.
fn keep(options: BorrowedFd<'_>, key: &str, value: Option<&str>) -> Result<()> {
    let value = value.map_or(String::new(), |v| format!("={v}"));
    rustix::io::write(options, format!("{key}\0{value}\0").as_bytes()).map(drop)
}

/// `fsmount(2)`.
pub(crate) fn fsmount(fs: impl AsFd, flags: FsMountFlags, attributes: MountAttrFlags) -> Result<OwnedFd> {
    if !is_classic() {
        return rustix::mount::fsmount(fs, flags, attributes);
    }
    let mut bytes = vec![0; 64 << 10];
    let length = rustix::io::pread(fs.as_fd(), &mut bytes, 0)?;
    let text = str::from_utf8(&bytes[..length]).map_err(|_| Errno::INVAL)?;
    let Described { kind, source, flags, data } = describe(text);
    let place = place(true)?;
    let flags = flags | flags_of(u64::from(attributes.bits()));
    let data = CString::new(data).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount(source, &place, kind, flags, data.as_c_str())?;
    open_path(CWD, &place)
}

#[derive(Debug, PartialEq, Eq)]
struct Described<'a> {
    kind: &'a str,
    source: &'a str,
    flags: MountFlags,
    data: String,
}

/// What [`keep`] wrote, as `mount(2)` wants it.
fn describe(text: &str) -> Described<'_> {
    let mut described =
        Described { kind: "", source: "none", flags: MountFlags::empty(), data: String::new() };
    let mut words = text.split('\0');
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        let plain = value.strip_prefix('=');
        match (key, plain) {
            ("", Some(kind)) => described.kind = kind,
            ("source", Some(source)) => described.source = source,
            ("sync", None) => described.flags |= MountFlags::SYNCHRONOUS,
            ("dirsync", None) => described.flags |= MountFlags::DIRSYNC,
            ("mand", None) => described.flags |= MountFlags::PERMIT_MANDATORY_FILE_LOCKING,
            ("lazytime", None) => described.flags |= MountFlags::LAZYTIME,
            ("silent", None) => described.flags |= MountFlags::SILENT,
            ("ro", None) => described.flags |= MountFlags::RDONLY,
            _ => {
                let comma = if described.data.is_empty() { "" } else { "," };
                // A label has commas of its own.
                let text = match plain.filter(|_| key == "context") {
                    Some(text) => format!("{comma}{key}=\"{text}\""),
                    None => format!("{comma}{key}{value}"),
                };
                described.data.push_str(&text);
            }
        }
    }
    described
}

/// `open_tree(2)` with `OPEN_TREE_CLONE`.
pub(crate) fn open_tree(at: impl AsFd, path: impl Arg, flags: OpenTreeFlags) -> Result<OwnedFd> {
    if !is_classic() {
        return rustix::mount::open_tree(at, path, flags);
    }
    let empty = path.as_cow_c_str()?.is_empty();
    let opened;
    let source = if empty {
        at.as_fd()
    } else {
        opened = open_path(&at, path)?;
        opened.as_fd()
    };
    let stat = rustix::fs::statat(source, "", AtFlags::EMPTY_PATH)?;
    let place = place(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)?;
    if flags.contains(OpenTreeFlags::AT_RECURSIVE) {
        rustix::mount::mount_bind_recursive(path_of(source), &place)?;
    } else {
        rustix::mount::mount_bind(path_of(source), &place)?;
    }
    open_path(CWD, &place)
}

/// `move_mount(2)` of a whole mount, to a descriptor (with an empty path) or a path.
pub(crate) fn move_mount(
    from: impl AsFd,
    nothing: &str,
    to: impl AsFd,
    path: impl Arg,
    flags: MoveMountFlags,
) -> Result<()> {
    if !is_classic() {
        return rustix::mount::move_mount(from, nothing, to, path, flags);
    }
    let from = path_of(from.as_fd());
    if path.as_cow_c_str()?.is_empty() {
        rustix::mount::mount_move(from, path_of(to.as_fd()))
    } else {
        rustix::mount::mount_move(from, path)
    }
}

/// `mount_setattr(2)`, as [`sys::mount::setattr`] has it.
pub(crate) fn setattr(
    at: BorrowedFd<'_>,
    path: &CStr,
    recursive: bool,
    change: Change,
    userns: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    if !is_classic() {
        return sys::mount::setattr(at, path, recursive, change, userns);
    }
    if userns.is_some() {
        return Err(Errno::NOSYS.into());
    }
    let target = match path.to_str() {
        Ok("") => path_of(at),
        Ok(path) => path.to_owned(),
        Err(_) => return Err(Errno::INVAL.into()),
    };
    let deep = if recursive { MountPropagationFlags::REC } else { MountPropagationFlags::empty() };
    if change.propagation != 0 {
        let kind = u32::try_from(change.propagation).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount_change(&target, MountPropagationFlags::from_bits_retain(kind) | deep)?;
    }
    if change.set == 0 && change.clear == 0 {
        return Ok(());
    }
    remount(&target, change)?;
    if recursive {
        for point in below(&target)? {
            remount(&point, change)?;
        }
    }
    Ok(())
}

/// Old attributes, less the cleared, and the set.
fn remount(target: &str, change: Change) -> Result<()> {
    let now = attributes_of(rustix::fs::statvfs(target)?.f_flag);
    let flags = flags_of(now & !change.clear | change.set) | MountFlags::BIND;
    rustix::mount::mount_remount(target, flags, c"")
}

/// Pairs of a mount attribute and its flag of `mount(2)`; access times apart.
const FLAGS: [(u64, MountFlags); 6] = [
    (attr::RDONLY, MountFlags::RDONLY),
    (attr::NOSUID, MountFlags::NOSUID),
    (attr::NODEV, MountFlags::NODEV),
    (attr::NOEXEC, MountFlags::NOEXEC),
    (attr::NODIRATIME, MountFlags::NODIRATIME),
    (attr::NOSYMFOLLOW, NOSYMFOLLOW),
];

const NOSYMFOLLOW: MountFlags = MountFlags::from_bits_retain(256);

fn flags_of(attributes: u64) -> MountFlags {
    let times = match attributes & attr::ATIME_MASK {
        attr::NOATIME => MountFlags::NOATIME,
        attr::STRICTATIME => MountFlags::STRICTATIME,
        _ => MountFlags::RELATIME,
    };
    FLAGS.iter().filter(|(bit, _)| attributes & bit != 0).fold(times, |all, (_, flag)| all | *flag)
}

fn attributes_of(flags: StatVfsMountFlags) -> u64 {
    // statvfs(3) has the numbers of mount(2) for these, and one of its own for relatime; for nosymfollow, too.
    let bits = u32::try_from(flags.bits()).unwrap_or_default();
    let has = |flag: u32| bits & flag != 0;
    let times = match (has(MountFlags::NOATIME.bits()), has(4096)) {
        (true, _) => attr::NOATIME,
        (false, true) => attr::RELATIME,
        (false, false) => attr::STRICTATIME,
    };
    let plain = FLAGS.iter().filter(|(bit, flag)| *bit != attr::NOSYMFOLLOW && has(flag.bits()));
    plain.fold(times, |all, (bit, _)| all | bit) | if has(8192) { attr::NOSYMFOLLOW } else { 0 }
}

/// The mount points of everything mounted below a mount, which `target` leads to.
fn below(target: &str) -> io::Result<Vec<String>> {
    let stat = rustix::fs::statx(CWD, target, AtFlags::empty(), rustix::fs::StatxFlags::MNT_ID)?;
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mut family = vec![stat.stx_mnt_id];
    let mut points = Vec::new();
    for line in table.lines() {
        // 36 35 98:0 /root /mount/point ...; a mount comes after the one that it is on.
        let mut words = line.split(' ');
        let number = |word: Option<&str>| word.and_then(|w| w.parse::<u64>().ok());
        let (Some(id), Some(parent)) = (number(words.next()), number(words.next())) else { continue };
        if let (true, Some(point)) = (family.contains(&parent) && !family.contains(&id), words.nth(2)) {
            family.push(id);
            points.push(point.replace("\\040", " "));
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_the_old_calls_arguments() {
        let text = "\0=tmpfs\0source\0=shm\0mode\0=755\0sync\0\0size\0=64k\0nr\0\0context\0=a:s0:c1,c2\0";
        let expected = Described {
            kind: "tmpfs",
            source: "shm",
            flags: MountFlags::SYNCHRONOUS,
            data: "mode=755,size=64k,nr,context=\"a:s0:c1,c2\"".into(),
        };
        assert_eq!(describe(text), expected);
    }

    #[test]
    fn attributes_become_flags() {
        let flags = flags_of(attr::RDONLY | attr::NOSYMFOLLOW | attr::NOATIME);
        assert_eq!(flags, MountFlags::RDONLY | NOSYMFOLLOW | MountFlags::NOATIME);
        assert_eq!(flags_of(0), MountFlags::RELATIME);
        let shown = StatVfsMountFlags::from_bits_retain(1 | 2 | 4096);
        assert_eq!(attributes_of(shown), attr::RDONLY | attr::NOSUID);
    }
}
