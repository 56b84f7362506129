//! One attached client: a socket, what it wants, and what it has not taken yet.

use std::fs::File;
use std::io::{IoSlice, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use logs::Stream;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, sendmsg, shutdown};

use super::detach::DetachKeys;
use crate::protocol::{Client as Wants, Framing};

#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
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

    /// Sends one chunk, or as much of it as the socket takes now; the rest waits in `pending`.
    pub(super) fn write(&mut self, stream: Stream, chunk: &[u8]) -> Result<(), Broken> {
        let header = match self.framing {
            Framing::Multiplexed => {
                let number = if stream == Stream::Stdout { 1 } else { 2 };
                let length = (chunk.len() as u32).to_be_bytes();
                [number, 0, 0, 0, length[0], length[1], length[2], length[3]]
            }
            Framing::Raw => [0; 8],
        };
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
            self.pending.extend_from_slice(header.get(taken..).unwrap_or_default());
            self.pending.extend_from_slice(&chunk[taken.saturating_sub(header.len())..]);
        }
        Ok(())
    }

    /// Sends what waits; true when nothing does any more.
    pub(super) fn flush(&mut self) -> Result<bool, Broken> {
        while self.sent < self.pending.len() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match retry(|| send(&self.socket, &self.pending[self.sent..], flags)) {
                Ok(taken) => self.sent += taken,
                Err(Errno::AGAIN) => return Ok(false),
                Err(_) => return Err(Broken),
            }
        }
        self.pending = Vec::new();
        self.sent = 0;
        Ok(true)
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

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(&mut call)
}
