//! A container's output: attach and logs.

use crate::body::{self, Body, ChunkSender};
use crate::call::Call;
use crate::hijack::{Way, hand_over, stream_type};
use bytes::{BufMut, Bytes, BytesMut};
use engine::containers::{AttachRequest, LogLine, LogStream, LogsRequest, Stream};
use engine::{Error, Result};
use http::{Response, Version};
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::task::Poll;

pub(crate) async fn attach(mut call: Call) -> Result<Response<Body>> {
    let keys = call.query.get("detachKeys").to_owned();
    let request = AttachRequest {
        logs: call.query.flag("logs"),
        stream: call.query.flag("stream"),
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
        detach_keys: (!keys.is_empty()).then_some(keys),
    };
    let ticket = call.engine().containers.attach(&call.name, request).await?;
    let way = way(&mut call);
    let way = match way {
        Some(way) => way,
        None => Way::Relay(Some(call.request.into_body())),
    };
    let tty = ticket.tty;
    hand_over(way, tty, call.version, move |connection| async move {
        let spare = connection.stream.try_clone();
        if let Err(e) = ticket.connect(connection).await {
            tracing::error!("a client could not be attached: {e}");
            if let Ok(spare) = spare {
                // The answer has begun: the reason goes into the stream. The client may be gone by now.
                let text = frame(1, &format!("Error attaching: {e}\n"), tty);
                let _ = std::fs::File::from(spare).write_all(&text);
            }
        }
    })
}

/// The upgrade, where the protocol has one and it was asked for.
pub(crate) fn way(call: &mut Call) -> Option<Way> {
    let can = call.request.version() == Version::HTTP_11 && call.wants_upgrade();
    can.then(|| Way::Upgrade(hyper::upgrade::on(&mut call.request)))
}

pub(crate) async fn logs(call: Call) -> Result<Response<Body>> {
    let query = &call.query;
    let request = LogsRequest {
        follow: query.flag("follow"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        since: query.time("since", '"')?,
        // 0 is no limit here.
        until: query.time("until", '"')?.filter(|_| query.get("until") != "0"),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        // What is no number, or negative, is all.
        tail: query.get("tail").parse().ok(),
    };
    if !request.stdout && !request.stderr {
        return Err(Error::invalid("must specify at least one of 'stdout' or 'stderr'"));
    }
    let lines = call.engine().containers.logs(&call.name, request.clone()).await?;
    let (sender, response) = body::channel(stream_type(lines.tty, call.version));
    let peer = call.peer;
    tokio::spawn(async move {
        tokio::select! {
            () = copy(lines, &request, &sender) => (),
            () = peer.gone(), if request.follow => (),
            () = sender.closed() => (),
        }
    });
    Ok(response)
}

/// Lines that are there already go out together, up to this much.
const CHUNK_BYTES: usize = 64 << 10;
/// Docker's 8-byte header.
const HEADER_BYTES: usize = 8;

async fn copy(mut lines: LogStream, request: &LogsRequest, to: &ChunkSender) {
    let tty = lines.tty;
    let mut chunk = BytesMut::new();
    loop {
        let next = if chunk.is_empty() { Poll::Ready(lines.next().await) } else { now(lines.next()).await };
        match next {
            Poll::Ready(Some(Ok(line))) => {
                if (line.stream == Stream::Stdout && !request.stdout)
                    || (line.stream == Stream::Stderr && !request.stderr)
                {
                    continue;
                }
                put(&mut chunk, &line, request, tty);
                if chunk.len() < CHUNK_BYTES {
                    continue;
                }
            }
            Poll::Ready(Some(Err(e))) => {
                // The answer has begun: what went wrong goes into the stream.
                let text = format!("Error grabbing logs: {e}\n");
                put_frame(&mut chunk, 2, &[text.as_bytes()], tty);
                let _ = to.send(Ok(chunk.split().freeze())).await;
                return;
            }
            Poll::Ready(None) => {
                if !chunk.is_empty() {
                    // A client that has gone needs no last chunk.
                    let _ = to.send(Ok(chunk.split().freeze())).await;
                }
                return;
            }
            Poll::Pending => {}
        }
        if !chunk.is_empty() && to.send(Ok(chunk.split().freeze())).await.is_err() {
            return;
        }
    }
}

/// The future's state at this moment.
async fn now<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

fn put(chunk: &mut BytesMut, line: &LogLine, request: &LogsRequest, tty: bool) {
    let details = if request.details {
        // key=value,key=value and a space, escaped as in a query string.
        let pairs: Vec<_> = line.attrs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
        pairs.join(",") + " "
    } else {
        String::new()
    };
    let time = if request.timestamps { format!("{:.9} ", line.at) } else { String::new() };
    let kind = match line.stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    put_frame(chunk, kind, &[time.as_bytes(), details.as_bytes(), &line.bytes], tty);
}

pub(crate) fn put_frame(chunk: &mut BytesMut, kind: u8, parts: &[&[u8]], tty: bool) {
    let length: usize = parts.iter().map(|p| p.len()).sum();
    chunk.reserve(HEADER_BYTES + length);
    if !tty {
        chunk.put_u32(u32::from(kind) << 24);
        // A line is far below 4 GiB: the log file's reader bounds it.
        chunk.put_u32(length as u32);
    }
    parts.iter().for_each(|part| chunk.put_slice(part));
}

/// One frame, or the plain text with a tty.
pub(crate) fn frame(kind: u8, text: &str, tty: bool) -> Bytes {
    let mut chunk = BytesMut::new();
    put_frame(&mut chunk, kind, &[text.as_bytes()], tty);
    chunk.freeze()
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b' ' => "+".to_owned(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}
