//! `--platform`: `os[/architecture[/variant]]`, as JSON on its way to the engine.

use oci::Platform;

use crate::failure::Failure;

/// One platform as JSON; empty stays empty.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn encoded(text: &str) -> Result<String, Failure> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let platform: Platform =
        text.parse().map_err(|error: oci::PlatformError| Failure::new(error.to_string()))?;
    serde_json::to_string(&platform).map_err(|error| Failure::new(error.to_string()))
}

/// As [`encoded`], of flags that may each hold several, separated by commas.
pub(crate) fn all_encoded(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut platforms: Vec<String> = Vec::new();
    for text in given.iter().flat_map(|list| list.split(',')) {
        let platform = encoded(text)?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// With what `load`, `save` and `history` say before a platform's error.
pub(crate) fn invalid(failure: Failure) -> Failure {
    Failure { text: format!("invalid platform: {}", failure.text), ..failure }
}

/// Is the platform one, where it travels as the text it is?
pub(crate) fn check(text: &str) -> Result<(), Failure> {
    encoded(text).map(drop)
}
