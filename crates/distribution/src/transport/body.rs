//! What is sent with a request: nothing, bytes, or a part of a file. Each can be sent again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

const CHUNK_LEN: usize = 256 << 10;

/// Bytes that were handed to the connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<AtomicU64>);

impl Sent {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Empty,
    Bytes(Bytes),
    /// From one position of a file to another.
    File {
        file: Arc<File>,
        from: u64,
        until: u64,
        sent: Sent,
    },
}

impl Payload {
    pub(super) fn body(&self) -> (Body, Sent) {
        let never = |never: std::convert::Infallible| match never {};
        match self {
            Self::Empty => (Empty::new().map_err(never).boxed_unsync(), Sent::default()),
            Self::Bytes(bytes) => (Full::new(bytes.clone()).map_err(never).boxed_unsync(), Sent::default()),
            Self::File { file, from, until, sent } => {
                sent.0.store(0, Ordering::Relaxed);
                let body = FileBody {
                    file: file.clone(),
                    position: *from,
                    until: *until,
                    reading: None,
                    sent: sent.clone(),
                };
                (body.boxed_unsync(), sent.clone())
            }
        }
    }
}

struct FileBody {
    file: Arc<File>,
    position: u64,
    until: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    sent: Sent,
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.position >= self.until {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let (position, left) = (this.position, this.until - this.position);
        let reading = this.reading.get_or_insert_with(|| {
            let file = this.file.clone();
            tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; CHUNK_LEN.min(usize::try_from(left).unwrap_or(CHUNK_LEN))];
                file.read_exact_at(&mut buffer, position)?;
                Ok(buffer)
            })
        });
        let read = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
        this.reading = None;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        this.position += bytes.len() as u64;
        this.sent.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.position >= self.until
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.until - self.position)
    }
}
