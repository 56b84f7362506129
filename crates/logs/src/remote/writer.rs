//! The monitor's side: keeps records, and hands them to the forwarder without ever waiting for it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::{Pipe, RemoteDestination, pipe};
use crate::file::FileWriter;
use crate::lines::{Sink, keep_first};
use crate::split::Piece;
use crate::stream::Stream;

/// A buffer that has grown beyond this is given back when it is empty.
const KEPT_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct RemoteWriter {
    cache: Option<FileWriter>,
    /// `None` once the forwarder is gone, or has been told all.
    socket: Option<OwnedFd>,
    rest: File,
    /// Frames that did not fit into the socket, of which `sent` bytes did.
    pending: Vec<u8>,
    sent: usize,
    /// `mode=non-blocking`
    pending_bytes_max: Option<usize>,
}

impl RemoteWriter {
    /// Returns once the forwarder has connected.
    pub(crate) fn open(destination: &RemoteDestination, pipe: Pipe) -> io::Result<Self> {
        pipe.wait_ready()
            .map_err(|e| io::Error::other(format!("failed to initialize logging driver: {e}")))?;
        let cache = destination.cache.as_ref().map(FileWriter::open).transpose()?;
        let pending_bytes_max =
            destination.buffer_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(Self {
            cache,
            socket: Some(pipe.socket),
            rest: File::from(pipe.rest),
            pending: Vec::new(),
            sent: 0,
            pending_bytes_max,
        })
    }

    fn send(&mut self) {
        let Some(socket) = &self.socket else { return };
        while self.sent < self.pending.len() {
            match send(socket, &self.pending[self.sent..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(taken) => self.sent += taken,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Now and then, so that not every send moves all of it.
                    if self.sent > self.pending.len() / 2 {
                        self.pending.drain(..self.sent);
                        self.sent = 0;
                    }
                    return;
                }
                // It was killed. The records are in the cache; nobody else takes them.
                Err(_) => {
                    self.socket = None;
                    break;
                }
            }
        }
        self.pending.clear();
        self.sent = 0;
        if self.pending.capacity() > KEPT_BYTES {
            self.pending = Vec::new();
        }
    }
}

impl Sink for RemoteWriter {
    fn add(&mut self, stream: Stream, piece: Piece<'_>) -> io::Result<()> {
        let kept = self.cache.as_mut().map_or(Ok(()), |cache| cache.add(stream, piece));
        if self.socket.is_some() {
            let waiting = self.pending.len() - self.sent;
            let full =
                self.pending_bytes_max.is_some_and(|max| waiting > 0 && waiting + piece.text.len() > max);
            // Between two sends only of one chunk, room may be in the socket yet.
            if full {
                self.send();
            }
            let waiting = self.pending.len() - self.sent;
            if !self.pending_bytes_max.is_some_and(|max| waiting > 0 && waiting + piece.text.len() > max) {
                pipe::encode(&mut self.pending, stream, &piece);
            }
        }
        kept
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send();
        self.cache.as_mut().map_or(Ok(()), Sink::flush)
    }

    fn idle(&mut self) -> io::Result<bool> {
        self.send();
        self.cache.as_mut().map_or(Ok(false), Sink::idle)
    }

    fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor().filter(|_| !self.pending.is_empty())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    fn holds_back(&self) -> bool {
        self.pending_bytes_max.is_none() && self.waits_for().is_some()
    }

    fn clear(&mut self) -> io::Result<()> {
        self.cache.as_mut().map_or(Ok(()), Sink::clear)
    }

    fn close(&mut self) -> io::Result<()> {
        self.send();
        let mut result = self.cache.as_mut().map_or(Ok(()), Sink::close);
        if self.socket.is_some() && self.sent < self.pending.len() {
            keep_first(&mut result, self.rest.write_all(&self.pending[self.sent..]));
        }
        // The end of file is what the forwarder waits for.
        self.socket = None;
        self.pending = Vec::new();
        self.sent = 0;
        result
    }
}
