//! Subvolumes of btrfs: the ioctls of `linux/btrfs.h` that make and destroy them. rustix has none of these.

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

/// The last byte stays zero.
fn fill(into: &mut [u8], name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if bytes.len() >= into.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    into[..bytes.len()].copy_from_slice(bytes);
    Ok(())
}
