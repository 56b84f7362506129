//! Just as much of URLs as registries need: origin and target, and where a `Location` leads.

use std::fmt;

use crate::error::{Error, Result};

/// Whom one talks to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) secure: bool,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) origin: Origin,
    /// Path and query, with the slash they begin with.
    pub(crate) target: String,
}

impl Origin {
    /// `host`, `host:port`, `[v6]:port`.
    pub(crate) fn parse(secure: bool, authority: &str) -> Result<Self> {
        let bad = || Error::Invalid(format!("invalid registry host {authority:?}"));
        let default = if secure { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(bad)?;
                (host, after.strip_prefix(':').unwrap_or_default())
            }
            None => authority.rsplit_once(':').unwrap_or((authority, "")),
        };
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._:%".contains(&b);
        if host.is_empty() || !host.bytes().all(valid) {
            return Err(bad());
        }
        let port = if port.is_empty() { default } else { port.parse().map_err(|_| bad())? };
        Ok(Self { secure, host: host.to_ascii_lowercase(), port })
    }

    /// As a `Host` header and in URLs: without the scheme's own port.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    pub(crate) fn with(&self, target: impl Into<String>) -> Url {
        Url { origin: self.clone(), target: target.into() }
    }
}

impl Url {
    /// An absolute URL. A fragment is dropped; who puts a user into it is refused.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = || Error::Invalid(format!("invalid URL {text:?}"));
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(bad()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        if !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad());
        }
        Ok(Self { origin: Origin::parse(secure, authority).map_err(|_| bad())?, target })
    }

    /// Where a `Location` leads from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self> {
        if location.contains("://") && !location.starts_with('/') {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            let scheme = if self.origin.secure { "https" } else { "http" };
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{path}{location}"),
            _ => format!("{}/{location}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
        };
        Self::parse(&format!("{}{target}", self.origin))
    }

    /// With one more argument in its query.
    #[must_use]
    pub(crate) fn and(mut self, key: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(key);
        self.target.push('=');
        self.target.push_str(&encode(value));
        self
    }
}

/// A value of a query or a form.
pub(crate) fn encode(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            // Writing to a String cannot fail.
            _ => _ = write!(out, "%{byte:02X}"),
        }
        out
    })
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_locations_followed() {
        let base = Url::parse("https://h:5000/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, leads) in [
            ("/v2/x?y=z", "https://h:5000/v2/x?y=z"),
            ("https://other/x", "https://other/x"),
            ("http://other:80/x#f", "http://other/x"),
            ("//cdn/x", "https://cdn/x"),
            ("uuid", "https://h:5000/v2/a/blobs/uploads/uuid"),
            ("?s=1", "https://h:5000/v2/a/blobs/uploads/?s=1"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), leads, "{location}");
        }
        for bad in ["ftp://h/", "https:///x", "https://u:p@h/", "https://h/a b", "https://h:x/"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            base.and("digest", "sha256:a/b").to_string(),
            "https://h:5000/v2/a/blobs/uploads/?x=1&digest=sha256%3Aa%2Fb"
        );
        assert_eq!(Origin::parse(true, "[::1]:5000").unwrap().authority(), "[::1]:5000");
    }
}
