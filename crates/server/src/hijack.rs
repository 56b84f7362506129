//! The hand-over: after attach and exec start the connection stops being HTTP and becomes the container's.
//!
//! ```text
//! HTTP/1.1, Upgrade: tcp      101, then the raw descriptor goes to the engine (and on to the monitor)
//! HTTP/1.1, first request,    200, then the same (see `listen`)
//!   no Upgrade
//! anything else (h2, a later  200, a socketpair: one end to the engine, the other is relayed to the
//!   request without Upgrade)  request's and response's bodies
//! ```

use crate::body::{self, Body};
use crate::listen::{Peer, Socket};
use crate::versions::ApiVersion;
use api::media_type::{MULTIPLEXED_STREAM, RAW_STREAM};
use bytes::Bytes;
use engine::execs::Connection;
use engine::{Error, Result};
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long a process has to take what a client sent that is gone.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// How the connection is going to be had.
pub(crate) enum Way {
    Upgrade(OnUpgrade),
    /// Its request body is stdin, if it has not been read.
    Relay(Option<Incoming>, Arc<Peer>),
}

/// Answers the request; `then` gets the connection once the answer has gone out.
pub(crate) fn hand_over<F, T>(way: Way, tty: bool, version: ApiVersion, then: F) -> Result<Response<Body>>
where
    F: FnOnce(Connection) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    match way {
        Way::Upgrade(upgrade) => {
            tokio::spawn(async move {
                match upgrade.await.map_err(io::Error::other).and_then(raw) {
                    Ok(connection) => then(connection).await,
                    Err(e) => tracing::debug!("a connection was lost while it was handed over: {e}"),
                }
            });
            let mut response = body::empty(StatusCode::SWITCHING_PROTOCOLS);
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(stream_type(tty, version)));
            Ok(response)
        }
        Way::Relay(request, peer) => {
            let broken = |e: io::Error| Error::internal(format!("cannot make a pair of sockets: {e}"));
            let (ours, theirs) = UnixStream::pair().map_err(broken)?;
            let stream = theirs.into_std().map_err(broken)?.into();
            tokio::spawn(then(Connection { stream, leftover: Vec::new() }));
            Ok(relay(ours, request, peer))
        }
    }
}

/// The media type of output: framed unless there is a tty. Clients before 1.42 are told "raw" in any case.
pub(crate) fn stream_type(tty: bool, version: ApiVersion) -> &'static str {
    if tty || version < ApiVersion::minor(42) { RAW_STREAM } else { MULTIPLEXED_STREAM }
}

fn raw(upgraded: hyper::upgrade::Upgraded) -> io::Result<Connection> {
    let parts =
        downcast::<TokioIo<Socket>>(upgraded).map_err(|_| io::Error::other("it is not a socket of ours"))?;
    let (stream, rest) = parts.io.into_inner().into_parts()?;
    Ok(Connection { stream, leftover: [&parts.read_buf[..], &rest[..]].concat() })
}

fn relay(ours: UnixStream, request: Option<Incoming>, peer: Arc<Peer>) -> Response<Body> {
    let (sender, response) = body::channel(RAW_STREAM);
    let (mut read, mut write) = ours.into_split();
    tokio::spawn(async move {
        let upload = async {
            let mut request = request;
            while let Some(body) = &mut request {
                match body.frame().await {
                    Some(Ok(frame)) => {
                        if let Some(data) = frame.data_ref()
                            && write.write_all(data).await.is_err()
                        {
                            break;
                        }
                    }
                    Some(Err(_)) | None => request = None,
                }
            }
            // The end of the request's body is the end of stdin; the connection may be gone already.
            let _ = write.shutdown().await;
        };
        let download = async {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(length @ 1..) = read.read(&mut buffer).await {
                if sender.send(Ok(Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                    return;
                }
            }
        };
        // Noticed also while the process is silent, or does not read what it was sent.
        let gone = async {
            tokio::select! {
                () = peer.gone() => (),
                () = sender.closed() => (),
            }
        };
        tokio::pin!(upload, download, gone);
        let mut uploaded = false;
        // The end of the output is the end of all.
        loop {
            tokio::select! {
                () = &mut upload, if !uploaded => uploaded = true,
                () = &mut download => return,
                () = &mut gone => {
                    if !uploaded {
                        let _ = tokio::time::timeout(LAST_WORDS, &mut upload).await;
                    }
                    return;
                }
            }
        }
    });
    response
}
