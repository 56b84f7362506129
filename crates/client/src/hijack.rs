//! The connection after the upgrade: bytes both ways, and Docker's frames around output without a tty.
//!
//! ```text
//! frame  = kind (0 stdin, 1 stdout, 2 stderr, 3 error of the engine) · 0 0 0 · length, 32 bits big-endian · bytes
//! ```

use crate::connection::{ReadHalf, Stream, WriteHalf};
use crate::stream::UNEXPECTED_EOF;
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A connection that is no longer HTTP. Closing its write half tells the process that stdin has ended.
#[derive(Debug)]
pub struct Hijacked {
    stream: Stream,
    /// What came with the end of the response's header; it precedes what is read from the stream.
    leftover: Bytes,
    multiplexed: bool,
}

impl Hijacked {
    pub(crate) fn new(stream: Stream, leftover: Bytes, multiplexed: bool) -> Self {
        Self { stream, leftover, multiplexed }
    }

    /// The engine said that output comes in frames. Engines before API 1.42 do not say: then the container's
    /// `Tty` decides.
    pub fn is_multiplexed(&self) -> bool {
        self.multiplexed
    }

    /// Bytes already received, then the two directions.
    pub fn into_split(self) -> (Bytes, ReadHalf, WriteHalf) {
        let (read, write) = self.stream.into_split();
        (self.leftover, read, write)
    }

    /// Bytes already received, and the socket itself.
    pub fn into_stream(self) -> (Bytes, Stream) {
        (self.leftover, self.stream)
    }
}

/// Which stream a piece of output belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    Stdin,
    Stdout,
    Stderr,
    /// The engine's own complaint, at the end of a stream.
    SystemError,
}

impl FrameKind {
    fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Stdin),
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            3 => Some(Self::SystemError),
            _ => None,
        }
    }
}

/// Takes frames apart. Payload is passed on as it arrives, not gathered, so a frame may come in several pieces.
#[derive(Debug)]
pub struct Demultiplexer<R> {
    from: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Of the current frame.
    kind: FrameKind,
    left: usize,
}

/// Room for several pipe-fuls, so that bulk output costs few system calls.
const BUFFER_BYTES: usize = 256 * 1024;
const HEADER_BYTES: usize = 8;

impl<R: AsyncRead + Unpin> Demultiplexer<R> {
    /// `leftover`: what was read from `from` already.
    pub fn new(from: R, leftover: &[u8]) -> Self {
        let mut buffer = vec![0; BUFFER_BYTES.max(leftover.len())];
        buffer[..leftover.len()].copy_from_slice(leftover);
        Self { from, buffer, start: 0, end: leftover.len(), kind: FrameKind::Stdout, left: 0 }
    }

    /// The next piece; `None` at the end. An end within a frame is an error.
    pub async fn next(&mut self) -> io::Result<Option<(FrameKind, &[u8])>> {
        while self.left == 0 {
            if self.end - self.start < HEADER_BYTES {
                let at_boundary = self.end == self.start;
                if self.fill().await? == 0 {
                    return if at_boundary { Ok(None) } else { Err(cut()) };
                }
                continue;
            }
            let header = &self.buffer[self.start..self.start + HEADER_BYTES];
            let unknown =
                || io::Error::new(io::ErrorKind::InvalidData, format!("unrecognized stream: {}", header[0]));
            self.kind = FrameKind::of(header[0]).ok_or_else(unknown)?;
            self.left = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
            self.start += HEADER_BYTES;
        }
        if self.start == self.end && self.fill().await? == 0 {
            return Err(cut());
        }
        let length = self.left.min(self.end - self.start);
        let piece = self.start..self.start + length;
        self.start += length;
        self.left -= length;
        Ok(Some((self.kind, &self.buffer[piece])))
    }

    /// As [`Demultiplexer::next`], with what follows in frames of the same kind, as far as it is here already: a log has a frame
    /// for each line, and a write for each would cost more than all the rest.
    pub async fn next_run(&mut self) -> io::Result<Option<(FrameKind, &[u8])>> {
        let Some((kind, piece)) = self.next().await? else { return Ok(None) };
        let length = piece.len();
        let from = self.start - length;
        let mut end = self.start;
        // Headers between pieces are closed over by moving the pieces together.
        while self.left == 0 && self.end - self.start > HEADER_BYTES {
            let header = &self.buffer[self.start..self.start + HEADER_BYTES];
            if FrameKind::of(header[0]) != Some(kind) {
                break;
            }
            let frame = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
            self.start += HEADER_BYTES;
            let here = frame.min(self.end - self.start);
            self.buffer.copy_within(self.start..self.start + here, end);
            self.start += here;
            end += here;
            self.left = frame - here;
        }
        Ok(Some((kind, &self.buffer[from..end])))
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let read = self.from.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read)
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, UNEXPECTED_EOF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0];
        out.extend((payload.len() as u32).to_be_bytes());
        out.extend(payload);
        out
    }

    async fn read_all(bytes: &[u8], split: usize) -> io::Result<Vec<(FrameKind, Vec<u8>)>> {
        let (head, tail) = bytes.split_at(split);
        let mut demultiplexer = Demultiplexer::new(tail, head);
        let mut out: Vec<(FrameKind, Vec<u8>)> = Vec::new();
        while let Some((kind, piece)) = demultiplexer.next().await? {
            match out.last_mut() {
                Some((last, bytes)) if *last == kind => bytes.extend(piece),
                _ => out.push((kind, piece.to_vec())),
            }
        }
        Ok(out)
    }

    #[tokio::test]
    async fn frames_come_apart_wherever_they_are_cut() {
        let bytes = [frame(1, b"hello"), frame(1, b""), frame(2, b"oops"), frame(3, b"lost")].concat();
        for split in 0..=bytes.len() {
            let got = read_all(&bytes, split).await.unwrap();
            assert_eq!(
                got,
                [
                    (FrameKind::Stdout, b"hello".to_vec()),
                    (FrameKind::Stderr, b"oops".to_vec()),
                    (FrameKind::SystemError, b"lost".to_vec())
                ]
            );
        }
        assert!(read_all(&bytes[..10], 0).await.is_err(), "an end within a frame");
        assert!(read_all(&bytes[..3], 0).await.is_err(), "an end within a header");
        assert!(read_all(b"{\"message\"", 0).await.is_err(), "not frames at all");
    }
}
