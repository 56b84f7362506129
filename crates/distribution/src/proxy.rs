//! Proxies, as the environment names them for Go's programs.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::Result;
use crate::url::{Origin, Url};

/// `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    pub http: String,
    pub https: String,
    pub none_for: String,
}

/// One proxy, and how we introduce ourselves.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) origin: Origin,
    /// `user:password`.
    pub(crate) user: Option<String>,
}

impl Proxies {
    /// From the environment, capitals first.
    pub fn from_environment() -> Self {
        let variable = |name: &str| {
            let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            of(name).or_else(|| of(&name.to_ascii_lowercase())).unwrap_or_default()
        };
        Self { http: variable("HTTP_PROXY"), https: variable("HTTPS_PROXY"), none_for: variable("NO_PROXY") }
    }

    /// The proxy on the way to an origin, if there is one.
    pub(crate) fn to(&self, origin: &Origin) -> Result<Option<Proxy>> {
        let text = if origin.secure { &self.https } else { &self.http };
        if text.is_empty() || self.is_direct(origin) {
            return Ok(None);
        }
        let text = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", &text));
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(decode(user)), rest),
            None => (None, rest),
        };
        Ok(Some(Proxy { origin: Url::parse(&format!("{scheme}://{rest}"))?.origin, user }))
    }

    fn is_direct(&self, origin: &Origin) -> bool {
        let address = origin.host.parse::<IpAddr>().ok();
        // As in Go: what is on this machine needs no proxy.
        if origin.host == "localhost" || address.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        self.none_for.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
            if entry == "*" {
                return true;
            }
            if let Ok(network) = entry.parse::<IpNet>() {
                return address.is_some_and(|ip| network.contains(&ip));
            }
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => {
                    (name, port.parse().ok())
                }
                _ => (entry, None),
            };
            let below = name.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
            let named = origin.host == below && !name.starts_with('.')
                || origin.host.strip_suffix(&below).is_some_and(|rest| rest.ends_with('.'));
            named && port.is_none_or(|port: u16| port == origin.port)
        })
    }
}

/// `%40` and the like.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_found_by_scheme_and_left_out_by_name() {
        let proxies = Proxies {
            http: "proxy:3128".into(),
            https: "http://u%40x:p@secure:8080".into(),
            none_for: "example.com,.internal, 10.0.0.0/8,only:5000".into(),
        };
        let to = |secure, authority: &str| {
            proxies
                .to(&Origin::parse(secure, authority).unwrap())
                .unwrap()
                .map(|proxy| proxy.origin.authority())
        };
        assert_eq!(to(false, "hub").unwrap(), "proxy:3128");
        assert_eq!(to(true, "hub").unwrap(), "secure:8080");
        let user = proxies.to(&Origin::parse(true, "hub").unwrap()).unwrap().unwrap().user;
        assert_eq!(user.unwrap(), "u@x:p");
        for direct in [
            "localhost:5000",
            "127.0.0.1",
            "example.com",
            "a.example.com",
            "x.internal",
            "10.9.9.9",
            "only:5000",
        ] {
            assert_eq!(to(false, direct), None, "{direct}");
        }
        for through in ["notexample.com", "internal", "only:5001", "11.0.0.1"] {
            assert!(to(false, through).is_some(), "{through}");
        }
    }
}
