//! One error shape at the engine's door.
//!
//! A caller of the engine decides by the class (the server turns it into an HTTP status, in one exhaustive
//! match) and shows the message, which names the object and is Docker's wording where clients look for it.

use std::fmt;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The named thing does not exist (404).
    NotFound,
    /// The thing exists in a state that forbids the request (409).
    Conflict,
    /// The request itself is wrong (400).
    Invalid,
    /// Nothing to do: it is already so (304).
    NotModified,
    /// A registry wants to know who asks, or does not believe it (401).
    Unauthorized,
    /// May not be done by this caller or with this object (403).
    Forbidden,
    /// Wharf does not do this (501).
    Unsupported,
    /// Not now; the engine is starting or stopping (503).
    Unavailable,
    /// The caller gave up or a deadline passed (408 family; shown as 500 by Docker).
    Cancelled,
    /// Everything else (500).
    Internal,
}

/// An engine error: class for the program, message for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub class: Class,
    pub message: String,
}

/// Result with the engine's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: reworded(message.into()) }
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::NotFound, message)
    }
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Class::Conflict, message)
    }
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Class::Invalid, message)
    }
    pub fn not_modified(message: impl Into<String>) -> Self {
        Self::new(Class::NotModified, message)
    }
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Class::Forbidden, message)
    }
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Class::Unsupported, message)
    }
    /// What only the manager of a Swarm can answer, which is asked by habit: Wharf is in none.
    pub fn no_swarm_manager() -> Self {
        Self::unavailable(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node \
             to swarm and try again.",
        )
    }
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Class::Unavailable, message)
    }
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Class::Internal, message)
    }

    /// Docker's text for a container nobody knows.
    pub fn no_such_container(reference: &str) -> Self {
        Self::not_found(format!("No such container: {reference}"))
    }

    /// The same error with a leading phrase that says what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

/// Rust puts the C library's text and a number into what it says of a failed system call: `No space left on device (os
/// error 28)`. Docker's clients know Go's words, which begin small and have no number.
pub(crate) fn reworded(mut message: String) -> String {
    const MARK: &str = " (os error ";
    while let Some(at) = message.find(MARK) {
        let Some(length) = message[at..].find(')') else { break };
        let number = message[at + MARK.len()..at + length].parse();
        let text = number.map(|number| std::io::Error::from_raw_os_error(number).to_string());
        message.replace_range(at..=at + length, "");
        if let Ok(text) = text
            && let Some(begin) = text.find(MARK).and_then(|length| at.checked_sub(length))
            && message.is_char_boundary(begin)
            && text.starts_with(&message[begin..at])
        {
            message[begin..=begin].make_ascii_lowercase();
        }
    }
    message
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_system_calls_are_told_in_gos_words() {
        let full = std::io::Error::from_raw_os_error(28);
        assert_eq!(Error::internal(format!("write /x: {full}")).message, "write /x: no space left on device");
        let two = format!("{full}; {}", std::io::Error::from_raw_os_error(2));
        assert_eq!(Error::internal(two).message, "no space left on device; no such file or directory");
        for same in ["", "exit (os error", "a (os error x) b", "é (os error 28)"] {
            let bare = same.replace(" (os error x)", "").replace(" (os error 28)", "");
            assert_eq!(Error::internal(same).message, bare);
        }
    }
}
