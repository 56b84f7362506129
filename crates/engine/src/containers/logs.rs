//! Reading a container's log: `docker logs`, and the past that `attach --logs` begins with.
//!
//! A thread per reader does the (blocking) reading and waits in poll(2) when it follows; a bounded channel
//! carries the lines to the server, so a slow client slows only its own reader.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::{mpsc, watch};

use super::index::{Handle, Published};
use super::{AttachRequest, Container, LogLine, LogStream, LogsRequest, Stream};
use crate::core::blocking;
use crate::error::{Error, Result};

/// Lines in flight between reader and client.
const CHANNEL: usize = 256;
/// A follower looks up this often whether its container or its client has gone; new lines wake it at once.
const LOOK_UP: Duration = Duration::from_millis(500);

pub(crate) fn open(handle: &Handle, request: LogsRequest) -> Result<LogStream> {
    let view = handle.view();
    readable(&view)?;
    let (sender, lines) = mpsc::channel(CHANNEL);
    let published = handle.published.clone();
    let tty = view.spec.tty;
    // A thread of its own: a follower would occupy one of tokio's for as long as the container lives.
    std::thread::Builder::new()
        .name("log-reader".into())
        .spawn(move || {
            if let Err(error) = read(&view, &request, published, &sender) {
                let _ = sender.blocking_send(Err(error));
            }
        })
        .map_err(|error| Error::internal(format!("could not start a log reader: {error}")))?;
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

fn read(
    view: &Arc<Container>,
    request: &LogsRequest,
    published: watch::Receiver<Published>,
    sender: &mpsc::Sender<Result<LogLine>>,
) -> Result<()> {
    let mut reader = logs::Reader::open(&view.log_path, query(request)).map_err(|error| failed(view, error))?;
    loop {
        // Asked before reading: what is written before the end is then surely seen.
        let ended = !request.follow || {
            let now = published.borrow();
            now.removed || !now.view.state.is_running()
        } || published.has_changed().is_err();
        reader.clear_events().map_err(|error| failed(view, error))?;
        while let Some(entry) = reader.next_entry().map_err(|error| failed(view, error))? {
            let Some(line) = line(entry, request) else { continue };
            if sender.blocking_send(Ok(line)).is_err() {
                return Ok(());
            }
        }
        if ended || reader.is_finished() || sender.is_closed() {
            return Ok(());
        }
        if let Some(events) = reader.event_fd() {
            let patience = Timespec { tv_sec: 0, tv_nsec: LOOK_UP.subsec_nanos().into() };
            let _ = poll(&mut [PollFd::from_borrowed_fd(events, PollFlags::IN)], Some(&patience));
        }
    }
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
pub(crate) async fn replay(view: &Arc<Container>, request: &AttachRequest, stream: OwnedFd) -> Result<OwnedFd> {
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
