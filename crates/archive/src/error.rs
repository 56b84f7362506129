//! What is wrong with an archive, or with the disk it is unpacked to.

use std::io;

/// An error with the name of the entry it concerns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("invalid tar header: {0}")]
    Header(String),
    #[error("archive is truncated{}", within(.0))]
    Truncated(String),
    #[error("{0:?} points outside of the root directory")]
    Escape(String),
    #[error("{name:?}: {reason}")]
    Entry { name: String, reason: String },
    /// A directory is in the way of something else, or the other way round.
    #[error("{0}")]
    Overwrite(String),
    #[error("archive exceeds the limit of {limit} {what}")]
    Limit { what: &'static str, limit: u64 },
    #[error("{0} compression is not supported")]
    Compression(&'static str),
    #[error("decompress: {0}")]
    Decompress(io::Error),
    #[error("{operation} {name:?}: {source}")]
    At { operation: &'static str, name: String, source: io::Error },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// Is it the archive that is wrong, rather than this machine?
    pub fn is_input(&self) -> bool {
        !matches!(self, Error::At { .. } | Error::Io(_))
    }

    /// Is the disk full (or the quota)?
    pub fn is_full_disk(&self) -> bool {
        match self {
            Error::At { source, .. } | Error::Io(source) => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

fn within(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" within {name:?}") }
}

/// Adds operation and entry to a system call's error.
pub(crate) trait At<T> {
    fn at(self, operation: &'static str, name: &[u8]) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, operation: &'static str, name: &[u8]) -> Result<T, Error> {
        self.map_err(|source| Error::At {
            operation,
            name: String::from_utf8_lossy(name).into_owned(),
            source: source.into(),
        })
    }
}
