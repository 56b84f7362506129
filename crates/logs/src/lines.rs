//! From chunks to records: what every driver shares.

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;

use jiff::Timestamp;

use crate::split::{Piece, Splitter};
use crate::stream::Stream;
use crate::writer::LogWriter;

/// Where records go. Records are gathered until [`Sink::flush`].
pub(crate) trait Sink: Debug + Send {
    fn add(&mut self, stream: Stream, piece: Piece<'_>) -> io::Result<()>;

    fn flush(&mut self) -> io::Result<()>;

    /// See [`LogWriter::idle`]; also called once per chunk.
    fn idle(&mut self) -> io::Result<bool>;

    /// See [`LogWriter::clear`].
    fn clear(&mut self) -> io::Result<()>;

    fn close(&mut self) -> io::Result<()>;

    /// See [`LogWriter::waits_for`].
    fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// See [`LogWriter::descriptor`].
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// See [`LogWriter::holds_back`].
    fn holds_back(&self) -> bool {
        false
    }
}

/// A driver: its sink, behind the cutting into lines.
#[derive(Debug)]
pub(crate) struct Lines<S> {
    sink: S,
    splitters: [Splitter; 3],
    /// `--log-opt stdin=true`
    stdin: bool,
    last_time: Timestamp,
}

impl<S: Sink> Lines<S> {
    pub(crate) fn new(sink: S, stdin: bool) -> Self {
        Self { sink, splitters: Default::default(), stdin, last_time: Timestamp::UNIX_EPOCH }
    }
}

impl<S: Sink> LogWriter for Lines<S> {
    fn records(&self, stream: Stream) -> bool {
        stream != Stream::Stdin || self.stdin
    }

    fn write(&mut self, stream: Stream, chunk: &[u8], now: Timestamp) -> io::Result<()> {
        let Self { sink, splitters, .. } = self;
        let mut result = Ok(());
        splitters[stream as usize].push(chunk, now, |piece| keep_first(&mut result, sink.add(stream, piece)));
        keep_first(&mut result, sink.flush());
        keep_first(&mut result, sink.idle().map(|_| ()));
        self.last_time = self.last_time.max(now);
        result
    }

    fn end_of_stream(&mut self, stream: Stream, now: Timestamp) -> io::Result<()> {
        let Self { sink, splitters, .. } = self;
        let mut result = Ok(());
        splitters[stream as usize].finish(now, |piece| keep_first(&mut result, sink.add(stream, piece)));
        keep_first(&mut result, sink.flush());
        result
    }

    fn idle(&mut self) -> io::Result<bool> {
        self.sink.idle()
    }

    fn clear(&mut self) -> io::Result<()> {
        self.sink.clear()
    }

    fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        self.sink.waits_for()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.sink.descriptor()
    }

    fn holds_back(&self) -> bool {
        self.sink.holds_back()
    }

    fn close(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for stream in [Stream::Stdin, Stream::Stdout, Stream::Stderr] {
            keep_first(&mut result, self.end_of_stream(stream, self.last_time));
        }
        keep_first(&mut result, self.sink.close());
        result
    }
}

/// The first error of several is the one that is told.
pub(crate) fn keep_first(result: &mut io::Result<()>, next: io::Result<()>) {
    if result.is_ok() {
        *result = next;
    }
}
