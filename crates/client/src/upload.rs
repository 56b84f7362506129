//! A request's body that a blocking thread writes while it is sent.

use crate::connection::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Pieces between the writer and the socket: enough to keep both busy.
const PIECES: usize = 8;

/// What is written here is the request's body. Dropped without [`UploadWriter::end`], the request is broken off.
#[derive(Debug)]
pub struct UploadWriter(mpsc::Sender<Option<Bytes>>);

/// The body itself.
#[derive(Debug)]
pub struct Upload {
    pieces: mpsc::Receiver<Option<Bytes>>,
    ended: bool,
}

/// A body and its writer.
pub fn upload() -> (UploadWriter, Upload) {
    let (sender, pieces) = mpsc::channel(PIECES);
    (UploadWriter(sender), Upload { pieces, ended: false })
}

impl UploadWriter {
    fn put(&self, piece: Option<Bytes>) -> io::Result<()> {
        // The engine has answered already: it wants no more.
        self.0.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// The body is complete.
    pub fn end(self) -> io::Result<()> {
        self.put(None)
    }
}

impl Write for UploadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(Some(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload {
    pub(crate) fn body(self) -> Body {
        self.boxed_unsync()
    }
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.pieces.poll_recv(context));
        Poll::Ready(match piece {
            Some(Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(None) => {
                self.ended = true;
                None
            }
            None => Some(Err(io::Error::other("what was to be sent broke off"))),
        })
    }
}
