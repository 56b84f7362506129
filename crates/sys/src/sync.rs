//! `sync_file_range(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::check;

/// Begins to write a part of a file to its disk, and does not wait for it: a sync that follows has less to do. It promises
/// nothing about the data, and takes no error away from that sync.
///
/// # Errors
/// Those of `sync_file_range(2)`: `EINVAL` for offsets beyond what a file may have, `ESPIPE` for what is no file.
pub fn begin(file: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    let offset = i64::try_from(offset).map_err(io::Error::other)?;
    let length = i64::try_from(length).map_err(io::Error::other)?;
    // SAFETY: takes numbers; the descriptor is open as long as it is borrowed. No memory of ours is touched.
    let returned =
        unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
    check(libc::c_long::from(returned)).map(drop)
}
