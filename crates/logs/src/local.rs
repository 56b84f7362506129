//! The format of the `local` driver: Docker's, so that an engine of either kind reads what the other wrote.
//!
//! A record is a protobuf message between its length and its length again (4 bytes, big-endian), so that a file can be
//! read from its end:
//!
//! ```text
//! message LogEntry { string source = 1; int64 time_nano = 2; bytes line = 3; bool partial = 4;
//!                    PartialLogEntryMetadata partial_log_metadata = 5; repeated LogAttr attrs = 6; }
//! message PartialLogEntryMetadata { bool last = 1; string id = 2; int32 ordinal = 3; }
//! message LogAttr { string key = 1; string value = 2; }
//! ```

mod decode;
mod encode;

pub(crate) use decode::{attrs, decode};
pub(crate) use encode::{encode_attrs, record};

/// Of a length, before and after the message.
pub(crate) const LENGTH_BYTES: usize = 4;

/// The longest message, as in Docker.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1_000_000;
