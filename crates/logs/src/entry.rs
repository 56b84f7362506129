//! One record of a log, as every driver yields it.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;

/// Which of the container's outputs a record came from. A terminal's output is `Stdout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// The name in the log file: `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One record: a line, or a piece of a line longer than 16 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub stream: Stream,
    /// When the engine's side read it from the pipe.
    pub time: Timestamp,
    /// The bytes, with the final newline if the record ends a line.
    pub bytes: Vec<u8>,
    /// The container's `--log-opt labels=,env=,tag=` attributes, in the file's order.
    pub attrs: Vec<(String, String)>,
}

impl Entry {
    /// Whether the line goes on in a later record of the same stream (or was never finished).
    pub fn is_partial(&self) -> bool {
        self.bytes.last() != Some(&b'\n')
    }

    /// The attributes as `docker logs --details` prints them: `key=value` pairs sorted by key, joined by
    /// commas, each side escaped like a URL query. Empty if there are none.
    pub fn details(&self) -> String {
        let mut pairs: Vec<&(String, String)> = self.attrs.iter().collect();
        pairs.sort();
        let mut out = String::new();
        for (key, value) in pairs {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(&query_escape(key));
            out.push('=');
            out.push_str(&query_escape(value));
        }
        out
    }

    /// The time as `docker logs --timestamps` prints it: UTC, always nine digits of a second, so that
    /// columns line up.
    pub fn timestamp(&self) -> String {
        format!("{:.9}", self.time)
    }
}

/// Go's `url.QueryEscape`: unreserved characters stay, a space becomes `+`, all else `%XX`.
fn query_escape(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for b in text.bytes() {
        match b {
            b if plain(b) => out.push(b as char),
            b' ' => out.push('+'),
            b => {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attrs: &[(&str, &str)]) -> Entry {
        Entry {
            stream: Stream::Stdout,
            time: "2026-01-02T03:04:05.5Z".parse().unwrap(),
            bytes: b"x\n".to_vec(),
            attrs: attrs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn details_are_sorted_and_escaped() {
        assert_eq!(entry(&[("b", "1 2"), ("a", "ü&")]).details(), "a=%C3%BC%26,b=1+2");
        assert_eq!(entry(&[]).details(), "");
    }

    #[test]
    fn timestamps_have_nine_digits() {
        assert_eq!(entry(&[]).timestamp(), "2026-01-02T03:04:05.500000000Z");
    }
}
