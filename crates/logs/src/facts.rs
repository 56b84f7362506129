//! What options are read against, and how they are refused.

use std::collections::BTreeMap;

/// Why a log configuration is refused. All of them are the caller's mistake.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<String> for ConfigError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What a log driver may need to know about the container.
#[derive(Clone, Copy, Debug)]
pub struct ContainerFacts<'a> {
    /// 64 hex digits.
    pub id: &'a str,
    pub name: &'a str,
    pub image_id: &'a str,
    pub image_name: &'a str,
    /// Entrypoint and arguments.
    pub command: &'a [String],
    pub labels: &'a BTreeMap<String, String>,
    /// `KEY=value`, the container's environment.
    pub env: &'a [String],
    /// RFC 3339.
    pub created: &'a str,
}
