//! The format of the `json-file` driver: Docker's, so that everything which reads Docker's logs reads ours.
//!
//! ```text
//! {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}
//! ```

mod decode;
mod encode;

pub(crate) use decode::decode;
pub(crate) use encode::{escape, record};
