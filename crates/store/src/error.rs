//! What can go wrong in the store, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store. Texts are those that Docker prints where Docker has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("data root {root} is in use by another engine (pid {pid})", root = root.display())]
    InUse { root: PathBuf, pid: String },
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// An image is there, but not for the platform that was asked for; Docker's text.
    #[error("{0}")]
    NoPlatform(String),
    #[error("multiple IDs found with provided prefix: {0}")]
    AmbiguousId(String),
    #[error("no such snapshot: {0}")]
    NoSuchSnapshot(String),
    #[error("no such blob: {0}")]
    NoSuchBlob(oci::Digest),
    /// Docker's 409: something still uses it.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The caller's input is wrong: reference, change instruction, archive.
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Reference(#[from] oci::ReferenceError),
    #[error("digest mismatch: expected {expected}, got {actual}")]
    DigestMismatch { expected: oci::Digest, actual: oci::Digest },
    #[error("{digest}: {actual} bytes came where {expected} were announced")]
    WrongSize { digest: oci::Digest, expected: u64, actual: u64 },
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error("record {namespace}/{key}: {cause}")]
    Record { namespace: &'static str, key: String, cause: String },
    #[error("database {path}: {source}", path = path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("{operation} {path}: {source}", path = path.display())]
    Path { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A directory cannot be limited; why not, and what to do.
    #[error("{directory} {why}", directory = directory.display())]
    NoQuotas { directory: PathBuf, why: String },
    #[error("{0} is not supported")]
    Unsupported(String),
}

/// Coarse class, for the engine's mapping to its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    NotFound,
    Conflict,
    Invalid,
    Unsupported,
    Internal,
}

impl Error {
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::NoSuchImage(_)
            | Error::NoPlatform(_)
            | Error::NoSuchSnapshot(_)
            | Error::NoSuchBlob(_) => ErrorClass::NotFound,
            Error::InUse { .. } | Error::Conflict(_) => ErrorClass::Conflict,
            Error::AmbiguousId(_)
            | Error::Invalid(_)
            | Error::Reference(_)
            | Error::DigestMismatch { .. }
            | Error::WrongSize { .. } => ErrorClass::Invalid,
            Error::Archive(error) if error.is_input() => ErrorClass::Invalid,
            Error::Unsupported(_) | Error::NoQuotas { .. } => ErrorClass::Unsupported,
            Error::Archive(_)
            | Error::Record { .. }
            | Error::Database { .. }
            | Error::Path { .. }
            | Error::Io(_) => ErrorClass::Internal,
        }
    }
}

/// Adds operation and path to an I/O error.
pub(crate) trait At<T> {
    fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Path { operation, path: path.as_ref().into(), source: source.into() })
    }
}
