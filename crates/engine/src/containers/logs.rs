//! Reading a container's log: `docker logs`, and the past that `attach --logs` begins with.
//!
//! A task per reader. Reading may wait for the disk and is done where that is allowed; between two writes a follower
//! is only a task that waits for inotify, its container's end and its client's, so that an idle one costs nothing.
//! A bounded channel carries the lines to the server: a slow client slows only its own reader.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::{AttachRequest, Container, LogLine, LogStream, LogsRequest, Stream};
use crate::container::index::{Handle, Published};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::ports::Clock;

/// Lines in flight between reader and client.
const CHANNEL: usize = 256;
pub(crate) fn open(core: &Core, handle: &Handle, request: LogsRequest) -> Result<LogStream> {
    let view = handle.view();
    readable(&view)?;
    let (sender, lines) = mpsc::channel(CHANNEL);
    let published = handle.published.clone();
    let tty = view.spec.tty;
    let clock = core.ports.clock.clone();
    tokio::spawn(async move {
        if let Err(error) = read(&view, request, published, &sender, &*clock).await {
            // Nobody to tell when the client has gone.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(LogStream { tty, lines })
}

fn readable(view: &Container) -> Result<()> {
    match view.log_driver.as_str() {
        "json-file" => Ok(()),
        _ => Err(Error::unsupported("configured logging driver does not support reading")),
    }
}

fn query(request: &LogsRequest) -> logs::Query {
    logs::Query {
        tail: request.tail.map_or(logs::Tail::All, |lines| logs::Tail::Last(lines as u64)),
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
    mut published: watch::Receiver<Published>,
    sender: &mpsc::Sender<Result<LogLine>>,
    clock: &dyn Clock,
) -> Result<()> {
    let (path, asked) = (view.log_path.clone(), query(&request));
    let opened = blocking(move || logs::Reader::open(&path, asked)).await;
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
        let (sender_, request_) = (sender.clone(), request.clone());
        let (back, all_sent) = blocking(move || {
            let sent = send_what_is_there(&mut reader, &request_, &sender_);
            (reader, sent)
        })
        .await;
        reader = back;
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
    request: &LogsRequest,
    sender: &mpsc::Sender<Result<LogLine>>,
) -> std::io::Result<bool> {
    reader.clear_events()?;
    while let Some(entry) = reader.next_entry()? {
        if let Some(line) = line(entry, request)
            && sender.blocking_send(Ok(line)).is_err()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn line(entry: logs::Entry, request: &LogsRequest) -> Option<LogLine> {
    let (stream, wanted) = match entry.stream {
        logs::Stream::Stdout => (Stream::Stdout, request.stdout),
        logs::Stream::Stderr => (Stream::Stderr, request.stderr),
    };
    wanted.then(|| LogLine {
        stream,
        at: entry.time,
        bytes: entry.bytes.into(),
        attrs: entry.attrs.into_iter().collect(),
    })
}

/// Write what was logged until now to a client's connection, framed unless there is a pty.
pub(crate) async fn replay(
    view: &Arc<Container>,
    request: &AttachRequest,
    stream: OwnedFd,
) -> Result<OwnedFd> {
    readable(view)?;
    let view = view.clone();
    let wanted = LogsRequest { stdout: request.stdout, stderr: request.stderr, ..LogsRequest::default() };
    blocking(move || {
        let mut reader =
            logs::Reader::open(&view.log_path, query(&wanted)).map_err(|error| failed(&view, error))?;
        let mut socket = std::fs::File::from(stream);
        while let Some(entry) = reader.next_entry().map_err(|error| failed(&view, error))? {
            let Some(line) = line(entry, &wanted) else { continue };
            let mut chunk = Vec::with_capacity(line.bytes.len() + 8);
            if !view.spec.tty {
                let number = if line.stream == Stream::Stdout { 1 } else { 2 };
                chunk.extend_from_slice(&[number, 0, 0, 0]);
                chunk.extend_from_slice(&u32::try_from(line.bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            }
            chunk.extend_from_slice(&line.bytes);
            write_all(&mut socket, &chunk)
                .map_err(|error| Error::internal(format!("the attached client is gone: {error}")))?;
        }
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
