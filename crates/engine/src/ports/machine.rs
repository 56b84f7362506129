//! Seccomp, the clock, identifiers, and the files that others read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::BoxFuture;

/// Prepares a seccomp profile (Docker's JSON) for a set of capabilities. The engine caches the result.
pub trait SeccompCompiler: Send + Sync + fmt::Debug {
    /// The built-in default profile when `profile_json` is `None`.
    fn compile(&self, profile_json: Option<&str>, capabilities: &[String]) -> Result<Arc<[u8]>, String>;
    /// The same as the spec's `linux.seccomp`, for a runtime that compiles it itself.
    fn resolve(
        &self,
        profile_json: Option<&str>,
        capabilities: &[String],
    ) -> Result<oci::runtime::LinuxSeccomp, String>;
}

/// The wall clock, and one that nobody sets.
pub trait Clock: Send + Sync + fmt::Debug {
    /// For what is shown and written down. It may be set, forwards and back.
    fn now(&self) -> Timestamp;
    /// Since the machine's start: for how long something takes.
    fn steady(&self) -> Duration;
    /// Wait; a fake clock returns when its test says so.
    fn sleep(&self, for_: Duration) -> BoxFuture<'static, ()>;
}

/// Sources of identifiers.
pub trait Ids: Send + Sync + fmt::Debug {
    /// 32 random bytes as 64 hex digits.
    fn id(&self) -> String;
    /// A random number for generated names.
    fn number(&self) -> u64;
}

/// A container as other programs read it in its directory: Docker's `config.v2.json` and `hostconfig.json`. Their
/// shape is the API's, which the engine does not know.
pub trait Mirror: Send + Sync + fmt::Debug {
    /// Names and contents of the files.
    fn files(&self, container: &crate::container::Container) -> Vec<(&'static str, Vec<u8>)>;
}
