//! Native probes: health checks that need no process. `["PROBE", "http://:8080/live"]` as a check's test.
//!
//! ```text
//! http://[HOST][:PORT][/PATH]   healthy when the answer's status is 200 to 399
//! tcp://[HOST]:PORT             healthy when it accepts a connection
//! file:///PATH                  healthy when there is such a file
//! ```
//!
//! All of it as the container sees it: its network, its files. A host is an address; none, or `localhost`, is the
//! container's loopback, over IPv4 and then IPv6.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// First word of such a test.
pub(crate) const WORD: &str = "PROBE";

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Http {
        at: Place,
        /// With its leading slash, and the query.
        path: String,
    },
    Tcp {
        at: Place,
    },
    /// Absolute, in the container.
    File {
        path: String,
    },
}

/// An address and port; `None` is the loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub host: Option<IpAddr>,
    pub port: u16,
}

impl Place {
    /// In the order in which they are tried.
    pub fn addresses(self) -> Vec<SocketAddr> {
        let hosts = match self.host {
            Some(host) => vec![host],
            None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        hosts.into_iter().map(|host| SocketAddr::new(host, self.port)).collect()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => SocketAddr::new(host, self.port).fmt(f),
            None => write!(f, "localhost:{}", self.port),
        }
    }
}

impl Probe {
    /// # Errors
    /// What is wrong with it, with the text itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("invalid health probe \"{text}\": {why}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            wrong("it is not of the form http://HOST:PORT/PATH, tcp://HOST:PORT or file:///PATH")
        })?;
        if text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            return Err(wrong("it has white space in it"));
        }
        match scheme {
            "http" => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, path) = rest.split_at(end);
                let path = path.split('#').next().unwrap_or_default();
                let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
                Ok(Self::Http { at: place(authority, Some(80)).map_err(|why| wrong(&why))?, path })
            }
            "tcp" => Ok(Self::Tcp { at: place(rest, None).map_err(|why| wrong(&why))? }),
            "file" if rest.len() > 1 && rest.starts_with('/') => Ok(Self::File { path: rest.to_owned() }),
            "file" => Err(wrong("a file's path is absolute, as in file:///run/ready")),
            _ => Err(wrong("there are http, tcp and file; anything else is a command in the container")),
        }
    }
}

fn place(authority: &str, default_port: Option<u16>) -> Result<Place, String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a bracket is not closed")?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let host = match host {
        "" | "localhost" => None,
        // Names would be looked up by the engine, which is not where the container is.
        text => Some(text.parse().map_err(|_| "a host is an IP address or localhost".to_owned())?),
    };
    let port = match (port, default_port) {
        (Some(text), _) => {
            text.parse().ok().filter(|port| *port != 0).ok_or("a port is a number up to 65535")?
        }
        (None, Some(port)) => port,
        (None, None) => return Err("it needs a port".into()),
    };
    Ok(Place { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_read() {
        let http = |host: Option<&str>, port, path: &str| Probe::Http {
            at: Place { host: host.map(|host| host.parse().unwrap()), port },
            path: path.into(),
        };
        for (text, probe) in [
            ("http://:8080/x?y=1#z", http(None, 8080, "/x?y=1")),
            ("http://localhost", http(None, 80, "/")),
            ("http://10.0.0.1?q", http(Some("10.0.0.1"), 80, "/?q")),
            ("http://[::1]:81/", http(Some("::1"), 81, "/")),
            ("tcp://:5432", Probe::Tcp { at: Place { host: None, port: 5432 } }),
            ("file:///run/ready", Probe::File { path: "/run/ready".into() }),
        ] {
            assert_eq!(Probe::parse(text).as_ref(), Ok(&probe), "{text}");
        }
        for text in [
            "",
            "x",
            "http://web/",
            "https://:1/",
            "tcp://localhost",
            "tcp://:0",
            "tcp://:x",
            "file://x",
            "file:///",
            "http://[::1",
            "http://u@h/",
            "http://:1/a b",
            "http://:1/a\r\nb",
        ] {
            let error = Probe::parse(text).unwrap_err();
            assert!(error.starts_with("invalid health probe"), "{text}: {error}");
        }
    }
}
