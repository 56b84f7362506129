//! Log drivers: where a container's output goes and how it is read back.
//!
//! The room has three doors. The **writing** door is used by a monitor, a tiny single-threaded process that
//! owns the container's pipes: [`open`] gives a [`LogWriter`], and every chunk read from a pipe is handed to
//! [`LogWriter::write`] as it came. Cutting into lines, escaping, rotating and compressing happen inside, with
//! one `write(2)` per chunk and no allocation once the buffers have grown. The **forwarding** door, [`forward`], is the whole
//! life of the process that takes records to a collector (syslog, gelf, fluentd, journald). The **reading** door is used by
//! the engine: [`Reader::open`] yields [`Entry`]s, oldest first, across rotated and compressed files, and
//! can follow what is still being written.
//!
//! The engine turns what a user asked for (driver name and `--log-opt`) into a [`Destination`] with
//! [`resolve`]; that value is what the monitor gets. [`validate`] is the same check alone, [`kept`] says what can be read.
//!
//! Adding a driver: a module with its options and its encoding, a variant where destinations are listed ([`mod@remote`] for a
//! collector), a line in [`resolve`], and a test in `tests/`.

mod config;
mod destination;
mod entry;
mod facts;
mod file;
mod follow;
mod json_file;
mod lines;
mod local;
mod none;
mod options;
mod pattern;
mod reader;
mod remote;
mod split;
mod stream;
mod tag;
mod time;
mod writer;

pub use config::{DEFAULT_DRIVER, DRIVERS, is_inherited, kept, resolve, validate};
pub use destination::{Destination, open};
pub use entry::Entry;
pub use facts::{ConfigError, ContainerFacts};
pub use file::{Format, clear, size};
pub use pattern::Pattern;
pub use reader::{Query, Reader, Tail};
pub use remote::{Pipe, RemoteDestination, forward};
pub use stream::Stream;
pub use writer::LogWriter;
