//! One of the process's output streams: a pipe's read end, or the terminal's master.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, read, retry_on_intr};

#[derive(Debug)]
pub(super) struct Source {
    fd: OwnedFd,
    /// epoll watches it.
    pub(super) armed: bool,
}

#[derive(Debug)]
pub(super) enum Read {
    Chunk(usize),
    Nothing,
    End,
}

impl Source {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, armed: true }
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> Read {
        match retry_on_intr(|| read(&self.fd, &mut *buffer)) {
            Ok(0) => Read::End,
            Ok(length) => Read::Chunk(length),
            Err(Errno::AGAIN) => Read::Nothing,
            // EIO is how a terminal says that its last slave has been closed.
            Err(_) => Read::End,
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
