//! The streams of a process.

/// Where a record came from. A terminal's output is `Stdout`; `Stdin` is there with `--log-opt stdin=true` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

impl Stream {
    /// The name in the log file: `stdin`, `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// What has no name that is known is output.
    pub(crate) fn named(name: &[u8]) -> Self {
        match name {
            b"stderr" => Self::Stderr,
            b"stdin" => Self::Stdin,
            _ => Self::Stdout,
        }
    }
}
