//! The container's standard input: one pipe (or the pty), written by any number of clients.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr, write};

#[derive(Debug)]
pub(super) struct Stdin {
    fd: OwnedFd,
    /// What the pipe had no room for. While there is some, no client is read.
    pending: Vec<u8>,
    /// No more will come: close after `pending`.
    pub(super) ending: bool,
    /// epoll watches for room.
    pub(super) armed: bool,
}

impl Stdin {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, pending: Vec::new(), ending: false, armed: false }
    }

    pub(super) fn is_full(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Appends and writes what there is room for; false when nobody reads it any more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        if self.pending.is_empty() {
            match put(&self.fd, rest) {
                Some(taken) => rest = &rest[taken..],
                None => return false,
            }
        }
        self.pending.extend_from_slice(rest);
        true
    }

    /// Writes what waits; false when nobody reads it any more.
    pub(super) fn flush(&mut self) -> bool {
        match put(&self.fd, &self.pending) {
            Some(taken) if taken == self.pending.len() => self.pending = Vec::new(),
            Some(taken) => drop(self.pending.drain(..taken)),
            None => return false,
        }
        true
    }
}

/// Bytes taken until the pipe was full; `None` if its reader is gone.
fn put(fd: &OwnedFd, bytes: &[u8]) -> Option<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match retry_on_intr(|| write(fd, &bytes[taken..])) {
            Ok(count) => taken += count,
            Err(Errno::AGAIN) => break,
            Err(_) => return None,
        }
    }
    Some(taken)
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
