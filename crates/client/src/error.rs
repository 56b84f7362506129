//! What can go wrong between a client and an engine.

use crate::address::AddressError;
use http::StatusCode;
use std::io;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side is not who it should be, or does not believe that of us.
    #[error("{}", tls_text(address, source))]
    Tls { address: String, source: io::Error },
    /// The address is not one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing listens there. Docker's text, on which people and scripts rely.
    #[error("{}", connect_text(address, source))]
    Connect { address: String, source: io::Error },
    /// The engine went away before it had answered. Whether it has done what it was asked is not known, so that nobody asks
    /// the next one for it unasked.
    #[error("{}", nobody(address))]
    Lost { address: String },
    /// The engine answered with an error; `message` is its text.
    #[error("Error response from daemon: {message}")]
    Api { status: StatusCode, message: String },
    /// The conversation broke.
    #[error("error during connect: {method} {path}: {source}")]
    Transport { method: http::Method, path: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// A reply could not be read as what it should be.
    #[error("cannot read the reply to {what}: {source}")]
    Decode { what: String, source: serde_json::Error },
    /// An object was named by nothing; the engine would be asked for something else.
    #[error("invalid {kind} name or ID: value is empty")]
    Nameless { kind: &'static str },
    /// What is named by nothing is not there.
    #[error("Error: No such {kind}: ")]
    NoSuch { kind: &'static str },
    /// A stream broke off.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// HTTP status of an engine's refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Error::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND) || matches!(self, Error::NoSuch { .. })
    }

    /// The engine went away while it was asked.
    pub fn is_lost(&self) -> bool {
        matches!(self, Error::Lost { .. })
    }

    /// No engine is there (as opposed to one that refuses).
    pub fn is_connect(&self) -> bool {
        matches!(self, Error::Connect { .. })
    }
}

fn connect_text(address: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("permission denied while trying to connect to the docker API at {address}")
        }
        io::ErrorKind::NotFound => match address.strip_prefix("unix://") {
            Some(path) => format!(
                "failed to connect to the docker API at {address}; check if the path is correct and if the daemon is \
                 running: dial unix {path}: connect: no such file or directory"
            ),
            None => format!("failed to connect to the docker API at {address}: {source}"),
        },
        // Whatever a socket's file answers, nobody is behind it.
        _ if address.starts_with("unix://") => nobody(address),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut => nobody(address),
        _ => format!("error during connect: {address}: {source}"),
    }
}

fn nobody(address: &str) -> String {
    format!("Cannot connect to the Docker daemon at {address}. Is the docker daemon running?")
}

fn tls_text(address: &str, source: &io::Error) -> String {
    let why = source.to_string();
    // What rustls says when the first bytes are not a record of TLS, as an answer in plain HTTP is not.
    let plain = why.contains("InvalidContentType") || why.contains("InvalidMessage");
    // Alerts of a server that wants another certificate, or any.
    let unwelcome =
        ["CertificateRequired", "BadCertificate", "HandshakeFailure", "UnknownCA", "CertificateUnknown"];
    if plain {
        format!(
            "error during connect: {address}: the server does not speak TLS ({why}): leave out --tls and --tlsverify"
        )
    } else if why.contains("received fatal alert") && unwelcome.iter().any(|alert| why.contains(alert)) {
        format!(
            "the server probably has client authentication (--tlsverify) enabled; check your TLS client certification \
             settings: {address}: {why}"
        )
    } else {
        format!("error during connect: {address}: {why}")
    }
}
