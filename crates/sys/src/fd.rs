//! `close_range(2)` and descriptors by number.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::call::check;

/// Marks every descriptor from `first` on close-on-exec.
///
/// # Errors
/// `ENOSYS` before Linux 5.9, `EINVAL` before 5.11.
pub fn cloexec_from(first: u32) -> io::Result<()> {
    // SAFETY: only sets a flag on descriptors; no descriptor is closed, so nobody's ownership changes.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Takes over a descriptor that the process was started with (LISTEN_FDS, `--preserve-fds`, fd 3 of a
/// private face), after checking that it is open.
///
/// # Errors
/// `EBADF` when it is not open; `EINVAL` for the standard ones, which stay borrowed.
///
/// The caller names each number once, before opening anything itself: two owners would close each other's
/// file. That cannot be checked here, but it breaks I/O safety only towards the one who names a number he
/// did not inherit, so tell where the number comes from at each call.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: fcntl(F_GETFD) reads a flag; a number that is not open gives EBADF.
    check(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_GETFD) }))?;
    // SAFETY: it is open (checked), and by this function's contract inherited and unowned.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Puts a copy of `from` at `number` without close-on-exec, over whatever was there: how the three standard
/// streams and preserved descriptors of a program about to be exec'd are laid out.
///
/// # Errors
/// Those of `dup3(2)`.
///
/// Only for a process that is about to exec and uses no owned descriptor at `number` any more.
pub fn place_at(from: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    if from.as_raw_fd() == number {
        // SAFETY: clears a flag of an open descriptor.
        return check(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_SETFD, 0) })).map(drop);
    }
    // SAFETY: both are numbers; by contract no owner of `number` remains that would be surprised.
    check(libc::c_long::from(unsafe { libc::dup3(from.as_raw_fd(), number, 0) })).map(drop)
}

/// Closes every descriptor from `first` on.
///
/// Only for a process that goes on without any of its own: a copy that never returns to code which owns
/// descriptors.
///
/// # Errors
/// `ENOSYS` before Linux 5.9.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: touches no memory. Owners of the descriptors still exist, but by contract never run again, so
    // none can reach a descriptor opened later under the same number.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Closes every descriptor above the standard ones but those in `keep`.
///
/// As [`close_from`], for a process that uses none of the others any more; what it still owns among them it may
/// not even drop.
///
/// # Errors
/// `ENOSYS` before Linux 5.9.
pub fn close_except(keep: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().filter(|fd| *fd > 2).chain([u32::MAX]) {
        if fd > first {
            let last = if fd == u32::MAX { fd } else { fd - 1 };
            // SAFETY: touches no memory. By contract, whoever owns one of these never uses it again.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        first = first.max(fd.saturating_add(1));
    }
    Ok(())
}
