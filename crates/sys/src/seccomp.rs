//! `seccomp(2)`.

use std::io;
use std::os::fd::OwnedFd;

use crate::call::{check, check_fd};

/// `SECCOMP_FILTER_FLAG_*`.
pub mod flag {
    pub const TSYNC: u32 = 1;
    pub const LOG: u32 = 2;
    pub const SPEC_ALLOW: u32 = 4;
    pub const NEW_LISTENER: u32 = 8;
    pub const WAIT_KILLABLE_RECV: u32 = 32;
}

/// Installs a filter for this thread and its children. `program` is an array of `struct sock_filter`,
/// 8 bytes each, in the machine's byte order. With [`flag::NEW_LISTENER`] the listener is returned.
///
/// # Errors
/// `EINVAL` for a program the kernel's checker refuses or whose length is not a multiple of 8; `EACCES`
/// without `no_new_privs` or `CAP_SYS_ADMIN`.
pub fn install(program: &[u8], flags: u32) -> io::Result<Option<OwnedFd>> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    if program.is_empty() || !program.len().is_multiple_of(8) {
        return Err(invalid());
    }
    // A byte slice may lie anywhere; the kernel copies it without asking for alignment, so no copy is needed.
    let fprog = libc::sock_fprog {
        len: u16::try_from(program.len() / 8).map_err(|_| invalid())?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `fprog` points to `len` instructions of 8 bytes that live during the call; the kernel only
    // reads them. What the filter then does to system calls is what the caller asked for.
    let returned =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog) };
    if flags & flag::NEW_LISTENER == 0 {
        return check(returned).map(|_| None);
    }
    // SAFETY: with NEW_LISTENER a success is a new descriptor.
    unsafe { check_fd(returned) }.map(Some)
}

/// Whether the kernel knows a filter action (`SECCOMP_RET_*`).
#[must_use]
pub fn action_available(action: u32) -> bool {
    // SAFETY: the kernel reads the u32, which lives during the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
        .is_ok()
}
