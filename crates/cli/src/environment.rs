//! The environment, as far as it decides something.

/// An environment variable that says something.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
