//! One record of a log, as every driver yields it.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::local;
use crate::stream::Stream;
use crate::time::{self, Fraction};

/// One record: a line, or a piece of a line longer than 16 KiB. It lies in its reader's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub stream: Stream,
    /// When the engine's side read it from the pipe.
    pub time: Timestamp,
    /// The bytes, with the final newline if the record ends a line.
    pub bytes: &'a [u8],
    pub(crate) attrs: Attrs<'a>,
}

/// As they lie in the file: nearly nobody asks for them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attrs<'a> {
    None,
    /// A JSON object.
    Json(&'a [u8]),
    /// The last fields of a message of the `local` driver.
    Local(&'a [u8]),
}

impl Entry<'_> {
    /// Whether the line goes on in a later record of the same stream (or was never finished).
    pub fn is_partial(&self) -> bool {
        self.bytes.last() != Some(&b'\n')
    }

    /// The container's `--log-opt labels=,env=,tag=` attributes, in the file's order.
    pub fn attrs(&self) -> Vec<(String, String)> {
        match self.attrs {
            Attrs::None => Vec::new(),
            Attrs::Local(record) => local::attrs(record),
            Attrs::Json(object) => {
                serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(object)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| match value {
                        serde_json::Value::String(text) => (key, text),
                        other => (key, other.to_string()),
                    })
                    .collect()
            }
        }
    }

    /// Appends the attributes as `docker logs --details` prints them: `key=value` pairs sorted by key, joined by
    /// commas, each side escaped like a URL query. Nothing if there are none.
    pub fn write_details(&self, out: &mut Vec<u8>) {
        let mut pairs = self.attrs();
        pairs.sort();
        for (number, (key, value)) in pairs.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.extend_from_slice(query_escape(key).as_bytes());
            out.push(b'=');
            out.extend_from_slice(query_escape(value).as_bytes());
        }
    }

    /// Appends the time as `docker logs --timestamps` prints it: UTC, always nine digits of a second, so that
    /// columns line up.
    pub fn write_timestamp(&self, out: &mut Vec<u8>) {
        time::format(out, self.time, Fraction::Full);
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

    fn entry(attrs: &str) -> Entry<'_> {
        Entry {
            stream: Stream::Stdout,
            time: "2026-01-02T03:04:05.5Z".parse().unwrap(),
            bytes: b"x\n",
            attrs: if attrs.is_empty() { Attrs::None } else { Attrs::Json(attrs.as_bytes()) },
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn details_are_sorted_and_escaped() {
        let details = |attrs| written(|out| entry(attrs).write_details(out));
        assert_eq!(details(r#"{"b":"1 2","a":"ü&"}"#), "a=%C3%BC%26,b=1+2");
        assert_eq!(details(""), "");
    }

    #[test]
    fn timestamps_have_nine_digits() {
        assert_eq!(written(|out| entry("").write_timestamp(out)), "2026-01-02T03:04:05.500000000Z");
    }
}
