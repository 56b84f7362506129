//! A container's output: attach and logs.

use crate::body::{self, Body, ChunkSender};
use crate::call::Call;
use crate::hijack::{Way, hand_over, stream_type};
use bytes::{BufMut, Bytes, BytesMut};
use engine::containers::{AttachRequest, LogLine, LogStream, LogsRequest, RenderLine, Stream};
use engine::{Error, Result};
use http::{Response, StatusCode, Version};
use std::io::Write;

pub(crate) async fn attach(mut call: Call) -> Result<Response<Body>> {
    let keys = call.query.get("detachKeys").to_owned();
    let request = AttachRequest {
        logs: call.query.flag("logs"),
        stream: call.query.flag("stream"),
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
        detach_keys: (!keys.is_empty()).then_some(keys),
        unframed: false,
    };
    let ticket = call.engine().containers.attach(&call.name, request).await?;
    let way = way(&mut call);
    let way = match way {
        Some(way) => way,
        None => {
            let peer = call.peer;
            Way::Relay(Some(call.request.into_body()), peer)
        }
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
    let grep = query.get("grep");
    let request = LogsRequest {
        follow: query.flag("follow"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        since: query.time("since", '"')?,
        // 0 is no limit here.
        until: query.time("until", '"')?.filter(|_| query.get("until") != "0"),
        // What is no number, or negative, is all.
        tail: query.get("tail").parse().ok(),
        grep: (!grep.is_empty()).then(|| grep.to_owned()),
    };
    if !request.stdout && !request.stderr {
        return Err(Error::invalid("must specify at least one of 'stdout' or 'stderr'"));
    }
    let (follow, timestamps, details) = (request.follow, query.flag("timestamps"), query.flag("details"));
    let render = |tty| -> RenderLine { Box::new(move |line, out| put(out, line, timestamps, details, tty)) };
    let chunks = call.engine().containers.logs(&call.name, request, render).await?;
    let (sender, response) = body::channel(stream_type(chunks.tty, call.version));
    let peer = call.peer;
    tokio::spawn(async move {
        tokio::select! {
            () = copy(chunks, &sender) => (),
            () = peer.gone(), if follow => (),
            () = sender.closed() => (),
        }
    });
    Ok(response)
}

/// Of Wharf alone: forget what was logged until now.
pub(crate) async fn clear_logs(call: Call) -> Result<Response<Body>> {
    call.engine().containers.clear_logs(&call.name).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

/// Docker's 8-byte header.
const HEADER_BYTES: usize = 8;

async fn copy(mut chunks: LogStream, to: &ChunkSender) {
    let tty = chunks.tty;
    while let Some(chunk) = chunks.next().await {
        let (chunk, last) = match chunk {
            Ok(chunk) => (Bytes::from(chunk), false),
            // The answer has begun: what went wrong goes into the stream.
            Err(e) => (frame(2, &format!("Error grabbing logs: {e}\n"), tty), true),
        };
        // A client that has gone needs no more.
        if to.send(Ok(chunk)).await.is_err() || last {
            return;
        }
    }
}

fn put(out: &mut Vec<u8>, line: &LogLine<'_>, timestamps: bool, details: bool, tty: bool) {
    let start = out.len();
    if !tty {
        let kind = match line.stream {
            Stream::Stdin => 0,
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        out.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
    }
    if timestamps {
        line.write_time(out);
        out.push(b' ');
    }
    if details {
        line.write_attrs(out);
        out.push(b' ');
    }
    out.extend_from_slice(line.bytes());
    if !tty {
        // A line is far below 4 GiB: the log file's reader bounds it.
        let length = (out.len() - start - HEADER_BYTES) as u32;
        out[start + 4..start + HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
    }
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
