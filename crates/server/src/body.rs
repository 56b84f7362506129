//! Bodies: whole ones, streamed ones, and the bridges to blocking readers and writers.

use bytes::{Buf, Bytes};
use engine::{Error, Result};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Frame, Incoming};
use serde::Serialize;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Chunks in flight between a producer and the socket: enough to keep both busy, little enough that a slow
/// client is felt by the producer.
const CHUNKS_IN_FLIGHT: usize = 8;

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

pub(crate) fn bytes(status: StatusCode, content_type: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response =
        Response::new(Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// JSON with a newline at its end, as Go's encoder writes it.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let mut text = serde_json::to_vec(value).unwrap_or_else(|e| {
        tracing::error!("an answer cannot be written as JSON: {e}");
        b"null".to_vec()
    });
    text.push(b'\n');
    bytes(status, api::media_type::JSON, text)
}

pub(crate) type ChunkSender = mpsc::Sender<io::Result<Bytes>>;

/// A body that is sent chunk by chunk. The sender notices when the client has gone: its sends fail.
pub(crate) fn channel(content_type: &'static str) -> (ChunkSender, Response<Body>) {
    let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let mut response = Response::new(Chunks(chunks).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    (sender, response)
}

struct Chunks(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|c| c.map(Frame::data)))
    }
}

/// A body whose chunks are made when the connection has room for them: by its own task, with none in between that would
/// have to be woken, too. `next` yields a chunk and itself for the one after it, or the end.
pub(crate) fn pulled<S, F>(content_type: &'static str, state: S, next: fn(S) -> F) -> Response<Body>
where
    S: 'static,
    F: Future<Output = Option<(Bytes, S)>> + Send + 'static,
{
    let body = Pulled { chunk: Some(Box::pin(next(state))), next };
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

struct Pulled<S, F> {
    /// `None` after the end.
    chunk: Option<Pin<Box<F>>>,
    next: fn(S) -> F,
}

impl<S, F: Future<Output = Option<(Bytes, S)>>> hyper::body::Body for Pulled<S, F> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(chunk) = &mut self.chunk else { return Poll::Ready(None) };
        match ready!(chunk.as_mut().poll(cx)) {
            Some((bytes, state)) => {
                let next = (self.next)(state);
                if let Some(chunk) = &mut self.chunk {
                    // In the same place.
                    chunk.set(next);
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            None => {
                self.chunk = None;
                Poll::Ready(None)
            }
        }
    }
}

/// Reads a whole request body of at most `limit_bytes`.
pub(crate) async fn whole(mut body: Incoming, limit_bytes: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::invalid(format!("cannot read the request body: {e}")))?;
        if let Some(data) = frame.data_ref() {
            if out.len() + data.len() > limit_bytes {
                return Err(Error::invalid(format!("request body too large: more than {limit_bytes} bytes")));
            }
            out.extend_from_slice(data);
        }
    }
    Ok(out)
}

/// What is still taken of an upload that nobody reads any more: a client that is in the middle of a write sees the
/// answer then, and not a broken connection.
const SPARE_BYTES: usize = 64 << 20;

/// A request body for a blocking thread. Dropping the reader stops the upload, after [`SPARE_BYTES`] more.
pub(crate) fn reader(mut body: Incoming) -> impl Read + Send {
    let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
    tokio::spawn(async move {
        let mut spare = SPARE_BYTES;
        while let Some(frame) = body.frame().await {
            let chunk = match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
                Err(e) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, e)),
            };
            let length = chunk.as_ref().map_or(spare, Bytes::len);
            if sender.send(chunk).await.is_err() {
                match spare.checked_sub(length) {
                    Some(left) if left > 0 => spare = left,
                    _ => return,
                }
            }
        }
    });
    BodyReader { chunks, current: Bytes::new() }
}

struct BodyReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(out.len());
        out[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}

/// A response body for a blocking thread to write.
pub(crate) fn writer(to: ChunkSender) -> impl Write + Send {
    io::BufWriter::with_capacity(256 * 1024, ChunkWriter(to))
}

/// A body that a blocking thread writes. Once it has begun, breaking it off is the only way to tell of a failure.
pub(crate) fn written(
    content_type: &'static str,
    what: &'static str,
    write: impl FnOnce(&mut dyn Write) -> Result<()> + Send + 'static,
) -> Response<Body> {
    let (sender, response) = channel(content_type);
    tokio::task::spawn_blocking(move || {
        let mut to = writer(sender.clone());
        let outcome =
            write(&mut to).and_then(|()| to.flush().map_err(|e| Error::internal(format!("{what}: {e}"))));
        if let Err(e) = outcome
            && !sender.is_closed()
        {
            tracing::error!("{what} broke off: {e}");
            let _ = sender.blocking_send(Err(io::Error::other(e)));
        }
    });
    response
}

struct ChunkWriter(ChunkSender);

impl Write for ChunkWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let chunk = Ok(Bytes::copy_from_slice(data));
        self.0.blocking_send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
