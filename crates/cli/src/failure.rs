//! How a command ends when it does not end well: a text and an exit status.

/// What `main` prints on stderr, and the status it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Empty: everything was said already.
    pub(crate) text: String,
    pub(crate) status: u8,
}

impl Failure {
    /// An ordinary failure: status 1.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: 1 }
    }

    pub(crate) fn with_status(text: impl Into<String>, status: u8) -> Self {
        Self { text: text.into(), status }
    }

    /// Only a status: the process's own, or after messages were printed.
    pub(crate) fn status(status: u8) -> Self {
        Self { text: String::new(), status }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
