//! Why a process did not come up.
//!
//! The texts of the first group are runc's: engines and their clients match on them.

use std::io;

/// A failure, with the object it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name without a slash that no directory of the container's `PATH` has.
    #[error("exec: {name:?}: executable file not found in $PATH")]
    ExecutableNotFound { name: String },
    /// A path that does not exist in the container.
    #[error("exec: {path:?}: stat {path}: no such file or directory")]
    NoSuchExecutable { path: String },
    /// The file exists, but the process may not execute it.
    #[error("exec: {name:?}: permission denied")]
    PermissionDenied { name: String },
    #[error("exec: {name:?}: is a directory")]
    IsADirectory { name: String },
    /// The kernel knows no loader for the file.
    #[error("exec {path}: exec format error")]
    ExecFormat { path: String },
    /// The kernel refused the file for another reason.
    #[error("exec {path}: {}", text(.source))]
    Exec { path: String, source: io::Error },
    #[error("chdir to cwd ({path:?}) set in config.json failed: {}", text(.source))]
    WorkingDirectory { path: String, source: io::Error },
    #[error("unable to find user {name}: no matching entries in passwd file")]
    NoSuchUser { name: String },
    #[error("unable to find group {name}: no matching entries in group file")]
    NoSuchGroup { name: String },
    /// A mount of the spec, or of the root file system.
    #[error("error mounting {what}: {}", text(.source))]
    Mount { what: String, source: io::Error },
    /// A hook could not be run, ended with an error, or took too long.
    #[error("error running {kind} hook #{index}: {problem}")]
    Hook { kind: String, index: usize, problem: String },
    /// One step of the set-up; `step` says what and on what.
    #[error("{step}: {}", text(.source))]
    Setup { step: String, source: io::Error },
    #[error(transparent)]
    Cgroup(#[from] cgroups::Error),
    #[error(transparent)]
    Seccomp(#[from] crate::seccomp::Error),
    /// The spec or the request contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// The spec asks for something that Wharf or this machine does not have.
    #[error("{0}")]
    Unsupported(String),
    /// The container's PID 1 is gone.
    #[error("container is not running")]
    NotRunning,
    /// The process ended during its set-up without a word.
    #[error("the container's process ended during its set-up ({0})")]
    Died(String),
}

/// The runtime's result.
pub type Result<T> = std::result::Result<T, Error>;

/// The C library's words, in lower case as Go prints them, without Rust's "(os error 2)".
pub(crate) fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Names the step in an error.
pub(crate) trait Context<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Setup { step: what(), source: source.into() })
    }
}
