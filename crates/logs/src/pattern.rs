//! What `logs --grep` looks for.

use regex::bytes::Regex;

use crate::facts::ConfigError;

/// A regular expression over a line without its newline.
#[derive(Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// # Errors
    ///
    /// What is wrong with the expression.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        Regex::new(text).map(Self).map_err(|error| ConfigError::new(explain(text, &error)))
    }

    pub fn is_in(&self, line: &[u8]) -> bool {
        self.0.is_match(line.strip_suffix(b"\n").unwrap_or(line))
    }
}

/// The last line of what the parser says is the reason; the rest draws the place.
pub(crate) fn explain(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default().trim();
    format!("error parsing regexp: {}: `{pattern}`", why.strip_prefix("error: ").unwrap_or(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_searched_without_their_end() {
        let found = |pattern: &str, line: &[u8]| Pattern::new(pattern).unwrap().is_in(line);
        assert!(found("^a.c$", b"abc\n") && found("b", b"\xffabc") && !found("^b", b"abc\n"));
        assert_eq!(Pattern::new("(").unwrap_err().to_string(), "error parsing regexp: unclosed group: `(`");
    }
}
