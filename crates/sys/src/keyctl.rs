//! `keyctl(2)`: a session keyring of one's own.

use std::ffi::CStr;
use std::io;

use crate::call::check;

/// Serial number of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(i32);

/// Joins the session keyring called `name`, or makes it (`KEYCTL_JOIN_SESSION_KEYRING`).
///
/// # Errors
/// `ENOSYS` without keys in the kernel, `EDQUOT`, `EACCES`.
pub fn join_session(name: &CStr) -> io::Result<Key> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: `name` is NUL-terminated and lives during the call.
    let serial = check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    i32::try_from(serial).map(Key).map_err(io::Error::other)
}

/// Lets the owner's user id (not only its possessor) search the keyring, as runc does.
///
/// # Errors
/// Those of `KEYCTL_DESCRIBE` and `KEYCTL_SETPERM`.
pub fn allow_user_search(key: Key) -> io::Result<()> {
    const SETPERM: libc::c_int = 5;
    const POSSESSOR_ALL: u32 = 0x3f00_0000;
    const USER_VIEW_READ_SEARCH: u32 = 0x000b_0000;
    // SAFETY: takes numbers only.
    check(unsafe { libc::syscall(libc::SYS_keyctl, SETPERM, key.0, POSSESSOR_ALL | USER_VIEW_READ_SEARCH) })
        .map(drop)
}
