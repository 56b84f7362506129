//! The writing door: what a monitor opens and feeds.

use std::fmt::Debug;
use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::entry::Stream;
use crate::json_file::{JsonFileDestination, JsonFileWriter};
use crate::none::NoneWriter;

/// Where a container's output goes: fully resolved, so that whoever opens it has no decision left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "driver")]
pub enum Destination {
    JsonFile(JsonFileDestination),
    None,
}

/// Opens the destination for appending.
///
/// # Errors
///
/// What opening or creating the file says; the message carries the path.
pub fn open(destination: &Destination) -> io::Result<Box<dyn LogWriter>> {
    Ok(match destination {
        Destination::JsonFile(d) => Box::new(JsonFileWriter::open(d)?),
        Destination::None => Box::new(NoneWriter),
    })
}

/// A log being written. Not thread-safe by design: one monitor, one writer.
///
/// An error means that the records of this call are lost (disk full); the writer stays usable and the log
/// file never keeps half a record.
pub trait LogWriter: Debug + Send {
    /// Logs one chunk as it was read from the pipe. Unfinished lines wait for the next chunk.
    fn write(&mut self, stream: Stream, chunk: &[u8], now: Timestamp) -> io::Result<()>;

    /// The pipe was closed: logs what is left without a newline.
    fn end_of_stream(&mut self, stream: Stream, now: Timestamp) -> io::Result<()>;

    /// Does a bounded piece of background work (compressing a rotated file), for moments in which no output
    /// waits. Answers whether there is more to do.
    fn idle(&mut self) -> io::Result<bool>;

    /// Finishes everything. Lines still unfinished are written.
    fn close(&mut self) -> io::Result<()>;
}
