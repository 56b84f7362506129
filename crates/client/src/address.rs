//! Where an engine listens: `unix:///path`, `tcp://host:port`.
//!
//! Names are looked up in `/etc/hosts` only: the binary is static, and glibc's `getaddrinfo` would load the
//! host's NSS modules into it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    #[error("cannot find the address of {0}: it is not in /etc/hosts, and names are not resolved yet")]
    UnknownHost(String),
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

/// The socket addresses of a host, best first.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, AddressError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if host == "localhost" {
        return Ok(vec![
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), port),
        ]);
    }
    let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let found: Vec<_> = hosts_entries(&table, host).map(|ip| SocketAddr::new(ip, port)).collect();
    if found.is_empty() { Err(AddressError::UnknownHost(host.to_owned())) } else { Ok(found) }
}

/// hosts(5): an address, then names; `#` begins a comment.
fn hosts_entries<'a>(table: &'a str, host: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
    table.lines().filter_map(move |line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(ip)
    })
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

    #[test]
    fn names_come_from_hosts() {
        let table = "127.0.0.1 localhost\n# 1.1.1.1 box\n10.0.0.7\tother box # x\nfe80::1 BOX\n";
        let found: Vec<IpAddr> = hosts_entries(table, "box").collect();
        assert_eq!(found, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
    }
}
