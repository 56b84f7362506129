//! Log drivers: where a container's output goes and how it is read back.
//!
//! The room has two doors. The **writing** door is used by a monitor, a tiny single-threaded process that
//! owns the container's pipes: [`open`] gives a [`LogWriter`], and every chunk read from a pipe is handed to
//! [`LogWriter::write`] as it came. Cutting into lines, escaping, rotating and compressing happen inside, with
//! one `write(2)` per chunk and no allocation once the buffers have grown. The **reading** door is used by
//! the engine: [`Reader::open`] yields [`Entry`]s, oldest first, across rotated and compressed files, and
//! can follow what is still being written.
//!
//! The engine turns what a user asked for (driver name and `--log-opt`) into a [`Destination`] with
//! [`attributes`] and [`resolve`]; that value is what the monitor gets. [`validate`] is the same check alone.
//!
//! Adding a driver: a module with its writer, a variant of [`Destination`], a line in [`resolve`] and [`open`],
//! and a line in `tests/suite.rs`, which every driver passes.

mod config;
mod entry;
mod follow;
mod json_file;
mod none;
mod reader;
mod split;
mod tag;
mod writer;

pub use config::{ConfigError, ContainerFacts, DEFAULT_DRIVER, DRIVERS, attributes, resolve, validate};
pub use entry::{Entry, Stream};
pub use json_file::JsonFileDestination;
pub use reader::{Query, Reader, Tail};
pub use writer::{Destination, LogWriter, open};
