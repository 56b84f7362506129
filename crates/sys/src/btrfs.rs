//! Subvolumes of btrfs: the ioctls of `linux/btrfs.h` that make, limit and destroy them. rustix has none of these.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use crate::call::check;

/// A subvolume's root directory has this inode number (`BTRFS_FIRST_FREE_OBJECTID`), and nothing else on btrfs.
pub const ROOT_INODE: u64 = 256;

/// `struct btrfs_ioctl_vol_args_v2`.
#[repr(C)]
struct NewVolume {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct OldVolume {
    fd: i64,
    name: [u8; 4088],
}

/// `_IOW(0x94, number, 4096 bytes)`: all three take as much.
const fn request(number: libc::Ioctl) -> libc::Ioctl {
    1 << 30 | 4096 << 16 | 0x94 << 8 | number
}

const SNAP_DESTROY: libc::Ioctl = request(15);
const SNAP_CREATE_V2: libc::Ioctl = request(23);
const SUBVOL_CREATE_V2: libc::Ioctl = request(24);

/// Makes an empty subvolume in a directory.
///
/// # Errors
/// `ENOTTY` where the file system is not btrfs, `EEXIST`; `ENAMETOOLONG`.
pub fn create(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    make(directory, name, SUBVOL_CREATE_V2, 0)
}

/// Makes a writable copy of a subvolume in a directory; the two share what neither changes. `source` is any file in the
/// subvolume that is to be copied.
///
/// # Errors
/// As [`create`]; `EXDEV` when the two are on different file systems.
pub fn snapshot(source: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    make(directory, name, SNAP_CREATE_V2, source.as_raw_fd().into())
}

fn make(directory: BorrowedFd<'_>, name: &OsStr, request: libc::Ioctl, fd: i64) -> io::Result<()> {
    let mut args = NewVolume { fd, transid: 0, flags: 0, unused: [0; 4], name: [0; 4040] };
    fill(&mut args.name, name)?;
    // SAFETY: reads 4096 bytes, which `args` has (checked below); the name ends with a zero.
    check(unsafe { libc::ioctl(directory.as_raw_fd(), request, &raw const args) }.into()).map(drop)
}

/// Takes a subvolume out of its directory at once, whatever it holds; its space is given back behind the caller.
///
/// # Errors
/// `ENOTEMPTY` when another subvolume is in it, `EINVAL` when it is a plain directory, `ENOTTY` elsewhere than on btrfs.
pub fn destroy(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let mut args = OldVolume { fd: 0, name: [0; 4088] };
    fill(&mut args.name, name)?;
    // SAFETY: as above.
    check(unsafe { libc::ioctl(directory.as_raw_fd(), SNAP_DESTROY, &raw const args) }.into()).map(drop)
}

const _: () = assert!(size_of::<NewVolume>() == 4096 && size_of::<OldVolume>() == 4096);

/// `struct btrfs_ioctl_quota_ctl_args`.
#[repr(C)]
struct Control {
    command: u64,
    status: u64,
}

/// `struct btrfs_ioctl_qgroup_limit_args`.
#[repr(C)]
#[derive(Default)]
struct Limit {
    group: u64,
    flags: u64,
    referenced_max: u64,
    exclusive_max: u64,
    reserved: [u64; 2],
}

/// `struct btrfs_ioctl_qgroup_create_args`.
#[repr(C)]
struct MakeGroup {
    create: u64,
    group: u64,
}

/// `struct btrfs_ioctl_ino_lookup_args`.
#[repr(C)]
struct Lookup {
    tree: u64,
    object: u64,
    name: [u8; 4080],
}

const _: () = assert!(size_of::<Control>() == 16 && size_of::<Limit>() == 48 && size_of::<Lookup>() == 4096);

/// `_IOWR(0x94, 18, ...)`, `_IOWR(0x94, 40, ...)`, `_IOW(0x94, 42, ...)`, `_IOR(0x94, 43, ...)`, `_IO(0x94, 46)`
const INO_LOOKUP: libc::Ioctl = 3 << 30 | 4096 << 16 | 0x94 << 8 | 18;
const QUOTA_CTL: libc::Ioctl = 3 << 30 | 16 << 16 | 0x94 << 8 | 40;
const QGROUP_CREATE: libc::Ioctl = 1 << 30 | 16 << 16 | 0x94 << 8 | 42;
const QGROUP_LIMIT: libc::Ioctl = 2 << 30 | 48 << 16 | 0x94 << 8 | 43;
const QUOTA_RESCAN_WAIT: libc::Ioctl = 0x94 << 8 | 46;

/// Turns the file system's accounting on (quota groups), and returns when it has counted what is there.
///
/// # Errors
/// `EROFS`, `EPERM`; `ENOTTY` elsewhere than on btrfs.
pub fn enable_quotas(file: BorrowedFd<'_>) -> io::Result<()> {
    let mut control = Control { command: 1, status: 0 };
    // SAFETY: the kernel reads and writes 16 bytes, which is what `control` has (checked above).
    check(unsafe { libc::ioctl(file.as_raw_fd(), QUOTA_CTL, &raw mut control) }.into())?;
    // SAFETY: takes no argument.
    check(unsafe { libc::ioctl(file.as_raw_fd(), QUOTA_RESCAN_WAIT) }.into()).map(drop)
}

/// Limits what a subvolume has for itself alone; what it shares with the one that it is a copy of does not count.
/// `subvolume` is any file in it.
///
/// # Errors
/// `ENOTCONN` (in some kernels `EINVAL`) while [`enable_quotas`] was not called; `ENOTTY` elsewhere than on btrfs.
pub fn limit(subvolume: BorrowedFd<'_>, bytes: u64) -> io::Result<()> {
    // BTRFS_QGROUP_LIMIT_MAX_EXCL; group 0 is that of the subvolume.
    let limit = Limit { flags: 2, exclusive_max: bytes, ..Limit::default() };
    // SAFETY: the kernel reads 48 bytes, which is what `limit` has (checked above).
    check(unsafe { libc::ioctl(subvolume.as_raw_fd(), QGROUP_LIMIT, &raw const limit) }.into()).map(drop)
}

/// The number of the subvolume in which a directory is: also that of its quota group.
///
/// # Errors
/// `ENOTTY` elsewhere than on btrfs.
pub fn subvolume(directory: BorrowedFd<'_>) -> io::Result<u64> {
    let mut lookup = Lookup { tree: 0, object: ROOT_INODE, name: [0; 4080] };
    // SAFETY: the kernel reads and writes 4096 bytes, which is what `lookup` has (checked above).
    check(unsafe { libc::ioctl(directory.as_raw_fd(), INO_LOOKUP, &raw mut lookup) }.into())?;
    Ok(lookup.tree)
}

/// Removes the quota group of a subvolume that was destroyed; newer kernels do that themselves. `file` is any on the
/// same file system.
///
/// # Errors
/// `ENOTCONN` where accounting is off, `ENOENT` when it has gone, `EBUSY` while the subvolume is being cleaned up.
pub fn forget_quota(file: BorrowedFd<'_>, subvolume: u64) -> io::Result<()> {
    let args = MakeGroup { create: 0, group: subvolume };
    // SAFETY: the kernel reads 16 bytes, which is what `args` has.
    check(unsafe { libc::ioctl(file.as_raw_fd(), QGROUP_CREATE, &raw const args) }.into()).map(drop)
}

/// The last byte stays zero.
fn fill(into: &mut [u8], name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if bytes.len() >= into.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    into[..bytes.len()].copy_from_slice(bytes);
    Ok(())
}
