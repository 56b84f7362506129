//! One attached client: a socket, what it wants, and what it has not taken yet.
//!
//! ```text
//! in front   was there before the process: `run`, `start -a`, exec. Its output is nobody else's, so the process waits
//!            for it, as a program waits for the reader of its pipe. It misses nothing.
//! beside     came while the process ran: `attach`. It may be BEHIND_BYTES behind. Then the process waits, for as long as
//!            half of that is taken within PATIENCE; after that no longer: what is written until the client has
//!            taken what waits for it is left out, and it is told how much that was.
//! ```
//!
//! So who only looks on can throttle a process to a quarter of its buffer a second, and stall it for two. Docker waits for
//! each without end, and then the log waits, too.

use std::fs::File;
use std::io::{IoSlice, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use logs::Stream;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, sendmsg, shutdown};

use super::detach::DetachKeys;
use crate::protocol::{Client as Wants, Framing};

/// What may wait for a client that came later. Small, since a monitor has it for each that is behind.
const BEHIND_BYTES: usize = 256 * 1024;

/// How long the process waits at a time for one that has so much waiting.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    place: Place,
    pace: Pace,
    stdout: bool,
    stderr: bool,
    framing: Framing,
    keys: DetachKeys,
    /// Still sends us input.
    pub(super) reads: bool,
    /// Output that did not fit into the socket; empty nearly always, and then without memory.
    pending: Vec<u8>,
    /// How much of `pending` has been sent.
    sent: usize,
    /// Output has ended: waits for the other side to go, so that closing does not break off what it still
    /// has to read.
    pub(super) farewell: bool,
    /// The interest that epoll knows.
    pub(super) armed: rustix::event::epoll::EventFlags,
}

/// When a client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the process.
    InFront,
    /// While it ran.
    Beside,
}

/// How a client beside keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Well,
    /// The process waits for it.
    WaitedFor {
        until: Instant,
    },
    /// Nobody does. So many bytes were left out. Something is still `pending`.
    LeftBehind {
        missed: u64,
    },
}

/// The other side can not be written to any more.
#[derive(Debug)]
pub(super) struct Broken;

/// What reading from a client gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Some,
    Nothing,
    End,
    Detached,
}

impl Client {
    /// Also gives the input that came before the socket was handed over.
    pub(super) fn new(
        wants: Wants,
        socket: OwnedFd,
        input: Option<OwnedFd>,
        place: Place,
        has_stdin: bool,
    ) -> (Self, Vec<u8>) {
        let mut early = Vec::new();
        if let Some(input) = input {
            let mut file = File::from(input);
            // Best effort: a memfd that the engine has just written does not fail to be read.
            let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut early));
        }
        let client = Self {
            socket,
            place,
            pace: Pace::Well,
            stdout: wants.stdout,
            stderr: wants.stderr,
            framing: wants.framing,
            keys: DetachKeys::new(wants.detach_keys),
            reads: wants.stdin && has_stdin,
            pending: Vec::new(),
            sent: 0,
            farewell: false,
            armed: rustix::event::epoll::EventFlags::empty(),
        };
        (client, early)
    }

    pub(super) fn wants(&self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
            // What one client types is no output for another.
            Stream::Stdin => false,
        }
    }

    pub(super) fn wants_output(&self) -> bool {
        self.stdout || self.stderr
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The process is not read from until this has taken more.
    pub(super) fn is_waited_for(&self) -> bool {
        match self.place {
            Place::InFront => self.is_behind(),
            Place::Beside => matches!(self.pace, Pace::WaitedFor { .. }),
        }
    }

    pub(super) fn patience_ends(&self) -> Option<Instant> {
        match self.pace {
            Pace::WaitedFor { until } => Some(until),
            Pace::Well | Pace::LeftBehind { .. } => None,
        }
    }

    pub(super) fn lose_patience(&mut self, now: Instant) {
        if self.patience_ends().is_some_and(|until| until <= now) {
            self.pace = Pace::LeftBehind { missed: 0 };
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.pending.len() - self.sent
    }

    /// Sends one chunk, or as much of it as the socket takes now; the rest waits in `pending`, or is left out.
    pub(super) fn write(&mut self, stream: Stream, chunk: &[u8]) -> Result<(), Broken> {
        if let Pace::LeftBehind { missed } = &mut self.pace {
            *missed += chunk.len() as u64;
            return Ok(());
        }
        let header = header(stream, chunk.len());
        let header: &[u8] = if self.framing == Framing::Multiplexed { &header } else { &[] };
        let mut taken = 0;
        if !self.is_behind() {
            let parts = [IoSlice::new(header), IoSlice::new(chunk)];
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            taken = match retry(|| sendmsg(&self.socket, &parts, &mut Default::default(), flags)) {
                Ok(taken) => taken,
                Err(Errno::AGAIN) => 0,
                Err(_) => return Err(Broken),
            };
        }
        let total = header.len() + chunk.len();
        if taken < total {
            // One that is always a little behind must not keep what it has had.
            if self.sent > self.pending.len() / 2 {
                self.pending.drain(..std::mem::take(&mut self.sent));
            }
            self.pending.extend_from_slice(header.get(taken..).unwrap_or_default());
            self.pending.extend_from_slice(&chunk[taken.saturating_sub(header.len())..]);
        }
        if self.place == Place::Beside && self.pace == Pace::Well && self.waiting_bytes() >= BEHIND_BYTES {
            self.pace = Pace::WaitedFor { until: Instant::now() + PATIENCE };
        }
        Ok(())
    }

    /// Sends what waits; true when nothing does any more.
    pub(super) fn flush(&mut self) -> Result<bool, Broken> {
        while self.sent < self.pending.len() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match retry(|| send(&self.socket, &self.pending[self.sent..], flags)) {
                Ok(taken) => self.sent += taken,
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(Broken),
            }
            if self.waiting_bytes() == 0 {
                self.pending = Vec::new();
                self.sent = 0;
                if let Pace::LeftBehind { missed } = self.pace {
                    self.pace = Pace::Well;
                    self.tell_of_gap(missed);
                }
            }
        }
        if matches!(self.pace, Pace::WaitedFor { .. }) && self.waiting_bytes() <= BEHIND_BYTES / 2 {
            self.pace = Pace::Well;
        }
        Ok(!self.is_behind())
    }

    /// Where the output goes on. On stderr, where there are two: what a program reads is not written into.
    fn tell_of_gap(&mut self, missed: u64) {
        if missed == 0 {
            return;
        }
        let text = format!(
            "\r\n[wharf: {missed} bytes of output were left out here, they were not read in time]\r\n"
        );
        if self.framing == Framing::Multiplexed {
            self.pending.extend_from_slice(&header(Stream::Stderr, text.len()));
        }
        self.pending.extend_from_slice(text.as_bytes());
    }

    /// Reads once into `scratch`, and appends what is for the container to `through`.
    pub(super) fn read(&mut self, scratch: &mut [u8], through: &mut Vec<u8>) -> Input {
        match retry(|| recv(&self.socket, &mut scratch[..], RecvFlags::DONTWAIT)) {
            Ok((0, _)) => Input::End,
            Ok((length, _)) => self.typed(&scratch[..length], through),
            Err(Errno::AGAIN) => Input::Nothing,
            Err(_) => Input::End,
        }
    }

    pub(super) fn typed(&mut self, bytes: &[u8], through: &mut Vec<u8>) -> Input {
        if self.keys.filter(bytes, through) { Input::Detached } else { Input::Some }
    }

    /// End of output for the other side, which may still read what was sent.
    pub(super) fn end(&mut self, scratch: &mut [u8]) {
        self.farewell = true;
        let _ = shutdown(&self.socket, Shutdown::Write);
        self.discard_input(scratch);
    }

    /// Takes input nobody wants: closing a socket with unread input resets it. True at its end.
    pub(super) fn discard_input(&mut self, scratch: &mut [u8]) -> bool {
        loop {
            match retry(|| recv(&self.socket, &mut scratch[..], RecvFlags::DONTWAIT)) {
                Ok((0, _)) => return true,
                Ok(_) => {}
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
    }
}

/// Docker's, before each chunk.
fn header(stream: Stream, length: usize) -> [u8; 8] {
    let number = if stream == Stream::Stdout { 1 } else { 2 };
    let [a, b, c, d] = (length as u32).to_be_bytes();
    [number, 0, 0, 0, a, b, c, d]
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(&mut call)
}
