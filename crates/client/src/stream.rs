//! Answers that come bit by bit: bytes, and JSON documents one after the other.

use crate::error::{Error, Result};
use bytes::{Buf, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// A response body as it arrives. Also an [`AsyncRead`].
#[derive(Debug)]
pub struct ByteStream {
    body: Incoming,
    content_type: String,
    rest: Bytes,
}

impl ByteStream {
    pub(crate) fn new(response: Response<Incoming>) -> Self {
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Self { content_type: content_type.to_owned(), body: response.into_body(), rest: Bytes::new() }
    }

    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Output comes in frames: read it through a [`Demultiplexer`](crate::Demultiplexer).
    pub fn is_multiplexed(&self) -> bool {
        self.content_type == api::media_type::MULTIPLEXED_STREAM
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(broken)?.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads it as JSON documents.
    pub fn json<T>(self) -> JsonStream<T> {
        JsonStream { from: self, buffer: BytesMut::new(), document: PhantomData }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match hyper::body::Body::poll_frame(Pin::new(&mut self.body), cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(broken(e))),
                Poll::Ready(Some(Ok(frame))) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let length = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// What broke a body off. An engine that dies says nothing more: Docker's client calls that by Go's words.
fn broken(error: hyper::Error) -> io::Error {
    let mut source: Option<&dyn std::error::Error> = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>()
            && cause.kind() != io::ErrorKind::UnexpectedEof
        {
            return io::Error::new(cause.kind(), cause.to_string());
        }
        source = cause.source();
    }
    io::Error::new(io::ErrorKind::UnexpectedEof, UNEXPECTED_EOF)
}

pub(crate) const UNEXPECTED_EOF: &str = "unexpected EOF";

/// JSON documents, one per line.
#[derive(Debug)]
pub struct JsonStream<T> {
    from: ByteStream,
    buffer: BytesMut,
    document: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonStream<T> {
    /// The next document; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<T>> {
        loop {
            while let Some(at) = self.buffer.iter().position(|&b| b == b'\n') {
                let line = self.buffer.split_to(at + 1);
                if let Some(document) = Self::read(&line)? {
                    return Ok(Some(document));
                }
            }
            match self.from.next().await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Self::read(&self.buffer.split()),
            }
        }
    }

    fn read(line: &[u8]) -> Result<Option<T>> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(None);
        }
        let what = "a stream of JSON".to_owned();
        api::go::from_slice(line).map(Some).map_err(|source| Error::Decode { what, source })
    }
}
