//! Between a monitor and its forwarder: a socket, and a file for what does not fit into the socket any more when the
//! monitor ends.
//!
//! ```text
//! monitor ◄── 0, or 1 and why not ── forwarder     connected to the collector, or not
//! monitor ─── frames ──────────────► forwarder
//! monitor ─── end of file ─────────► forwarder     reads the rest in the file, sends it, ends
//! ```
//!
//! A frame: length of the text (u32), stream, flags, ordinal (u32), nanoseconds since 1970 (i64), then with [`PARTIAL`]
//! the id of the line (32 bytes), then the text. Both are the same program: the order of bytes is the machine's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jiff::Timestamp;
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

use super::inbox::Record;
use crate::split::{Partial, Piece};
use crate::stream::Stream;

/// One end.
#[derive(Debug)]
pub struct Pipe {
    pub(super) socket: OwnedFd,
    /// The same file for both.
    pub(super) rest: OwnedFd,
}

impl Pipe {
    /// The monitor's end and the forwarder's.
    ///
    /// # Errors
    ///
    /// What the system says to one more socket or file.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let rest = rustix::fs::memfd_create("wharf-log", MemfdFlags::CLOEXEC)?;
        Ok((Self { socket: ours, rest: rest.try_clone()? }, Self { socket: theirs, rest }))
    }

    /// What a forwarder that was forked off must keep open, and nothing else.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.socket.as_fd(), self.rest.as_fd()]
    }

    /// Waits until the forwarder has connected.
    pub(super) fn wait_ready(&self) -> io::Result<()> {
        let mut said = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((0, _)) => break,
                Ok((length, _)) => said.extend_from_slice(&buffer[..length]),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            }
            if said.first() == Some(&READY) {
                return Ok(());
            }
        }
        match said.split_first() {
            Some((_, why)) => Err(io::Error::other(String::from_utf8_lossy(why).into_owned())),
            None => Err(io::Error::other("the log forwarder was killed")),
        }
    }
}

pub(super) const READY: u8 = 0;
pub(super) const FAILED: u8 = 1;

pub(super) const HEADER_BYTES: usize = 18;
const ID_BYTES: usize = 32;
const ENDS_LINE: u8 = 1;
const PARTIAL: u8 = 2;
const LAST: u8 = 4;

pub(super) fn encode(out: &mut Vec<u8>, stream: Stream, piece: &Piece<'_>) {
    let mut flags = if piece.ends_line { ENDS_LINE } else { 0 };
    if let Some(partial) = &piece.partial {
        flags |= PARTIAL | if partial.last { LAST } else { 0 };
    }
    out.extend_from_slice(&(piece.text.len() as u32).to_ne_bytes());
    out.extend_from_slice(&[stream as u8, flags]);
    out.extend_from_slice(&piece.partial.map_or(0, |partial| partial.ordinal).to_ne_bytes());
    out.extend_from_slice(&(piece.time.as_nanosecond() as i64).to_ne_bytes());
    if let Some(partial) = &piece.partial {
        out.extend_from_slice(&partial.id);
    }
    out.extend_from_slice(piece.text);
}

/// How long the frame is that begins here, if that can be said already.
pub(super) fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER_BYTES)?;
    let text = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
    Some(HEADER_BYTES + if header[5] & PARTIAL != 0 { ID_BYTES } else { 0 } + text)
}

/// A whole frame.
pub(super) fn decode(frame: &[u8], record: &mut Record) {
    let number = |at: usize| u32::from_ne_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
    let flags = frame[5];
    record.stream = match frame[4] {
        0 => Stream::Stdin,
        1 => Stream::Stdout,
        _ => Stream::Stderr,
    };
    let mut nanos = [0; 8];
    nanos.copy_from_slice(&frame[10..18]);
    record.time = Timestamp::from_nanosecond(i128::from(i64::from_ne_bytes(nanos))).unwrap_or_default();
    let mut text = &frame[HEADER_BYTES..];
    record.partial = None;
    if flags & PARTIAL != 0
        && let Some((id, rest)) = text.split_first_chunk::<ID_BYTES>()
    {
        record.partial = Some(Partial { id: *id, ordinal: number(6), last: flags & LAST != 0 });
        text = rest;
    }
    record.text.clear();
    record.text.extend_from_slice(text);
}
