//! `GET /containers/{id}/attach/ws`: attach over a WebSocket, for browsers. Output comes without Docker's 8-byte frames:
//! whoever has no terminal sees both streams as one.

use crate::body::{self, Body};
use crate::call::Call;
use crate::hijack::LAST_WORDS;
use crate::listen::Peer;
use crate::versions::ApiVersion;
use crate::websocket::{NORMAL, Opcode, PROTOCOL_ERROR, Reader, Received, accept, close, frame};
use engine::containers::AttachRequest;
use engine::execs::Connection;
use engine::{Error, Result};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

pub(crate) async fn attach(mut call: Call) -> Result<Response<Body>> {
    let keys = call.query.get("detachKeys").to_owned();
    // Until 1.42 all streams were meant, whatever was said.
    let stream = |name: &str| call.version < ApiVersion::minor(42) || call.query.flag(name);
    let request = AttachRequest {
        logs: call.query.flag("logs"),
        stream: call.query.flag("stream"),
        stdin: stream("stdin"),
        stdout: stream("stdout"),
        stderr: stream("stderr"),
        detach_keys: (!keys.is_empty()).then_some(keys),
        unframed: true,
    };
    let ticket = call.engine().containers.attach(&call.name, request).await?;
    let accept = accept(call.request.headers())?;
    let protocol = call.request.headers().get(SEC_WEBSOCKET_PROTOCOL).cloned();
    let opcode = if call.version < ApiVersion::minor(28) { Opcode::Text } else { Opcode::Binary };
    let upgrade = hyper::upgrade::on(&mut call.request);
    let peer = call.peer;
    let broken = |e: io::Error| Error::internal(format!("cannot make a pair of sockets: {e}"));
    let (ours, theirs) = UnixStream::pair().map_err(broken)?;
    let stream = theirs.into_std().map_err(broken)?.into();
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(e) => return tracing::debug!("a WebSocket was lost while it was handed over: {e}"),
        };
        let connecting = ticket.connect(Connection { stream, leftover: Vec::new() });
        let (connected, ()) = tokio::join!(connecting, relay(upgraded, ours, opcode, &peer));
        if let Err(e) = connected {
            tracing::error!("a client could not be attached: {e}");
        }
    });
    let mut response = body::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 is a header's text.
    headers
        .insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).unwrap_or(HeaderValue::from_static("")));
    // The one that was offered; of several none is chosen.
    if let Some(protocol) = protocol.filter(|protocol| !protocol.as_bytes().contains(&b',')) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Until the container's output ends, or the client goes.
async fn relay(upgraded: Upgraded, ours: UnixStream, opcode: Opcode, peer: &Peer) {
    let (from_client, mut to_client) = tokio::io::split(TokioIo::new(upgraded));
    let (mut output, mut input) = ours.into_split();
    // Answers to pings; a client that sends many and reads none waits for itself.
    let (answers, mut answered) = mpsc::channel::<Vec<u8>>(4);
    let reading = async move {
        let mut reader = Reader::new(from_client);
        loop {
            match reader.next().await {
                Ok(Received::Data(bytes)) => {
                    // A container that does not read any more: what else is typed is thrown away.
                    let _ = input.write_all(&bytes).await;
                }
                Ok(Received::Ping(payload)) => {
                    let _ = answers.send(frame(Opcode::Pong, &payload)).await;
                }
                Ok(Received::Close) => return Some(NORMAL),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => return Some(PROTOCOL_ERROR),
                Err(_) => return None,
            }
        }
    };
    tokio::pin!(reading);
    let mut buffer = vec![0; 32 << 10];
    let gone = peer.gone();
    tokio::pin!(gone);
    // A client that is gone needs no farewell.
    let code = loop {
        tokio::select! {
            code = &mut reading => break code,
            // Not seen by who waits for a container that neither reads nor writes.
            () = &mut gone => {
                let _ = tokio::time::timeout(LAST_WORDS, &mut reading).await;
                break None;
            }
            Some(answer) = answered.recv() => {
                if to_client.write_all(&answer).await.is_err() {
                    break None;
                }
            }
            read = output.read(&mut buffer) => match read {
                Ok(length @ 1..) => {
                    if to_client.write_all(&frame(opcode, &buffer[..length])).await.is_err() {
                        break None;
                    }
                }
                Ok(0) | Err(_) => break Some(NORMAL),
            },
        }
    };
    if let Some(code) = code {
        let _ = to_client.write_all(&close(code)).await;
    }
    let _ = to_client.shutdown().await;
}
