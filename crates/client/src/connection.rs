//! The conversation: sockets, one HTTP/1.1 connection at a time, requests and their errors.

use crate::address::{Address, AddressError};
use crate::error::{Error, Result};
use crate::hijack::Hijacked;
use crate::query::Target;
use crate::stream::ByteStream;
use crate::tls::Tls;
use bytes::Bytes;
use dial::resolve;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};
use tokio_rustls::client::TlsStream;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A connected socket of either family.
#[derive(Debug)]
pub enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// What HTTP is spoken over.
#[derive(Debug)]
enum Transport {
    Plain(Stream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// A socket for the time after the upgrade. Behind TLS, that is one end of a pair whose other end is relayed: who
    /// takes a connection over wants a descriptor to read and write, and a direction to close.
    fn into_socket(self) -> io::Result<Stream> {
        match self {
            Transport::Plain(stream) => Ok(stream),
            Transport::Tls(mut tls) => {
                let (ours, mut relayed) = UnixStream::pair()?;
                tokio::spawn(async move {
                    // A connection that breaks is seen as its end, as with a plain socket that was reset.
                    let _ = tokio::io::copy_bidirectional(&mut *tls, &mut relayed).await;
                });
                Ok(Stream::Unix(ours))
            }
        }
    }
}

/// Receiving side of a [`Stream`], without a lock between the halves.
#[derive(Debug)]
pub enum ReadHalf {
    Unix(unix::OwnedReadHalf),
    Tcp(tcp::OwnedReadHalf),
}

/// Sending side of a [`Stream`]; `shutdown` (and dropping it) closes this direction only.
#[derive(Debug)]
pub enum WriteHalf {
    Unix(unix::OwnedWriteHalf),
    Tcp(tcp::OwnedWriteHalf),
}

impl Stream {
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Stream::Unix(s) => {
                let (r, w) = s.into_split();
                (ReadHalf::Unix(r), WriteHalf::Unix(w))
            }
            Stream::Tcp(s) => {
                let (r, w) = s.into_split();
                (ReadHalf::Tcp(r), WriteHalf::Tcp(w))
            }
        }
    }
}

macro_rules! delegate_read {
    ($name:ident: $($variant:ident),+) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(s) => Pin::new(s).poll_read(cx, buf),)+
                }
            }
        }
    };
}

macro_rules! delegate_write {
    ($name:ident: $($variant:ident),+) => {
        impl AsyncWrite for $name {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(s) => Pin::new(s).poll_write(cx, buf),)+
                }
            }
            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(s) => Pin::new(s).poll_flush(cx),)+
                }
            }
            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(s) => Pin::new(s).poll_shutdown(cx),)+
                }
            }
        }
    };
}

delegate_read!(Stream: Unix, Tcp);
delegate_write!(Stream: Unix, Tcp);
delegate_read!(Transport: Plain, Tls);
delegate_write!(Transport: Plain, Tls);
delegate_read!(ReadHalf: Unix, Tcp);
delegate_write!(WriteHalf: Unix, Tcp);

/// One engine's address, and the connection kept for the next request.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) address: Address,
    /// `/v1.47` or empty.
    pub(crate) prefix: String,
    pub(crate) headers: HeaderMap,
    pub(crate) tls: Option<Tls>,
    /// Held for a take or a put only, never across an await.
    idle: Mutex<Vec<SendRequest<Body>>>,
    server_version: Mutex<Option<String>>,
    reached: AtomicBool,
}

impl Http {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            prefix: String::new(),
            headers: HeaderMap::new(),
            tls: None,
            idle: Mutex::new(Vec::new()),
            server_version: Mutex::new(None),
            reached: AtomicBool::new(false),
        }
    }

    /// Whether an engine was ever there.
    pub(crate) fn has_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(crate) fn server_version(&self) -> Option<String> {
        self.server_version.lock().ok()?.clone()
    }

    /// A request whose answer is JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        target: Target,
        body: Body,
    ) -> Result<T> {
        let what = format!("{method} {}", target.as_str());
        let (_, bytes) = self.whole(method, target, body).await?;
        api::go::from_slice(&bytes).map_err(|source| Error::Decode { what, source })
    }

    /// A request whose answer is a status and maybe a small body, which is read to its end.
    pub(crate) async fn whole(
        &self,
        method: Method,
        target: Target,
        body: Body,
    ) -> Result<(StatusCode, Bytes)> {
        let (response, sender) = self.send(&method, &target, HeaderMap::new(), body).await?;
        let status = response.status();
        let broken = |error| self.broken(&method, &target, error);
        let bytes = response.into_body().collect().await.map_err(broken)?.to_bytes();
        self.keep(sender);
        Ok((status, bytes))
    }

    /// A request whose answer comes bit by bit. It has a connection to itself.
    pub(crate) async fn stream(&self, method: Method, target: Target, body: Body) -> Result<ByteStream> {
        let (response, _) = self.send(&method, &target, HeaderMap::new(), body).await?;
        Ok(ByteStream::new(response))
    }

    /// As [`Http::stream`], on behalf of somebody at a registry; `auth` is the header, or empty.
    pub(crate) async fn stream_as(
        &self,
        method: Method,
        target: Target,
        auth: &str,
        body: Body,
    ) -> Result<ByteStream> {
        let (response, _) = self.send(&method, &target, registry_auth(auth), body).await?;
        Ok(ByteStream::new(response))
    }

    /// As [`Http::json`], on behalf of somebody at a registry; `auth` is the header, or empty.
    pub(crate) async fn json_as<T: DeserializeOwned>(
        &self,
        method: Method,
        target: Target,
        auth: &str,
        body: Body,
    ) -> Result<T> {
        let mut headers = registry_auth(auth);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(api::media_type::JSON));
        let (response, sender) = self.send(&method, &target, headers, body).await?;
        let bytes = response.into_body().collect().await.map_err(transport(&method, &target))?.to_bytes();
        self.keep(sender);
        let what = format!("{method} {}", target.as_str());
        api::go::from_slice(&bytes).map_err(|source| Error::Decode { what, source })
    }

    /// A request that takes the connection over (`Upgrade: tcp`).
    pub(crate) async fn hijack(&self, target: Target, body: Body) -> Result<Hijacked> {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        let (response, _) = self.send(&Method::POST, &target, headers, body).await?;
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let multiplexed = content_type == api::media_type::MULTIPLEXED_STREAM;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let source = format!("the engine did not switch protocols: {}", response.status());
            return Err(transport(&Method::POST, &target)(source));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(transport(&Method::POST, &target))?;
        let parts = upgraded
            .downcast::<TokioIo<Transport>>()
            .map_err(|_| transport(&Method::POST, &target)("the upgraded connection is not a socket"))?;
        Ok(Hijacked::new(parts.io.into_inner().into_socket()?, parts.read_buf, multiplexed))
    }

    pub(crate) async fn send(
        &self,
        method: &Method,
        target: &Target,
        headers: HeaderMap,
        body: Body,
    ) -> Result<(Response<Incoming>, SendRequest<Body>)> {
        let mut sender = self.sender().await?;
        let base = match &self.address {
            Address::Tcp { base, .. } => base.as_str(),
            Address::Unix(_) => "",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{}{}", self.prefix, target.as_str()))
            .body(body)
            .map_err(transport(method, target))?;
        let own = request.headers_mut();
        own.insert(HOST, self.host_header());
        own.insert(
            http::header::USER_AGENT,
            HeaderValue::from_static(concat!("Wharf-Client/", env!("CARGO_PKG_VERSION"), " (linux)")),
        );
        for (name, value) in self.headers.iter().chain(headers.iter()) {
            own.insert(name.clone(), value.clone());
        }
        if !own.contains_key(CONTENT_TYPE) && *method == Method::POST {
            own.insert(CONTENT_TYPE, HeaderValue::from_static(api::media_type::JSON));
        }
        let response =
            sender.send_request(request).await.map_err(|error| self.broken(method, target, error))?;
        const API_VERSION: HeaderName = HeaderName::from_static("api-version");
        if let Some(version) = response.headers().get(API_VERSION).and_then(|v| v.to_str().ok())
            && let Ok(mut known) = self.server_version.lock()
        {
            *known = Some(version.to_owned());
        }
        if response.status().is_client_error() || response.status().is_server_error() {
            let status = response.status();
            let bytes = response.into_body().collect().await.map_err(transport(method, target))?.to_bytes();
            self.keep(sender);
            return Err(Error::Api { status, message: message_of(status, &bytes) });
        }
        Ok((response, sender))
    }

    /// Why there was no response. With TLS 1.3, a server's refusal of our certificate is only heard now.
    fn broken(&self, method: &Method, target: &Target, error: hyper::Error) -> Error {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
        let mut went = false;
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<io::Error>()
                && self.tls.is_some()
            {
                return Error::Tls {
                    address: self.address.to_string(),
                    source: io::Error::new(io.kind(), io.to_string()),
                };
            }
            went |= inner.is::<io::Error>();
            cause = inner.source();
        }
        went |= error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        // A body that could not be read here is our own trouble.
        if went && self.tls.is_none() && !error.is_user() {
            return Error::Lost { address: self.address.to_string() };
        }
        if self.tls.is_none() && error.is_parse() {
            let hint = "\n* Are you trying to connect to a TLS-enabled daemon without TLS?";
            return transport(method, target)(format!("{error}.{hint}"));
        }
        transport(method, target)(error)
    }

    async fn sender(&self) -> Result<SendRequest<Body>> {
        let kept = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        self.open().await
    }

    /// Connects for the next request, while there is nothing else to do. An error is that request's to meet.
    pub(crate) async fn prepare(&self) {
        if let Ok(sender) = self.open().await {
            self.keep(sender);
        }
    }

    async fn open(&self) -> Result<SendRequest<Body>> {
        let stream = self.connect().await?;
        let failed = |source: hyper::Error| Error::Connect {
            address: self.address.to_string(),
            source: io::Error::other(source),
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Ends with the connection. Its errors come out of the request that meets them.
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    fn keep(&self, sender: SendRequest<Body>) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<Transport> {
        let stream = self.socket().await?;
        self.reached.store(true, Ordering::Relaxed);
        match (&self.tls, stream, &self.address) {
            (Some(tls), Stream::Tcp(stream), Address::Tcp { host, .. }) => {
                let failed = |source| Error::Tls { address: self.address.to_string(), source };
                Ok(Transport::Tls(Box::new(tls.connect(host, stream).await.map_err(failed)?)))
            }
            (_, stream, _) => Ok(Transport::Plain(stream)),
        }
    }

    async fn socket(&self) -> Result<Stream> {
        let failed = |source| Error::Connect { address: self.address.to_string(), source };
        match &self.address {
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await.map_err(failed)?)),
            Address::Tcp { host, port, .. } => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                for address in resolve(host, *port).await.map_err(AddressError::from)? {
                    match TcpStream::connect(address).await {
                        Ok(stream) => {
                            stream.set_nodelay(true).map_err(failed)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(e) => last = e,
                    }
                }
                Err(failed(last))
            }
        }
    }

    fn host_header(&self) -> HeaderValue {
        match &self.address {
            Address::Unix(_) => HeaderValue::from_static("docker"),
            Address::Tcp { host, port, .. } => {
                let text =
                    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("docker"))
            }
        }
    }
}

fn registry_auth(auth: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !auth.is_empty()
        && let Ok(mut value) = HeaderValue::try_from(auth)
    {
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(api::registry::REGISTRY_AUTH), value);
    }
    headers
}

/// `{"message": ...}`, or whatever text there is, or the status' own.
fn message_of(status: StatusCode, bytes: &[u8]) -> String {
    if let Ok(error) = api::go::from_slice::<api::error::ErrorResponse>(bytes)
        && !error.message.is_empty()
    {
        return error.message;
    }
    match String::from_utf8_lossy(bytes).trim() {
        "" => status.canonical_reason().unwrap_or("unknown error").to_owned(),
        text => text.to_owned(),
    }
}

pub(crate) fn transport<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    method: &Method,
    target: &Target,
) -> impl FnOnce(E) -> Error {
    let (method, path) = (method.clone(), target.as_str().to_owned());
    move |source| Error::Transport { method, path, source: source.into() }
}

pub(crate) fn no_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn json_body<T: Serialize>(value: &T) -> Result<Body> {
    let bytes = serde_json::to_vec(value)
        .map_err(|source| Error::Decode { what: "an own request".to_owned(), source })?;
    Ok(Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync())
}

/// A body read from `from` as it is sent, in chunks.
pub(crate) fn stream_body(from: impl AsyncRead + Send + Unpin + 'static) -> Body {
    Chunks { from, buffer: vec![0; 64 * 1024] }.boxed_unsync()
}

struct Chunks<R> {
    from: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> hyper::body::Body for Chunks<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let mut buf = ReadBuf::new(&mut this.buffer);
        match Pin::new(&mut this.from).poll_read(cx, &mut buf) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Some(Err(e))),
            Poll::Ready(Ok(())) if buf.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(buf.filled()))))),
        }
    }
}
