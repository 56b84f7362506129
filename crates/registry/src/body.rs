//! Bodies of answers: none, some bytes, or a piece of a file as it is read, or while it is written.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::error::Error;

/// Large enough that the price of a chunk is small beside its bytes, small enough to stay in the processor's cache.
const CHUNK_BYTES: usize = 256 << 10;
/// Of a file that is still being written: what a slow client makes us hold.
const PIECES_AHEAD: usize = 4;

#[derive(Debug)]
pub(crate) enum Body {
    Empty,
    Bytes(Bytes),
    File(FileBody),
    /// Of a file that is still being written.
    Pieces {
        arriving: mpsc::Receiver<io::Result<Bytes>>,
        left: u64,
    },
    /// None is sent: it would be so long.
    Length(u64),
}

/// How far the writing of a file is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    Beginning,
    Going {
        bytes: u64,
    },
    /// All is there, and it is what it should be.
    Done,
    Failed(Error),
}

/// A file that is still being written.
#[derive(Debug)]
pub(crate) struct Arriving {
    pub(crate) file: File,
    /// When it is whole.
    pub(crate) size: u64,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl Arriving {
    /// A piece of it, as it comes. Its last byte is sent when the whole was found good: who gets all bytes got the right ones.
    pub(crate) fn body(self, first: u64, length: u64) -> Body {
        let (pieces, arriving) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(self.send(first, length, pieces));
        Body::Pieces { arriving, left: length }
    }

    async fn send(mut self, first: u64, length: u64, pieces: mpsc::Sender<io::Result<Bytes>>) {
        let file = Arc::new(self.file);
        let (mut position, end) = (first, first + length);
        while position < end {
            let available = match &*self.progress.borrow_and_update() {
                Progress::Beginning => Ok(0),
                Progress::Going { bytes } => Ok((*bytes).min(self.size.saturating_sub(1))),
                Progress::Done => Ok(self.size),
                Progress::Failed(error) => Err(io::Error::other(error.to_string())),
            };
            let piece = match available {
                Ok(available) if available > position => {
                    let length = (available.min(end) - position).min(CHUNK_BYTES as u64);
                    let file = file.clone();
                    let read = tokio::task::spawn_blocking(move || {
                        let mut chunk = vec![0; usize::try_from(length).unwrap_or(CHUNK_BYTES)];
                        file.read_exact_at(&mut chunk, position).map(|()| Bytes::from(chunk))
                    });
                    read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
                }
                Ok(_) if self.progress.changed().await.is_ok() => continue,
                Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(error),
            };
            position += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let failed = piece.is_err();
            // Who has gone away wants no more; the writing goes on for the next one.
            if pieces.send(piece).await.is_err() || failed {
                return;
            }
        }
    }
}

/// A piece of a file. What is in the page cache is read where the socket is written; only what the disk has to be asked
/// for goes to a thread that may wait.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Arc<File>,
    position: u64,
    left: u64,
    waiting: Option<JoinHandle<io::Result<Filled>>>,
    buffers: Arc<Buffers>,
}

/// Buffers to be filled again once what was in them has gone out: to get and clear a new one for each chunk costs about as
/// much as to read it.
#[derive(Debug, Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

/// One that holds a chunk.
#[derive(Debug)]
struct Filled {
    buffer: Vec<u8>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    fn take(self: &Arc<Self>, length: usize) -> Filled {
        let free = self.0.lock().ok().and_then(|mut free| free.pop());
        let mut buffer = free.unwrap_or_default();
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        Filled { buffer, length, home: self.clone() }
    }
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl AsMut<[u8]> for Filled {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Ok(mut free) = self.home.0.lock() {
            free.push(std::mem::take(&mut self.buffer));
        }
    }
}

impl FileBody {
    pub(crate) fn new(file: File, first: u64, length: u64) -> FileBody {
        let buffers = Arc::default();
        FileBody { file: Arc::new(file), position: first, left: length, waiting: None, buffers }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = match &mut self.waiting {
            Some(waiting) => {
                let read = ready!(Pin::new(waiting).poll(cx));
                self.waiting = None;
                read.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            None => match self.cached() {
                Some(read) => read,
                None => {
                    let (file, position) = (self.file.clone(), self.position);
                    let mut chunk = self.buffers.take(self.length());
                    self.waiting = Some(tokio::task::spawn_blocking(move || {
                        file.read_exact_at(chunk.as_mut(), position).map(|()| chunk)
                    }));
                    return self.poll_chunk(cx);
                }
            },
        };
        Poll::Ready(Some(chunk.map(|chunk| {
            self.position += chunk.length as u64;
            self.left -= chunk.length as u64;
            Bytes::from_owner(chunk)
        })))
    }

    fn length(&self) -> usize {
        usize::try_from(self.left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)
    }

    /// `None`: not without waiting.
    fn cached(&self) -> Option<io::Result<Filled>> {
        let mut chunk = self.buffers.take(self.length());
        let read = {
            let mut into = [IoSliceMut::new(chunk.as_mut())];
            preadv2(&self.file, &mut into, self.position, ReadWriteFlags::NOWAIT)
        };
        match read {
            // A blob never becomes shorter; who does that to its file breaks the connection.
            Ok(0) => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(bytes) => {
                chunk.length = bytes;
                Some(Ok(chunk))
            }
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => None,
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::File(file) => file.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
            Body::Pieces { arriving, left } => arriving.poll_recv(cx).map(|piece| {
                *left -= piece.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(0, |b| b.len() as u64);
                piece.map(|piece| piece.map(Frame::data))
            }),
            Body::Length(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(file) => file.left,
            Body::Pieces { left, .. } => *left,
            Body::Length(length) => *length,
        })
    }
}
