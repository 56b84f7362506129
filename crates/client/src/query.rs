//! Request targets: path segments and query strings, percent-encoded.

use std::fmt::Write;

/// A request target under construction.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    text: String,
    has_query: bool,
}

impl Target {
    /// `path` goes out as it is; put user text in with [`escape`].
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self { text: path.into(), has_query: false }
    }

    pub(crate) fn arg(mut self, key: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(key);
        self.text.push('=');
        encode(value, false, &mut self.text);
        self
    }

    /// Left out when empty.
    pub(crate) fn arg_if(self, key: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.arg(key, value) }
    }

    /// `key=1`, or left out.
    pub(crate) fn flag(self, key: &str, on: bool) -> Self {
        if on { self.arg(key, "1") } else { self }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// A path segment of user text. Slashes stay: image names have them.
pub(crate) fn escape(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    encode(segment, true, &mut out);
    out
}

fn encode(text: &str, in_path: bool, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b'/' | b':' | b'@' if in_path => out.push(byte.into()),
            // Writing to a String cannot fail.
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_escaped() {
        let target = Target::new(format!("/containers/{}/json", escape("a b/c:1")))
            .arg("filters", r#"{"a":["b&c"]}"#)
            .flag("all", true)
            .flag("no", false)
            .arg_if("x", "");
        assert_eq!(
            target.as_str(),
            "/containers/a%20b/c:1/json?filters=%7B%22a%22%3A%5B%22b%26c%22%5D%7D&all=1"
        );
    }
}
