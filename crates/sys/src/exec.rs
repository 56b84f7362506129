//! `execve(2)` with arrays made beforehand.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::call::check;

/// A NULL-terminated array of C strings, as `execve(2)` wants argv and envp.
#[derive(Debug)]
pub struct Strings {
    // Never changed after `pointers` was made; the heap blocks they point to stay where they are.
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    /// Takes the strings in their order.
    #[must_use]
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Self { strings, pointers }
    }

    /// The strings.
    #[must_use]
    pub fn as_slice(&self) -> &[CString] {
        &self.strings
    }
}

/// Replaces the program by the file at `path`. Returns only when that failed.
#[must_use]
pub fn execve(path: &CStr, argv: &Strings, envp: &Strings) -> io::Error {
    // SAFETY: `path` is NUL-terminated; both arrays are NULL-terminated and point to NUL-terminated strings
    // that `Strings` owns and that live during the call.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Replaces the program by the open file (`execveat(2)`, `AT_EMPTY_PATH`). Returns only when that failed.
#[must_use]
pub fn fexecve(file: BorrowedFd<'_>, argv: &Strings, envp: &Strings) -> io::Error {
    // SAFETY: as for `execve`; the path is the empty C string and `file` is open during the call.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            envp.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check(returned).err().unwrap_or_else(|| io::Error::from_raw_os_error(libc::EIO))
}
