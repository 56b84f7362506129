//! Where an engine listens: `unix:///path`, `tcp://host:port`.

use std::path::PathBuf;
use std::str::FromStr;

/// Docker's default.
pub const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
        /// Put before every request path (`tcp://host:port/base`), without a slash at the end.
        base: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("invalid bind address format: {0}")]
    Unparsable(String),
    /// Docker's client starts `ssh` here.
    #[error(
        "{0}: connections over ssh are not supported: forward the socket (ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock \
         user@host) and name it with -H unix:///tmp/engine.sock"
    )]
    Ssh(String),
    #[error("{0}: not a protocol of clients: use unix:// or tcp://")]
    Unsupported(String),
    #[error(transparent)]
    Lookup(#[from] dial::LookupError),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError::Unparsable(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        match scheme {
            _ if rest.contains("://") => {
                Err(AddressError::Unparsable(format!("{text}: expected one address after {scheme}://")))
            }
            "unix" if rest.is_empty() => Self::from_str(DEFAULT_SOCKET),
            "unix" => Ok(Address::Unix(PathBuf::from(rest))),
            "tcp" => {
                let (authority, base) = match rest.find('/') {
                    Some(at) => (&rest[..at], rest[at..].trim_end_matches('/')),
                    None => (rest, ""),
                };
                let (host, port) = split_port(authority).ok_or_else(bad)?;
                let host = if host.is_empty() { "localhost" } else { host };
                Ok(Address::Tcp { host: host.to_owned(), port, base: base.to_owned() })
            }
            "ssh" => Err(AddressError::Ssh(text.to_owned())),
            "fd" | "npipe" => Err(AddressError::Unsupported(text.to_owned())),
            _ => Err(bad()),
        }
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`; Docker's plain port is 2375.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    Some((
        host,
        match port {
            None | Some("") => 2375,
            Some(port) => port.parse().ok()?,
        },
    ))
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp { host, port, base } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}{base}")
            }
            Address::Tcp { host, port, base } => write!(f, "tcp://{host}:{port}{base}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for (text, printed) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("unix://", DEFAULT_SOCKET),
            ("tcp://127.0.0.1:2376", "tcp://127.0.0.1:2376"),
            ("tcp://127.0.0.1", "tcp://127.0.0.1:2375"),
            ("tcp://[::1]:5", "tcp://[::1]:5"),
            ("tcp://:99", "tcp://localhost:99"),
            ("tcp://h:1/base/", "tcp://h:1/base"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), printed, "{text}");
        }
        for bad in ["", "foo", "tcp://h:99999", "gopher://x", "http://x"] {
            assert_eq!(
                bad.parse::<Address>().unwrap_err().to_string(),
                format!("invalid bind address format: {bad}")
            );
        }
        assert!(matches!("fd://x".parse::<Address>(), Err(AddressError::Unsupported(_))));
        assert!(matches!("ssh://a".parse::<Address>(), Err(AddressError::Ssh(_))));
    }
}
