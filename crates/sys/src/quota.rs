//! Quotas of projects: which project a directory is of (`ioctl_fs(2)`), and how much a project may take
//! (`quotactl_fd(2)`, since Linux 5.14: no device's node is needed). ext4 and xfs have them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::check;

/// `struct fsxattr` of `linux/fs.h`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_on_write_extent_size: u32,
    unused: [u8; 8],
}

/// `struct if_dqblk` of `linux/quota.h`.
#[repr(C)]
#[derive(Default)]
struct Quota {
    /// In blocks of 1024 bytes.
    space_hard: u64,
    space_soft: u64,
    space_bytes: u64,
    files_hard: u64,
    files_soft: u64,
    files: u64,
    space_grace: u64,
    files_grace: u64,
    valid: u32,
}

/// `struct fs_qfilestat` and `struct fs_quota_stat` of `linux/dqblk_xfs.h`.
#[repr(C)]
#[derive(Default)]
struct QuotaFile {
    inode: u64,
    blocks: u64,
    extents: u32,
}

#[repr(C)]
#[derive(Default)]
struct State {
    version: i8,
    flags: u16,
    unused: i8,
    users: QuotaFile,
    groups: QuotaFile,
    in_core: u32,
    times: [i32; 3],
    warnings: [u16; 2],
}

const _: () = assert!(size_of::<Attributes>() == 28 && size_of::<Quota>() == 72 && size_of::<State>() == 80);

/// `_IOR('X', 31, struct fsxattr)`, `_IOW('X', 32, struct fsxattr)`
const GET_ATTRIBUTES: libc::Ioctl = 2 << 30 | 28 << 16 | 0x58 << 8 | 31;
const SET_ATTRIBUTES: libc::Ioctl = 1 << 30 | 28 << 16 | 0x58 << 8 | 32;
/// `FS_XFLAG_PROJINHERIT`
const INHERIT: u32 = 0x200;

/// `QCMD(command, PRJQUOTA)`
const fn of_projects(command: u32) -> libc::c_uint {
    command << 8 | 2
}

const GET_QUOTA: libc::c_uint = of_projects(0x80_0007);
const SET_QUOTA: libc::c_uint = of_projects(0x80_0008);
/// `Q_XGETQSTAT`
const GET_STATE: libc::c_uint = of_projects(0x5805);
/// `QIF_BLIMITS`
const SPACE_LIMITS: u32 = 1;
/// `FS_QUOTA_PDQ_ENFD`
const ENFORCED: u16 = 1 << 5;

/// What a project takes, and may take (0: all that there is).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Project {
    pub limit_bytes: u64,
    pub used_bytes: u64,
    pub files: u64,
}

/// The project of a file; 0 is of all that have none.
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` where the file system has no projects.
pub fn project(file: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(attributes(file)?.project)
}

/// Makes a directory one of a project's; what is made in it from now on is of it, too.
///
/// # Errors
/// As [`project`].
pub fn set_project(directory: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let mut new = attributes(directory)?;
    new.project = project;
    new.flags |= INHERIT;
    // SAFETY: the kernel reads 28 bytes, which is what `Attributes` has (checked above).
    check(unsafe { libc::ioctl(directory.as_raw_fd(), SET_ATTRIBUTES, &raw const new) }.into()).map(drop)
}

fn attributes(file: BorrowedFd<'_>) -> io::Result<Attributes> {
    let mut found = Attributes::default();
    // SAFETY: the kernel writes 28 bytes, which is what `Attributes` has; any bytes are a valid one.
    check(unsafe { libc::ioctl(file.as_raw_fd(), GET_ATTRIBUTES, &raw mut found) }.into())?;
    Ok(found)
}

/// Whether the file system on which a file lies keeps projects within their limits.
///
/// # Errors
/// `ENOSYS` from an older kernel, and where the file system has no quotas or they are off.
pub fn is_enforced(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mut state = State::default();
    // SAFETY: the command writes a `struct fs_quota_stat`, which is what `state` is; any bytes are a valid one.
    unsafe { call(file, GET_STATE, 0, (&raw mut state).cast()) }?;
    Ok(state.flags & ENFORCED != 0)
}

/// Whether the kernel has `quotactl_fd(2)`. (`ENOSYS` alone may also be of a file system that does not have a command.)
pub fn is_known() -> bool {
    // Of a type of quotas that there is not, which is looked at first.
    let (no_file, command) = (-1, 0x8000_07ff_u32);
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: refused before the argument is looked at.
    let asked = check(unsafe { libc::syscall(libc::SYS_quotactl_fd, no_file, command, 0, none) });
    asked.is_err_and(|error| error.raw_os_error() != Some(libc::ENOSYS))
}

/// What a project takes of the file system on which a file lies.
///
/// # Errors
/// `ESRCH` where quotas are off; `ENOENT` from xfs when nothing was ever of the project.
pub fn get(file: BorrowedFd<'_>, project: u32) -> io::Result<Project> {
    let mut quota = Quota::default();
    // SAFETY: the command writes a `struct if_dqblk`, which is what `quota` is; any bytes are a valid one.
    unsafe { call(file, GET_QUOTA, project, (&raw mut quota).cast()) }?;
    let limit_bytes = quota.space_hard.saturating_mul(1024);
    Ok(Project { limit_bytes, used_bytes: quota.space_bytes, files: quota.files })
}

/// Limits what a project may take; 0: no more.
///
/// # Errors
/// `ESRCH` where quotas are off, `EPERM` for whoever is not root.
pub fn set_limit(file: BorrowedFd<'_>, project: u32, bytes: u64) -> io::Result<()> {
    let mut quota = Quota { space_hard: bytes.div_ceil(1024), valid: SPACE_LIMITS, ..Quota::default() };
    // SAFETY: the command reads a `struct if_dqblk`, which is what `quota` is.
    unsafe { call(file, SET_QUOTA, project, (&raw mut quota).cast()) }
}

/// # Safety
/// `argument` points to what the command reads or writes.
unsafe fn call(
    file: BorrowedFd<'_>,
    command: libc::c_uint,
    project: u32,
    argument: *mut libc::c_void,
) -> io::Result<()> {
    // SAFETY: the caller guarantees the argument; the descriptor is open as long as it is borrowed.
    check(unsafe { libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), command, project, argument) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// Where they are on, the test of the virtual machine tries them.
    #[test]
    fn a_file_system_without_says_so() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(project(proc.as_fd()).is_err());
        assert!(set_project(proc.as_fd(), 7).is_err());
        assert!(is_enforced(proc.as_fd()).is_err());
        assert!(get(proc.as_fd(), 7).is_err());
        assert!(set_limit(proc.as_fd(), 7, 1 << 20).is_err());
        assert!(is_known(), "tests run on newer kernels");
    }
}
