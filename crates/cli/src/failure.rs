//! How a command ends when it does not end well: a text and an exit status.

/// What `main` prints on stderr, and the status it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Empty: everything was said already.
    pub(crate) text: String,
    pub(crate) status: u8,
    /// Nobody listened: an engine may be started, and the command run again.
    pub(crate) no_engine: bool,
}

impl Failure {
    /// An ordinary failure: status 1.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::with_status(text, 1)
    }

    pub(crate) fn with_status(text: impl Into<String>, status: u8) -> Self {
        Self { text: text.into(), status, no_engine: false }
    }

    /// Only a status: the process's own, or after messages were printed.
    pub(crate) fn status(status: u8) -> Self {
        Self::with_status("", status)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self { no_engine: error.is_connect(), ..Self::new(error.to_string()) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(reason(&error))
    }
}

/// Why a system call failed, as Go words it.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    // Rust's text is libc's with a number behind it; Go's has no capital.
    let bare = text.split_once(" (os error").map_or(text.as_str(), |(bare, _)| bare);
    let mut letters = bare.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
