//! Image references with Docker's normalisation: `debian` means `docker.io/library/debian`.
//!
//! ```text
//! reference := name [":" tag] ["@" digest]
//! name      := [domain "/"] path
//! domain    := host [":" port]        path := component ["/" component]*
//! component := [a-z0-9]+ (separator [a-z0-9]+)*      separator := "." | "_" | "__" | "-"+
//! tag       := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
//! ```
//!
//! The grammar and the error texts are those of distribution/reference, which every Docker tool uses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};

/// The registry that a name without one means.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag that a name without one means, where Docker supplies one.
pub const DEFAULT_TAG: &str = "latest";

const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const PATH_LEN_MAX: usize = 255;
const TAG_LEN_MAX: usize = 128;

/// Why a text is no reference, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UppercaseName(String),
    #[error("repository name must be lowercase")]
    Uppercase,
    #[error("repository name must have at least one component")]
    Empty,
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    #[error("invalid tag format")]
    Tag,
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A normalised reference: domain, path, and perhaps a tag and a digest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses what a person types; short names are completed.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if is_identifier(text) {
            return Err(ReferenceError::Identifier(text.into()));
        }
        let (domain, remainder) = split_domain(text);
        let remainder = match domain {
            DEFAULT_DOMAIN if !remainder.contains('/') => format!("{OFFICIAL_PREFIX}{remainder}"),
            _ => remainder.to_owned(),
        };
        let remote = remainder.split(':').next().unwrap_or_default();
        if remote.chars().any(char::is_uppercase) {
            return Err(ReferenceError::UppercaseName(remote.into()));
        }
        parse_canonical(domain, &remainder)
    }

    /// The registry's host, with port: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `docker.io/library/debian`: what records and registries use.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// `debian`: what people see.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// `debian:12`: the familiar name with tag and digest.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// Neither tag nor digest.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// Supplies `:latest` if there is neither tag nor digest.
    pub fn or_latest(mut self) -> Reference {
        if self.is_name_only() {
            self.tag = Some(DEFAULT_TAG.into());
        }
        self
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Reference { tag: Some(tag.into()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The repository alone.
    pub fn name_only(&self) -> Reference {
        Reference { tag: None, digest: None, ..self.clone() }
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }
}

/// The canonical form, with domain.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Reference, ReferenceError> {
        Reference::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

/// 64 lower-case hexadecimal characters: an image id, never a repository.
pub fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Does the part before the first slash name a registry? Only if it looks like a host.
fn split_domain(text: &str) -> (&str, &str) {
    let Some((first, rest)) = text.split_once('/') else { return (DEFAULT_DOMAIN, text) };
    let looks_like_host =
        first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase);
    match looks_like_host {
        true if first == LEGACY_DOMAIN => (DEFAULT_DOMAIN, rest),
        true => (first, rest),
        false => (DEFAULT_DOMAIN, text),
    }
}

fn parse_canonical(domain: &str, remainder: &str) -> Result<Reference, ReferenceError> {
    let (rest, digest) = match remainder.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (remainder, None),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if path.is_empty() || !path.split('/').all(is_component) || !is_domain(domain) {
        return Err(ReferenceError::Format);
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(ReferenceError::Format);
    }
    if path.len() > PATH_LEN_MAX {
        return Err(ReferenceError::TooLong);
    }
    let digest = match digest {
        Some(text) if !looks_like_digest(text) => return Err(ReferenceError::Format),
        Some(text) => Some(text.parse()?),
        None => None,
    };
    Ok(Reference { domain: domain.into(), path: path.into(), tag: tag.map(Into::into), digest })
}

/// The reference grammar's own, looser idea of a digest; what passes is then parsed strictly.
fn looks_like_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
        && hex.len() >= 32
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !tag.is_empty()
        && tag.len() <= TAG_LEN_MAX
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_component(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alnum(first) || !alnum(last) {
        return false;
    }
    bytes.split(|&b| alnum(b)).all(|separator| match separator {
        b"" | b"." | b"_" | b"__" => true,
        dashes => dashes.iter().all(|&b| b == b'-'),
    })
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) => {
            let v6_ok = v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') && !v6.is_empty();
            if !v6_ok || !(rest.is_empty() || rest.starts_with(':')) {
                return false;
            }
            (None, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> Reference {
        Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn docker_normalisation() {
        let hex = "b".repeat(64);
        for (text, canonical, familiar) in [
            ("debian", "docker.io/library/debian", "debian"),
            ("debian:12", "docker.io/library/debian:12", "debian:12"),
            ("index.docker.io/debian", "docker.io/library/debian", "debian"),
            ("docker.io/library/debian", "docker.io/library/debian", "debian"),
            ("library/debian", "docker.io/library/debian", "debian"),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("me/app", "docker.io/me/app", "me/app"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("LOCALHOST/app", "LOCALHOST/app", "LOCALHOST/app"),
            ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
            ("quay.io/a/b__c--d.e_f", "quay.io/a/b__c--d.e_f", "quay.io/a/b__c--d.e_f"),
        ] {
            let reference = ok(text);
            assert_eq!(reference.to_string(), canonical, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(ok(canonical), reference, "{text}");
        }
        let pinned = ok(&format!("debian:12@sha256:{hex}"));
        assert_eq!(pinned.tag(), Some("12"));
        assert_eq!(pinned.digest().unwrap().hex(), hex);
        assert_eq!(ok("debian").or_latest().familiar(), "debian:latest");
        assert_eq!(pinned.clone().or_latest(), pinned);
    }

    #[test]
    fn docker_errors() {
        use ReferenceError as E;
        let hex = "c".repeat(64);
        for (text, error) in [
            ("", "invalid reference format"),
            ("Debian", "invalid reference format: repository name (library/Debian) must be lowercase"),
            ("me/App:x", "invalid reference format: repository name (me/App) must be lowercase"),
            ("a b", "invalid reference format"),
            ("a:", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("a:-b", "invalid reference format"),
            ("a@sha256:abc", "invalid reference format"),
            ("a@", "invalid reference format"),
            ("../../etc", "invalid reference format"),
            ("host:port/x", "invalid reference format"),
        ] {
            assert_eq!(Reference::parse(text).unwrap_err().to_string(), error, "{text}");
        }
        assert_eq!(Reference::parse(&hex), Err(E::Identifier(hex.clone())));
        assert_eq!(Reference::parse(&"a".repeat(256)), Err(E::TooLong));
        assert_eq!(Reference::parse(&format!("a:{}", "t".repeat(129))), Err(E::Format));
        assert_eq!(
            Reference::parse(&format!("a@sha256:{}", "c".repeat(63))),
            Err(E::Digest(DigestError::Length))
        );
        assert_eq!(Reference::parse(&format!("a@sha9:{hex}")), Err(E::Digest(DigestError::Algorithm)));
    }
}
