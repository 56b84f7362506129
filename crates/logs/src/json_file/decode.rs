//! A line of JSON back into a record's parts, in place: what an escape stands for is never longer than the escape.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::stream::Stream;
use crate::time::TimeOf;

/// Ranges are of the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) time: Timestamp,
    pub(crate) text: Range<usize>,
    pub(crate) attrs: Option<Range<usize>>,
}

/// `None` for a line that is no record: half of one that a crash left, or bytes of a damaged file.
/// A reader skips those, as losing one line is better than losing the rest.
pub(crate) fn decode(line: &mut [u8], times: &mut TimeOf) -> Option<Line> {
    common(line, times).or_else(|| any(line, times))
}

const BEGIN: &[u8] = b"{\"log\":\"";

/// The form that Docker and Wharf write, whose fields are in one order and without white space.
fn common(line: &mut [u8], times: &mut TimeOf) -> Option<Line> {
    let body = line.strip_prefix(BEGIN)?;
    let mut escapes = 0usize;
    let mut first_escape = 0;
    let mut at = 0;
    let end = loop {
        at += memchr::memchr2(b'"', b'\\', body.get(at..)?)?;
        if body[at] == b'"' {
            break at;
        }
        if escapes == 0 {
            first_escape = at;
        }
        escapes += 1;
        at += 2;
    };
    let start = BEGIN.len();
    let rest = body[end..].strip_prefix(b"\",\"stream\":\"std")?;
    let (stream, rest) = match rest {
        [b'o', b'u', b't', rest @ ..] => (Stream::Stdout, rest),
        [b'e', b'r', b'r', rest @ ..] => (Stream::Stderr, rest),
        [b'i', b'n', rest @ ..] => (Stream::Stdin, rest),
        _ => return None,
    };
    let rest = rest.strip_prefix(b"\",\"")?;
    let (attrs, rest) = match rest.strip_prefix(b"attrs\":") {
        None => (None, rest),
        Some(object) => {
            // The time is the last field and has no quotes in it.
            let time = memchr::memmem::rfind(object, b",\"time\":\"")?;
            let from = line.len() - object.len();
            (Some(from..from + time), &object[time + 2..])
        }
    };
    let time = times.parse(rest.strip_prefix(b"time\":\"")?.strip_suffix(b"\"}")?)?;
    let end = start + end;
    let first_escape = start + first_escape;
    let end = match escapes {
        0 => end,
        1 if first_escape + 2 == end && line[first_escape + 1] == b'n' => {
            line[first_escape] = b'\n';
            first_escape + 1
        }
        _ => unescape(&mut line[..end], first_escape)?,
    };
    Some(Line { stream, time, text: start..end, attrs })
}

/// Resolves the escapes of a JSON string's inside from `from` on, and answers where it ends then.
fn unescape(bytes: &mut [u8], from: usize) -> Option<usize> {
    let (mut read, mut write) = (from, from);
    while read < bytes.len() {
        // Up to the next escape at once.
        let plain = memchr::memchr(b'\\', &bytes[read..]).unwrap_or(bytes.len() - read);
        bytes.copy_within(read..read + plain, write);
        read += plain;
        write += plain;
        let Some(&kind) = bytes.get(read + 1) else { break };
        let byte = match kind {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            b'"' | b'\\' | b'/' => kind,
            b'u' => {
                let (char, length) = unicode(&bytes[read..])?;
                let mut utf8 = [0; 4];
                let utf8 = char.encode_utf8(&mut utf8).as_bytes();
                bytes[write..write + utf8.len()].copy_from_slice(utf8);
                write += utf8.len();
                read += length;
                continue;
            }
            _ => return None,
        };
        bytes[write] = byte;
        write += 1;
        read += 2;
    }
    Some(write)
}

/// `\u0041`, or two of them that are a surrogate pair, and how long that was. Half a pair stands for nothing, as in Go.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0u32, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
    };
    let first = unit(0)?;
    if let Some(char) = char::from_u32(first) {
        return Some((char, 6));
    }
    let pair = unit(6).filter(|second| first < 0xdc00 && (0xdc00..0xe000).contains(second));
    Some(
        match pair.and_then(|second| char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))) {
            Some(char) => (char, 12),
            None => (char::REPLACEMENT_CHARACTER, 6),
        },
    )
}

#[derive(Deserialize)]
struct AnyLine<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    attrs: Option<&'a RawValue>,
}

/// Whatever else is JSON with these names. The text is put where the line begins, attributes behind it.
fn any(line: &mut [u8], times: &mut TimeOf) -> Option<Line> {
    let parsed: AnyLine<'_> = serde_json::from_slice(line).ok()?;
    let time = times.parse(parsed.time.as_bytes())?;
    let stream = Stream::named(parsed.stream.as_bytes());
    let text = parsed.log.into_owned().into_bytes();
    let attrs = parsed.attrs.map(|raw| raw.get().as_bytes().to_vec());
    // Both were in the line, with their names and quotes around them.
    line[..text.len()].copy_from_slice(&text);
    let attrs = attrs.map(|object| {
        let range = text.len()..text.len() + object.len();
        line[range.clone()].copy_from_slice(&object);
        range
    });
    Some(Line { stream, time, text: 0..text.len(), attrs })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stream, text, attributes; the common way and the general one agree.
    fn read(line: &str) -> Option<(Stream, String, Option<String>)> {
        let run = |decode: fn(&mut [u8], &mut TimeOf) -> Option<Line>| {
            let mut bytes = line.as_bytes().to_vec();
            let found = decode(&mut bytes, &mut TimeOf::default())?;
            let text = |range: Range<usize>| String::from_utf8(bytes[range].to_vec()).unwrap();
            Some((found.stream, text(found.text), found.attrs.map(text)))
        };
        let (common, any) = (run(common), run(any));
        assert!(common.is_none() || any.is_none() || common == any, "{common:?} {any:?}");
        run(decode)
    }

    #[test]
    fn lines_are_read_in_place() {
        let line =
            |log: &str| format!(r#"{{"log":"{log}","stream":"stderr","time":"2026-01-02T03:04:05.6Z"}}"#);
        for (log, text) in [
            (r"hi\n", "hi\n"),
            ("", ""),
            (r"\n", "\n"),
            (r"a\\n", "a\\n"),
            (r#"\"q\" \u003ca\u003e \/ \b\f\r\t\\\n"#, "\"q\" <a> / \u{8}\u{c}\r\t\\\n"),
            (r"grün \u65e5\ud83e\udd80 \ufffd\n", "grün 日🦀 \u{fffd}\n"),
        ] {
            assert_eq!(read(&line(log)), Some((Stream::Stderr, text.into(), None)), "{log}");
        }
        // Half a pair: the general decoder refuses it, and one line would be lost.
        assert_eq!(read(&line(r"\ud800x\n")).unwrap().1, "\u{fffd}x\n");
    }

    #[test]
    fn other_forms_are_read() {
        let attrs =
            r#"{"log":"x\n","stream":"stdin","attrs":{"a":"b,\"time\":\""},"time":"2026-01-02T03:04:05Z"}"#;
        assert_eq!(read(attrs), Some((Stream::Stdin, "x\n".into(), Some(r#"{"a":"b,\"time\":\""}"#.into()))));
        let spaces =
            r#" { "time": "2026-01-02T03:04:05+01:00", "stream": "stdout", "attrs":{}, "log": "x\n" }"#;
        assert_eq!(read(spaces), Some((Stream::Stdout, "x\n".into(), Some("{}".into()))));
        for damaged in ["", "{", "null", r#"{"log":"x"#, r#"{"log":"x","stream":"stdout","time":"now"}"#] {
            assert_eq!(read(damaged), None, "{damaged}");
        }
    }
}
