//! The forwarder's side of the pipe: the next record, and all waiting for anything else.
//!
//! Whatever a driver waits for (a connection, room in a socket, its next try), it waits here, so that two things are
//! never missed: that the monitor has ended, after which there is [`LINGER`] for all that is left; and, for a driver
//! that buffers, that more records came.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::pipe::{self, Pipe};
use crate::split::Partial;
use crate::stream::Stream;

/// How long a forwarder may go on after its monitor, as Docker gives a driver to close.
const LINGER: Duration = Duration::from_secs(10);

const BLOCK_BYTES: usize = 64 * 1024;

/// One record on its way to a collector.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stream: Stream,
    pub(super) time: Timestamp,
    /// Without its newline.
    pub(super) text: Vec<u8>,
    pub(super) partial: Option<Partial>,
}

impl Record {
    pub(super) fn new() -> Self {
        Self { stream: Stream::Stdout, time: Timestamp::UNIX_EPOCH, text: Vec::new(), partial: None }
    }
}

#[derive(Debug)]
pub(super) struct Inbox {
    socket: OwnedFd,
    /// Until it has been read.
    rest: Option<File>,
    /// Frames not given out yet: `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    /// How far `buffer` has been counted, and how many frames that are.
    counted: usize,
    frames: usize,
    /// Take records while waiting, up to so many, and drop the rest; 0 for a driver that does not buffer.
    frames_max: usize,
    ended: bool,
    /// Set once the monitor has ended.
    until: Option<Instant>,
}

impl Inbox {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self {
            socket: pipe.socket,
            rest: Some(File::from(pipe.rest)),
            buffer: Vec::new(),
            start: 0,
            counted: 0,
            frames: 0,
            frames_max: 0,
            ended: false,
            until: None,
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// From now on records are taken while the driver waits.
    pub(super) fn buffer_up_to(&mut self, frames: usize) {
        self.frames_max = frames;
    }

    /// No more time for anything.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The next record; false at the end.
    pub(super) fn next(&mut self, record: &mut Record) -> io::Result<bool> {
        loop {
            if let Some(length) = pipe::frame_bytes(&self.buffer[self.start..])
                && let Some(frame) = self.buffer.get(self.start..self.start + length)
            {
                pipe::decode(frame, record);
                self.start += length;
                self.counted = self.counted.max(self.start);
                self.frames = self.frames.saturating_sub(1);
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            self.receive(RecvFlags::empty())?;
        }
    }

    /// One read; false if there is nothing now.
    fn receive(&mut self, flags: RecvFlags) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.counted = self.counted.saturating_sub(self.start);
            self.start = 0;
        }
        let held = self.buffer.len();
        self.buffer.resize(held + BLOCK_BYTES, 0);
        let result = loop {
            match recv(&self.socket, &mut self.buffer[held..], flags) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        let read = match result {
            Ok((read, _)) => read,
            Err(Errno::AGAIN) => {
                self.buffer.truncate(held);
                return Ok(false);
            }
            Err(e) => {
                self.buffer.truncate(held);
                return Err(e.into());
            }
        };
        self.buffer.truncate(held + read);
        if read == 0 {
            self.monitor_has_ended();
            self.ended = true;
            if let Some(mut rest) = self.rest.take() {
                rest.seek(SeekFrom::Start(0))?;
                rest.read_to_end(&mut self.buffer)?;
            }
        }
        Ok(true)
    }

    fn monitor_has_ended(&mut self) {
        self.until = self.until.or_else(|| Some(Instant::now() + LINGER));
    }

    /// Takes what is there, and drops what is too much.
    fn soak(&mut self) -> io::Result<()> {
        while !self.ended && self.receive(RecvFlags::DONTWAIT)? {
            while let Some(length) = pipe::frame_bytes(&self.buffer[self.counted..]) {
                if self.buffer.len() < self.counted + length {
                    break;
                }
                if self.frames < self.frames_max {
                    self.counted += length;
                    self.frames += 1;
                } else {
                    self.buffer.drain(self.counted..self.counted + length);
                }
            }
        }
        Ok(())
    }

    /// Waits until `fd` is ready.
    ///
    /// # Errors
    ///
    /// `TimedOut`: after `timeout`, or when there is no more time at all ([`Inbox::is_over`]).
    pub(super) fn wait(
        &mut self,
        fd: BorrowedFd<'_>,
        what: PollFlags,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.poll(Some((fd, what)), timeout)
    }

    /// Lets time pass; an error only when there is no more of it at all.
    pub(super) fn sleep(&mut self, time: Duration) -> io::Result<()> {
        match self.poll(None, Some(time)) {
            Err(e) if e.kind() == io::ErrorKind::TimedOut && !self.is_over() => Ok(()),
            other => other,
        }
    }

    fn poll(&mut self, fd: Option<(BorrowedFd<'_>, PollFlags)>, timeout: Option<Duration>) -> io::Result<()> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let now = Instant::now();
            let nearest = [deadline, self.until].into_iter().flatten().min();
            let left = nearest.map(|at| at.saturating_duration_since(now));
            if left == Some(Duration::ZERO) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let left = left
                .map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
            let (hung_up, more, ready) = {
                // The end of the monitor is reported without being asked for, once is enough.
                let watch = (self.until.is_none(), self.frames_max > 0 && !self.ended);
                let mut fds = Vec::with_capacity(2);
                if watch.0 || watch.1 {
                    let what = if watch.1 { PollFlags::IN } else { PollFlags::empty() };
                    fds.push(PollFd::new(&self.socket, what));
                }
                if let Some((fd, what)) = &fd {
                    fds.push(PollFd::new(fd, *what));
                }
                match poll(&mut fds, left.as_ref()) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
                let monitor = if watch.0 || watch.1 { fds[0].revents() } else { PollFlags::empty() };
                let ready = fd.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
                (monitor.contains(PollFlags::HUP), monitor.contains(PollFlags::IN), ready)
            };
            if hung_up {
                self.monitor_has_ended();
            }
            if (more || hung_up) && self.frames_max > 0 {
                self.soak()?;
            }
            if ready {
                return Ok(());
            }
        }
    }
}
