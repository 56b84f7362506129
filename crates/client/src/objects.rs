//! Objects of swarms, and plugins: this engine has none, and says so itself.

use crate::connection::{Http, no_body};
use crate::error::{Error, Result};
use crate::query::{Target, escape};
use http::Method;

/// What can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Config,
    Node,
    Plugin,
    Secret,
    Service,
    Task,
}

impl ObjectKind {
    /// What one is called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Node => "node",
            Self::Plugin => "plugin",
            Self::Secret => "secret",
            Self::Service => "service",
            Self::Task => "task",
        }
    }
}

/// Objects of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    pub(crate) http: &'a Http,
    pub(crate) kind: ObjectKind,
}

impl Objects<'_> {
    /// The answer as it came.
    pub async fn inspect_raw(&self, name: &str) -> Result<serde_json::Value> {
        let kind = self.kind.word();
        if name.is_empty() {
            return Err(Error::Nameless { kind });
        }
        let name = escape(name);
        let path = match self.kind {
            ObjectKind::Plugin => format!("/plugins/{name}/json"),
            ObjectKind::Service => format!("/services/{name}?insertDefaults=1"),
            _ => format!("/{kind}s/{name}"),
        };
        self.http.json(Method::GET, Target::new(path), no_body()).await
    }
}
