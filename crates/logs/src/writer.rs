//! The writing door's trait: what a monitor feeds.

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;

use jiff::Timestamp;

use crate::stream::Stream;

/// A log being written. Not thread-safe by design: one monitor, one writer.
///
/// An error means that the records of this call are lost (disk full); the writer stays usable and the log
/// file never keeps half a record.
pub trait LogWriter: Debug + Send {
    /// Whether this stream is wanted: output always, input where it was asked for.
    fn records(&self, stream: Stream) -> bool;

    /// Logs one chunk as it was read from the pipe. Unfinished lines wait for the next chunk.
    fn write(&mut self, stream: Stream, chunk: &[u8], now: Timestamp) -> io::Result<()>;

    /// The pipe was closed: logs what is left without a newline.
    fn end_of_stream(&mut self, stream: Stream, now: Timestamp) -> io::Result<()>;

    /// Does a bounded piece of background work (compressing a rotated file), for moments in which no output
    /// waits, or in which [`LogWriter::waits_for`] is ready. Answers whether there is more to do now.
    fn idle(&mut self) -> io::Result<bool>;

    /// Something waits until this can be written to; then [`LogWriter::idle`] goes on.
    fn waits_for(&self) -> Option<BorrowedFd<'_>>;

    /// What [`LogWriter::waits_for`] would give if something waited.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Output should not be read from the container now, since the log takes no more (`mode=blocking`).
    fn holds_back(&self) -> bool;

    /// Forgets all records that are kept on this machine.
    fn clear(&mut self) -> io::Result<()>;

    /// Finishes everything. Lines still unfinished are written.
    fn close(&mut self) -> io::Result<()>;
}
