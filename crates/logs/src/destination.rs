//! The writing door: where a log goes, and opening it.

use std::io;

use serde::{Deserialize, Serialize};

use crate::file::{FileDestination, FileWriter};
use crate::lines::Lines;
use crate::none::NoneWriter;
use crate::remote::{Pipe, RemoteDestination, RemoteWriter};
use crate::writer::LogWriter;

/// Where a container's output goes: fully resolved, so that whoever opens it has no decision left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    pub(crate) to: To,
    /// `--log-opt stdin=true`: what is typed is recorded, too.
    pub(crate) stdin: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum To {
    File(FileDestination),
    Remote(Box<RemoteDestination>),
    None,
}

impl Destination {
    /// Nowhere (`--log-driver none`, execs).
    pub const NONE: Self = Self { to: To::None, stdin: false };

    /// Who has to run [`crate::forward`] for it.
    pub fn remote(&self) -> Option<&RemoteDestination> {
        match &self.to {
            To::Remote(remote) => Some(remote),
            To::File(_) | To::None => None,
        }
    }
}

/// Opens the destination for appending. A [`Destination::remote`] one needs a forwarder, which `forwarder` starts.
///
/// # Errors
///
/// What opening or creating the file says, with its path; why there is no forwarder.
pub fn open(
    destination: &Destination,
    forwarder: impl FnOnce(&RemoteDestination) -> io::Result<Pipe>,
) -> io::Result<Box<dyn LogWriter>> {
    Ok(match &destination.to {
        To::File(file) => Box::new(Lines::new(FileWriter::open(file)?, destination.stdin)),
        To::Remote(remote) => {
            let pipe = forwarder(remote)?;
            Box::new(Lines::new(RemoteWriter::open(remote, pipe)?, destination.stdin))
        }
        To::None => Box::new(NoneWriter),
    })
}
