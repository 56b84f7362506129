//! Reading a container's log: `docker logs`, and the past that `attach --logs` begins with.
//!
//! A task per reader. Reading may wait for the disk and is done where that is allowed; between two writes a follower
//! is only a task that waits for inotify, its container's end and its client's, so that an idle one costs nothing.
//! A bounded channel carries the lines to the server: a slow client slows only its own reader.

use std::collections::VecDeque;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::{AttachRequest, Container, LogLine, LogStream, LogsRequest, RenderLine, Stream};
use crate::container::index::{Handle, Published};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::layout;
use crate::ports::Clock;

/// Chunks in flight between reader and client, each of up to so many bytes: enough to keep both busy.
const CHANNEL: usize = 4;
const CHUNK_BYTES: usize = 256 << 10;

pub(crate) fn open(
    core: &Core,
    handle: &Handle,
    request: LogsRequest,
    render: impl FnOnce(bool) -> RenderLine,
) -> Result<LogStream> {
    let view = handle.view();
    kept(&view)?;
    let pattern = request.grep.as_deref().map(logs::Pattern::new).transpose();
    let pattern = pattern.map_err(|error| Error::invalid(error.to_string()))?;
    let (sender, chunks) = mpsc::channel(CHANNEL);
    let published = handle.published.clone();
    let tty = view.spec.tty;
    let clock = core.ports.clock.clone();
    let lines = Lines::new(request.clone(), pattern, render(tty));
    tokio::spawn(async move {
        if let Err(error) = read(&view, request, lines, published, &sender, &*clock).await {
            // Nobody to tell when the client has gone.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(LogStream { tty, chunks })
}

/// Where the container's records can be read, and how.
fn kept(view: &Container) -> Result<(PathBuf, logs::Format)> {
    layout::kept_log(&view.directory, &view.id, &view.log_driver, &view.spec.host.log.options)
        .ok_or_else(|| Error::unsupported("configured logging driver does not support reading"))
}

/// Forget the records of a container that does not run.
pub(crate) async fn clear(view: &Arc<Container>) -> Result<()> {
    let (path, _) = kept(view)?;
    let cleared = blocking(move || logs::clear(&path)).await;
    cleared.map_err(|error| {
        Error::internal(format!("could not clear the log of container {}: {error}", view.id))
    })
}

/// Whether there is anything to forget.
pub(crate) fn readable(view: &Container) -> Result<()> {
    kept(view).map(|_| ())
}

fn query(request: &LogsRequest) -> logs::Query {
    // Matching lines are counted here.
    let tail = request.tail.filter(|_| request.grep.is_none());
    logs::Query {
        tail: tail.map_or(logs::Tail::All, |lines| logs::Tail::Last(lines as u64)),
        since: request.since,
        until: request.until,
        follow: request.follow,
    }
}

fn failed(view: &Container, error: std::io::Error) -> Error {
    Error::internal(format!("could not read the log of container {}: {error}", view.id))
}

async fn read(
    view: &Arc<Container>,
    request: LogsRequest,
    mut lines: Lines,
    mut published: watch::Receiver<Published>,
    sender: &mpsc::Sender<Result<Vec<u8>>>,
    clock: &dyn Clock,
) -> Result<()> {
    let ((path, format), asked) = (kept(view)?, query(&request));
    let opened = blocking(move || logs::Reader::open(&path, format, asked)).await;
    let mut reader = opened.map_err(|error| failed(view, error))?;
    let events = match reader.event_fd() {
        // A copy of the descriptor: the reader goes to and fro between threads meanwhile.
        Some(events) => {
            Some(events.try_clone_to_owned().and_then(watched).map_err(|error| failed(view, error))?)
        }
        None => None,
    };
    let left =
        request.until.map(|until| Duration::try_from(until.duration_since(clock.now())).unwrap_or_default());
    let mut until = left.filter(|_| request.follow).map(|left| clock.sleep(left));
    let mut last = !request.follow;
    loop {
        // Asked before reading: what is written before the end is then surely seen.
        last = last || published.has_changed().is_err() || {
            let now = published.borrow_and_update();
            now.removed || !now.view.state.is_running()
        };
        let sender_ = sender.clone();
        let (back, lines_, all_sent) = blocking(move || {
            let sent = send_what_is_there(&mut reader, &mut lines, &sender_);
            (reader, lines, sent)
        })
        .await;
        (reader, lines) = (back, lines_);
        if !all_sent.map_err(|error| failed(view, error))? || last || reader.is_finished() {
            return Ok(());
        }
        let Some(events) = &events else { return Ok(()) };
        tokio::select! {
            ready = events.readable() => ready.map_err(|error| failed(view, error))?.clear_ready(),
            // An error is the end as well: its task has gone.
            _ = published.changed() => {}
            () = sender.closed() => return Ok(()),
            () = async { match &mut until { Some(until) => until.await, None => std::future::pending().await } } => {
                until = None;
                last = true;
            }
        }
    }
}

/// Registers a descriptor with the event loop.
#[expect(
    deprecated,
    reason = "its successor asks for a promise that holds here: the descriptor is owned for life and names no other"
)]
fn watched(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

/// False when the client has gone.
fn send_what_is_there(
    reader: &mut logs::Reader,
    lines: &mut Lines,
    sender: &mpsc::Sender<Result<Vec<u8>>>,
) -> std::io::Result<bool> {
    reader.clear_events()?;
    while let Some(entry) = reader.next_entry()? {
        lines.take(entry);
        if lines.chunk.len() >= CHUNK_BYTES && sender.blocking_send(Ok(lines.chunk())).is_err() {
            return Ok(false);
        }
    }
    lines.release();
    if lines.chunk.is_empty() {
        return Ok(!sender.is_closed());
    }
    Ok(sender.blocking_send(Ok(lines.chunk())).is_ok())
}

/// From entries to what a client gets.
struct Lines {
    request: LogsRequest,
    pattern: Option<logs::Pattern>,
    render: RenderLine,
    chunk: Vec<u8>,
    /// The last matching lines, as long as it is not known that no more come (`tail` with `grep`).
    held: Option<VecDeque<Vec<u8>>>,
}

impl Lines {
    fn new(request: LogsRequest, pattern: Option<logs::Pattern>, render: RenderLine) -> Self {
        let held = (request.tail.is_some() && pattern.is_some()).then(VecDeque::new);
        Self { request, pattern, render, chunk: Vec::new(), held }
    }

    fn take(&mut self, entry: logs::Entry<'_>) {
        let Some(line) = line(entry, &self.request) else { return };
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_in(line.bytes())) {
            return;
        }
        let Some(held) = &mut self.held else { return (self.render)(&line, &mut self.chunk) };
        let mut rendered = Vec::new();
        (self.render)(&line, &mut rendered);
        held.push_back(rendered);
        if held.len() > self.request.tail.unwrap_or_default() {
            held.pop_front();
        }
    }

    /// The past has been read.
    fn release(&mut self) {
        for line in self.held.take().into_iter().flatten() {
            self.chunk.extend_from_slice(&line);
        }
    }

    /// What has been gathered; the next is likely to be as large.
    fn chunk(&mut self) -> Vec<u8> {
        let capacity = if self.chunk.len() >= CHUNK_BYTES { self.chunk.capacity() } else { 0 };
        std::mem::replace(&mut self.chunk, Vec::with_capacity(capacity))
    }
}

fn line<'a>(entry: logs::Entry<'a>, request: &LogsRequest) -> Option<LogLine<'a>> {
    let (stream, wanted) = match entry.stream {
        logs::Stream::Stdin => (Stream::Stdin, request.stdout),
        logs::Stream::Stdout => (Stream::Stdout, request.stdout),
        logs::Stream::Stderr => (Stream::Stderr, request.stderr),
    };
    wanted.then_some(LogLine { stream, entry })
}

/// Write what was logged until now to a client's connection, framed unless there is a pty.
pub(crate) async fn replay(
    view: &Arc<Container>,
    request: &AttachRequest,
    stream: OwnedFd,
) -> Result<OwnedFd> {
    let (path, format) = kept(view)?;
    let view = view.clone();
    let framed = !view.spec.tty && !request.unframed;
    let wanted = LogsRequest { stdout: request.stdout, stderr: request.stderr, ..LogsRequest::default() };
    blocking(move || {
        let mut reader =
            logs::Reader::open(&path, format, query(&wanted)).map_err(|error| failed(&view, error))?;
        let mut socket = std::fs::File::from(stream);
        let gone = |error| Error::internal(format!("the attached client is gone: {error}"));
        let mut chunk = Vec::new();
        while let Some(entry) = reader.next_entry().map_err(|error| failed(&view, error))? {
            let Some(line) = line(entry, &wanted) else { continue };
            if framed {
                chunk.extend_from_slice(&[line.stream as u8, 0, 0, 0]);
                chunk.extend_from_slice(&u32::try_from(line.bytes().len()).unwrap_or(u32::MAX).to_be_bytes());
            }
            chunk.extend_from_slice(line.bytes());
            if chunk.len() >= CHUNK_BYTES {
                write_all(&mut socket, &chunk).map_err(gone)?;
                chunk.clear();
            }
        }
        write_all(&mut socket, &chunk).map_err(gone)?;
        Ok(socket.into())
    })
    .await
}

/// The connection comes from an event loop, so it does not block by itself.
fn write_all(socket: &mut std::fs::File, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&*socket, PollFlags::OUT)], None)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
