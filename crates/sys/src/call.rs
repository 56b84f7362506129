//! From the C library's return convention to `io::Result`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// -1 becomes the error in `errno`.
pub(crate) fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// A system call's new descriptor, or its error.
///
/// # Safety
/// `returned` is what a system call that creates a descriptor returned just now, and nothing else owns it.
pub(crate) unsafe fn check_fd(returned: libc::c_long) -> io::Result<OwnedFd> {
    let number = check(returned)?;
    let number = RawFd::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the caller guarantees a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
