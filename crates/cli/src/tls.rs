//! The flags about TLS, and the files that they name.

use std::path::{Path, PathBuf};

use client::TlsFiles;

use crate::environment::environment;

/// `--tls` and its files.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsOptions {
    /// Encrypt.
    pub(crate) on: bool,
    /// And look who the engine is.
    pub(crate) verify: bool,
    pub(crate) ca: Option<String>,
    pub(crate) cert: Option<String>,
    pub(crate) key: Option<String>,
}

impl TlsOptions {
    /// What TLS needs, when it is wanted: the files named, else those of `DOCKER_CERT_PATH` or of the configuration.
    pub(crate) fn files(&self, directory: &Path) -> Result<Option<TlsFiles>, String> {
        if !self.on {
            return Ok(None);
        }
        let default = environment("DOCKER_CERT_PATH").map_or_else(|| directory.to_owned(), PathBuf::from);
        let named = |flag: &Option<String>, name: &str| match flag {
            Some(path) => PathBuf::from(path),
            None => default.join(name),
        };
        // A certificate of ours is needed only when it was named, or is there.
        let optional = |flag: &Option<String>, name: &str| match read(&named(flag, name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Unreadable::Missing(_)) if flag.is_none() => Ok(None),
            Err(error) => Err(error.text()),
        };
        Ok(Some(TlsFiles {
            ca: Some(read(&named(&self.ca, "ca.pem")).map_err(Unreadable::text)?),
            cert: optional(&self.cert, "cert.pem")?,
            key: optional(&self.key, "key.pem")?,
            verify: self.verify,
        }))
    }
}

/// Why a file is not there to be used.
pub(crate) enum Unreadable {
    Missing(String),
    Other(String),
}

impl Unreadable {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Missing(text) | Self::Other(text) => text,
        }
    }
}

/// A file's content, its errors in the words of Docker's client.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Unreadable::Missing(format!("open {}: no such file or directory", path.display()))
        }
        _ => Unreadable::Other(format!("open {}: {error}", path.display())),
    })
}
