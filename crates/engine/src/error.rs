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
        Self { class, message: message.into() }
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
