//! A line of JSON back into an [`Entry`].

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::entry::{Entry, Stream};

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    attrs: Option<&'a RawValue>,
}

/// `None` for a line that is no record: half of one that a crash left, or bytes of a damaged file.
/// A reader skips those, as losing one line is better than losing the rest.
pub(crate) fn decode(line: &[u8]) -> Option<Entry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let time: Timestamp = line.time.parse().ok()?;
    let attrs = match line.attrs {
        None => Vec::new(),
        Some(raw) => serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(raw.get())
            .ok()?
            .into_iter()
            .map(|(key, value)| match value {
                serde_json::Value::String(text) => (key, text),
                other => (key, other.to_string()),
            })
            .collect(),
    };
    Some(Entry {
        stream: if line.stream == "stderr" { Stream::Stderr } else { Stream::Stdout },
        time,
        bytes: line.log.into_owned().into_bytes(),
        attrs,
    })
}
