//! Accepting connections, and what is done with one before and after HTTP.
//!
//! hyper drops a request whose client has closed its sending side unless told otherwise (`half_close`), which
//! is why the accept loop is our own. Old clients attach without `Upgrade`: they expect `200 OK` and then raw
//! bytes. hyper has no such thing, so the first head of a connection is looked at; if it is one of those, the
//! upgrade header is put in for hyper, and the head of its answer is rewritten on the way out ([`Socket`]).

use crate::router;
use bytes::{Buf, Bytes, BytesMut};
use engine::Engine;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A bound socket. Who may connect is decided by whoever binds it.
#[derive(Debug)]
pub enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// The API of one engine. Cheap to clone; several listeners may share it.
#[derive(Clone, Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    /// The `Server` header.
    pub(crate) product: http::HeaderValue,
    pub(crate) experimental: bool,
}

/// How long requests that are being answered may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// After accept failed (out of descriptors, mostly) there is no point in asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A silent TCP connection is asked so often, and so many times, whether somebody is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TRIES: u32 = 9;
/// A head that is larger is left to hyper to refuse.
const SNIFF_BYTES_MAX: usize = 64 << 10;

impl Server {
    pub fn new(engine: Engine) -> Self {
        let version = engine.system.version();
        let product = format!("Docker/{} (linux)", version.facts.server_version);
        let product = http::HeaderValue::try_from(product)
            .unwrap_or_else(|_| http::HeaderValue::from_static("Docker (linux)"));
        Self { shared: Arc::new(Shared { engine, product, experimental: version.experimental }) }
    }

    /// Serves until `shutdown` resolves, then lets open requests end (for some seconds; upgraded connections are
    /// not waited for, they belong to the containers).
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok(stream) => {
                    let watcher = graceful.watcher();
                    let shared = self.shared.clone();
                    tokio::spawn(async move {
                        if let Err(e) = converse(shared, stream, watcher).await {
                            tracing::debug!("a connection ended: {e}");
                        }
                    });
                }
                Err(e) => {
                    tracing::error!("cannot accept a connection: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests were still open when the server stopped");
        }
    }

    /// Serves one connection that is there already (socket activation, tests).
    pub async fn serve_connection(&self, stream: UnixStream) -> io::Result<()> {
        converse(self.shared.clone(), Stream::Unix(stream), GracefulShutdown::new().watcher()).await
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
            Listener::Tcp(listener) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

/// A client whose machine or network is gone says nothing, and what serves it would wait for ever. In Go's rhythm, and so
/// Docker's. (Output that is not taken is no sign of it: a client may be stopped, and its window shut.)
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_TRIES)?;
    Ok(())
}

async fn converse(
    shared: Arc<Shared>,
    stream: Stream,
    watcher: hyper_util::server::graceful::Watcher,
) -> io::Result<()> {
    let peer = Arc::new(Peer { fd: stream.fd()?, is_unix: matches!(stream, Stream::Unix(_)) });
    let socket = Socket::sniff(stream).await?;
    let service = service_fn(move |request| {
        let (shared, peer) = (shared.clone(), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(router::answer(shared, peer, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Spelled as Go does: scripts look for `Api-Version:` in what curl prints.
    builder.http1().half_close(true).title_case_headers(true);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service).into_owned();
    watcher.watch(connection).await.map_err(io::Error::other)
}

/// The other end of a connection, for noticing that it is gone while there is nothing to send.
#[derive(Debug)]
pub(crate) struct Peer {
    fd: OwnedFd,
    is_unix: bool,
}

impl Peer {
    /// Resolves when the client has gone. Half-closed is not gone on a unix socket, where the kernel tells the
    /// two apart; on TCP it is, as in Docker.
    pub(crate) async fn gone(&self) {
        // Not for room to write, which comes and goes with everything that is sent: only a change wakes this task, and the
        // end of both directions is told to whoever waits for anything.
        let interest = if self.is_unix { Interest::PRIORITY } else { Interest::READABLE };
        let watched = self.fd.try_clone().and_then(|fd| watched(fd, interest));
        let Ok(watched) = watched else {
            return std::future::pending().await;
        };
        loop {
            let Ok(mut ready) = watched.ready(interest).await else { return std::future::pending().await };
            if ready.ready().is_write_closed() || ready.ready().is_read_closed() {
                return;
            }
            // A second registration of the same socket: the other one is hyper's, who reads.
            ready.clear_ready();
        }
    }
}

/// Registers a descriptor with the event loop.
#[expect(
    deprecated,
    reason = "its successor takes a promise from the caller, to demand what holds here: the descriptor is owned and no other is named"
)]
fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}

#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn fd(&self) -> io::Result<OwnedFd> {
        match self {
            Stream::Unix(s) => s.as_fd().try_clone_to_owned(),
            Stream::Tcp(s) => s.as_fd().try_clone_to_owned(),
        }
    }
}

/// A connection as hyper sees it.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// Already received, still to be read.
    prefix: Bytes,
    answer: Answer,
}

/// What happens to the answer to a hijacking request without `Upgrade`.
#[derive(Debug)]
enum Answer {
    /// Nothing.
    AsIs,
    /// Its head is gathered.
    Gather(Vec<u8>),
    /// Its head goes out.
    Send(Bytes),
}

impl Socket {
    async fn sniff(stream: Stream) -> io::Result<Socket> {
        let mut socket = Socket { stream, prefix: Bytes::new(), answer: Answer::AsIs };
        let mut head = BytesMut::with_capacity(4096);
        if socket.stream.read_buf(&mut head).await? == 0 {
            return Ok(socket);
        }
        while !head.contains(&b'\n') && head.len() < SNIFF_BYTES_MAX {
            if socket.stream.read_buf(&mut head).await? == 0 {
                break;
            }
        }
        if let Some(escaped) = with_escapes(&head) {
            head = escaped;
        }
        if may_hijack(&head) {
            while find_end(&head).is_none() && head.len() < SNIFF_BYTES_MAX {
                if socket.stream.read_buf(&mut head).await? == 0 {
                    break;
                }
            }
            if let Some(end) = find_end(&head)
                && !has_upgrade(&head[..end])
            {
                let rest = head.split_off(end);
                head.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: tcp\r\n");
                head.extend_from_slice(&rest);
                socket.answer = Answer::Gather(Vec::new());
            }
        }
        socket.prefix = head.freeze();
        Ok(socket)
    }

    /// The raw connection, and bytes that were received and not read.
    pub(crate) fn into_parts(self) -> io::Result<(OwnedFd, Bytes)> {
        let fd = match self.stream {
            Stream::Unix(s) => OwnedFd::from(s.into_std()?),
            Stream::Tcp(s) => OwnedFd::from(s.into_std()?),
        };
        Ok((fd, self.prefix))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Answer::Send(bytes) = &mut self.answer {
            if bytes.is_empty() {
                self.answer = Answer::AsIs;
                break;
            }
            let written = ready!(poll_write(&mut self.stream, cx, bytes))?;
            bytes.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// What people type after `curl --unix-socket`: `?filters={"status":["running"]}`, which Go takes as it is and hyper does
/// not. `None`: there is nothing to escape. (Who keeps a connection for more than one request builds his URLs.)
fn with_escapes(head: &[u8]) -> Option<BytesMut> {
    let line = head.split(|&b| b == b'\n').next()?;
    if !line.iter().any(|b| matches!(b, b'"' | b'<' | b'>')) {
        return None;
    }
    let mut escaped = BytesMut::with_capacity(head.len() + 256);
    for &byte in line {
        match byte {
            b'"' => escaped.extend_from_slice(b"%22"),
            b'<' => escaped.extend_from_slice(b"%3C"),
            b'>' => escaped.extend_from_slice(b"%3E"),
            other => escaped.extend_from_slice(&[other]),
        }
    }
    escaped.extend_from_slice(&head[line.len()..]);
    Some(escaped)
}

/// The request line is one of the two that hijack.
fn may_hijack(head: &[u8]) -> bool {
    let line = head.split(|&b| b == b'\r').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let Some(target) = line.strip_prefix("POST ") else { return false };
    let path = target.split(['?', ' ']).next().unwrap_or_default();
    path.contains("/containers/") && path.ends_with("/attach")
        || path.contains("/exec/") && path.ends_with("/start")
}

/// Where the empty line begins that ends the head.
fn find_end(head: &[u8]) -> Option<usize> {
    head.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 2)
}

fn has_upgrade(head: &[u8]) -> bool {
    head.split(|&b| b == b'\n').any(|line| line.len() > 8 && line[..8].eq_ignore_ascii_case(b"upgrade:"))
}

fn poll_write(stream: &mut Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match stream {
        Stream::Unix(s) => Pin::new(s).poll_write(cx, bytes),
        Stream::Tcp(s) => Pin::new(s).poll_write(cx, bytes),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tcp(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let length = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix[..length]);
            self.prefix.advance(length);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        const SWITCHED: &[u8] = b"HTTP/1.1 101 ";
        const RAW: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
        if let Answer::Gather(head) = &mut self.answer {
            head.extend_from_slice(bytes);
            if let Some(end) = find_end(head) {
                let head = std::mem::take(head);
                self.answer = Answer::Send(match head.starts_with(SWITCHED) {
                    true => [RAW, &head[end + 2..]].concat().into(),
                    false => head.into(),
                });
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_answer(cx))?;
        poll_write(&mut self.stream, cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets need no flush of their own.
        self.poll_answer(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        match &mut self.stream {
            Stream::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tcp(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_looked_at_before_hyper() {
        for (line, hijacks) in [
            ("POST /v1.24/containers/x/attach?stream=1 HTTP/1.1\r\n", true),
            ("POST /exec/abc/start HTTP/1.1\r\n", true),
            ("GET /containers/x/attach HTTP/1.1\r\n", false),
            ("POST /containers/x/start HTTP/1.1\r\n", false),
            ("PRI * HTTP/2.0\r\n", false),
        ] {
            assert_eq!(may_hijack(line.as_bytes()), hijacks, "{line}");
        }
        let raw = b"GET /x?filters={\"a\":[\"<b>\"]} HTTP/1.1\r\nX: \"y\"\r\n\r\n";
        let escaped = b"GET /x?filters={%22a%22:[%22%3Cb%3E%22]} HTTP/1.1\r\nX: \"y\"\r\n\r\n";
        assert_eq!(with_escapes(raw).as_deref(), Some(&escaped[..]));
        assert_eq!(with_escapes(b"GET / HTTP/1.1\r\nX: \"y\"\r\n\r\n"), None);
        assert!(has_upgrade(b"POST / HTTP/1.1\r\nupGrade: tcp\r\n"));
        assert!(!has_upgrade(b"POST / HTTP/1.1\r\nX-Upgrade: tcp\r\n"));
    }
}
