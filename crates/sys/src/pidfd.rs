//! What pidfds can do that rustix does not offer: `pidfd_send_signal(2)` with any number, and the ioctl
//! `PIDFD_GET_INFO`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::check;

/// Sends a signal by number, real-time ones included.
///
/// # Errors
/// `ESRCH` when the process has ended, `EINVAL` when the number is no signal.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: takes numbers and a null siginfo, which the man page allows.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// `struct pidfd_info` of linux/pidfd.h, as far as the first published size.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroupid: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ruid: u32,
    rgid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    fsuid: u32,
    fsgid: u32,
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// The wait status (wait(2)) of a process that has ended, child or not. `None` while it is not reaped, or
/// where the kernel does not tell.
///
/// # Errors
/// `ENOTTY` before Linux 6.13; before 6.15 the status is not told.
pub fn exit_status(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    const SIZE: libc::c_ulong = size_of::<Info>() as libc::c_ulong;
    // _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
    const PIDFD_GET_INFO: libc::c_ulong = 3 << 30 | SIZE << 16 | 0xFF << 8 | 11;
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: the kernel writes at most the size that is part of the request's number, which is `info`'s.
    check(libc::c_long::from(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) }))?;
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code))
}
