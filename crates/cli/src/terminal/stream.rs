//! Between the user's stdin, stdout, stderr and a process's connection.
//!
//! Two plain threads with blocking reads and writes: one for output, one for input when it is wanted. A reader of our
//! stdout that has stopped reading (`| less`) must not stop signals from being passed on, so the event loop takes no
//! part in it; and a thread that copies is the fastest there is. They end with the process, never joined: a read of a
//! terminal cannot be interrupted.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use client::{Hijacked, Stream};
use rustix::net::{Shutdown, shutdown};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::keys::{self, Scanner};
use super::{Raw, restore};
use crate::failure::Failure;

/// Which streams, and how.
#[derive(Debug, Clone)]
pub(crate) struct Wants {
    pub(crate) stdin: bool,
    pub(crate) output: bool,
    pub(crate) tty: bool,
    /// As the user writes them; empty for the default.
    pub(crate) detach_keys: String,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The process closed its output, or nothing more is to come.
    Done,
    /// The user typed the detach keys.
    Detached,
    /// The connection or the output broke.
    Broken(io::Error),
}

/// A session at work. The terminal is in raw mode as long as this lives.
#[derive(Debug)]
pub(crate) struct Session {
    ends: UnboundedReceiver<End>,
    socket: Arc<File>,
    output: bool,
    _raw: Option<Raw>,
}

impl Session {
    /// Starts copying.
    pub(crate) fn start(connection: Hijacked, wants: &Wants) -> Result<Self, Failure> {
        let keys = keys::parse(&wants.detach_keys)
            .map_err(|error| Failure::new(format!("invalid detach keys ({}): {error}", wants.detach_keys)))?;
        let multiplexed = connection.is_multiplexed() || !wants.tty;
        let (early, stream) = connection.into_stream();
        let socket = blocking(stream)?;
        let to_process = Arc::new(socket.try_clone()?);
        let raw = if wants.stdin && wants.tty { Raw::enter() } else { None };
        let (tell, ends) = unbounded_channel();
        let leaves = Arc::new(AtomicBool::new(false));
        if wants.output {
            let (tell, leaves) = (tell.clone(), leaves.clone());
            thread("output", move || {
                let (mut socket, mut buffer) = (socket, vec![0; BUFFER_BYTES.max(early.len())]);
                buffer[..early.len()].copy_from_slice(&early);
                let end = match copy_output(&mut socket, &mut buffer, early.len(), multiplexed) {
                    // The engine hangs up on who leaves.
                    Ok(()) if leaves.load(Ordering::SeqCst) => return,
                    Ok(()) => End::Done,
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                        // Nobody reads our output: end as a program does that SIGPIPE kills.
                        restore();
                        std::process::exit(128 + 13);
                    }
                    Err(error) => End::Broken(error),
                };
                // First of all: giving back what was used takes longer than the rest of a short life.
                let _ = tell.send(end);
                drop((socket, buffer));
            })?;
        }
        if wants.stdin {
            let scanner = wants.tty.then(|| Scanner::new(keys));
            let last = !wants.output;
            let to_process = to_process.clone();
            thread("input", move || copy_input(&to_process, scanner, &tell, &leaves, last))?;
        } else {
            let _ = shutdown(&to_process, Shutdown::Write);
        }
        Ok(Self { ends, socket: to_process, output: wants.output, _raw: raw })
    }

    /// Hangs up, and resolves when all that came has been written: what is said then stands behind it.
    pub(crate) async fn hang_up(mut self) {
        let _ = shutdown(&self.socket, Shutdown::Both);
        if self.output {
            self.ended().await;
        }
    }

    /// Resolves when it is over.
    pub(crate) async fn ended(&mut self) -> End {
        match self.ends.recv().await {
            Some(end) => end,
            None => End::Done,
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).stack_size(128 * 1024).spawn(run).map(drop)
}

/// The socket as a file with blocking reads and writes.
fn blocking(stream: Stream) -> io::Result<File> {
    let fd: OwnedFd = match stream {
        Stream::Unix(stream) => stream.into_std()?.into(),
        Stream::Tcp(stream) => stream.into_std()?.into(),
    };
    rustix::io::ioctl_fionbio(&fd, false)?;
    Ok(File::from(fd))
}

const BUFFER_BYTES: usize = 256 * 1024;
const HEADER_BYTES: usize = 8;

/// Copies to stdout, or by frames to stdout and stderr (`docs/add-an-endpoint.md` draws the frame). The buffer begins
/// with `end` bytes that were read before.
fn copy_output(from: &mut File, buffer: &mut [u8], mut end: usize, multiplexed: bool) -> io::Result<()> {
    let (mut out, mut err) = (raw_file(rustix::stdio::stdout())?, raw_file(rustix::stdio::stderr())?);
    let mut start = 0;
    let (mut kind, mut left) = (1u8, 0usize);
    loop {
        while start < end {
            if !multiplexed {
                out.write_all(&buffer[start..end])?;
                start = end;
                break;
            }
            if left == 0 {
                if end - start < HEADER_BYTES {
                    break;
                }
                let header = &buffer[start..start + HEADER_BYTES];
                kind = header[0];
                left = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
                start += HEADER_BYTES;
                continue;
            }
            let piece = &buffer[start..end.min(start + left)];
            match kind {
                0 | 1 => out.write_all(piece)?,
                2 => err.write_all(piece)?,
                3 => {
                    return Err(io::Error::other(format!(
                        "error from daemon in stream: {}",
                        String::from_utf8_lossy(piece)
                    )));
                }
                other => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        format!("unrecognized stream: {other}"),
                    ));
                }
            }
            start += piece.len();
            left -= piece.len();
        }
        buffer.copy_within(start..end, 0);
        end -= start;
        start = 0;
        match from.read(&mut buffer[end..]) {
            Ok(0) => return Ok(()),
            Ok(read) => end += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// An unbuffered file of our own for a standard stream.
fn raw_file(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(fd.try_clone_to_owned()?))
}

fn copy_input(
    mut to: &File,
    mut scanner: Option<Scanner>,
    tell: &UnboundedSender<End>,
    leaves: &AtomicBool,
    last: bool,
) {
    let Ok(mut from) = raw_file(rustix::stdio::stdin()) else { return };
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let typed = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let sent = match &mut scanner {
            None => to.write_all(typed),
            Some(scanner) => {
                let (through, detach) = scanner.feed(typed);
                let sent = to.write_all(&through);
                if detach {
                    // The process does not get them: they tell the engine that this is no broken connection.
                    leaves.store(true, Ordering::SeqCst);
                    let _ = to.write_all(scanner.keys());
                    restore();
                    let _ = tell.send(End::Detached);
                    return;
                }
                sent
            }
        };
        if sent.is_err() {
            // The output side sees the same break, and says what it was.
            break;
        }
    }
    let _ = shutdown(to, Shutdown::Write);
    if last {
        let _ = tell.send(End::Done);
    }
}
