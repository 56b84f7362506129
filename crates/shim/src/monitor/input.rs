//! The container's standard input: one pipe (or the pty), written by any number of clients.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use logs::Stream;
use rustix::io::{Errno, retry_on_intr, write};

use super::Monitor;
use crate::record::now;

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

impl Monitor {
    /// Input for the process; dropped once it reads no more.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.log.records(Stream::Stdin) {
            self.record_typed(bytes);
        }
        if let Some(stdin) = &mut self.stdin
            && !stdin.write(bytes)
        {
            self.stop_stdin();
        }
    }

    pub(super) fn flush_stdin(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            let read_on = stdin.flush();
            if !read_on || (stdin.ending && !stdin.is_full()) {
                self.stop_stdin();
            }
        }
    }

    /// End of file for the process, after what it has been sent.
    pub(super) fn end_stdin(&mut self) {
        if self.terminal.is_some() {
            return;
        }
        if let Some(stdin) = &mut self.stdin {
            stdin.ending = true;
            if !stdin.is_full() {
                self.stop_stdin();
            }
        }
    }

    pub(super) fn stop_stdin(&mut self) {
        // Closing the last descriptor takes it out of epoll.
        if self.stdin.take().is_some()
            && self.log.records(Stream::Stdin)
            && let Err(error) = self.log.end_of_stream(Stream::Stdin, now())
        {
            self.note_log_error(&error);
        }
        for client in self.clients.values_mut() {
            client.reads = false;
        }
    }

    /// `--log-opt stdin=true`. A terminal's lines end with a carriage return.
    fn record_typed(&mut self, bytes: &[u8]) {
        let lines: Vec<u8>;
        let mut typed = bytes;
        if self.terminal.is_some() {
            lines = bytes.iter().map(|&byte| if byte == b'\r' { b'\n' } else { byte }).collect();
            typed = &lines;
        }
        if let Err(error) = self.log.write(Stream::Stdin, typed, now()) {
            self.note_log_error(&error);
        }
        self.log_busy = true;
    }
}
