//! One record as a line of JSON, byte for byte as Go's encoder writes it.

use jiff::Timestamp;

use crate::stream::Stream;
use crate::time::TimeText;

/// Appends `{"log":"...","stream":"...","attrs":{...},"time":"..."}` and a newline to `out`.
pub(crate) fn record(
    out: &mut Vec<u8>,
    text: &[u8],
    ends_line: bool,
    stream: Stream,
    attrs: Option<&str>,
    time: &mut TimeText,
    at: Timestamp,
) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, text);
    out.extend_from_slice(if ends_line { b"\\n\",\"stream\":\"" } else { b"\",\"stream\":\"" });
    out.extend_from_slice(stream.as_str().as_bytes());
    out.push(b'"');
    if let Some(attrs) = attrs {
        out.extend_from_slice(b",\"attrs\":");
        out.extend_from_slice(attrs.as_bytes());
    }
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(time.text(at));
    out.extend_from_slice(b"\"}\n");
}

/// What becomes of each byte: itself (0), an escape that must be written (1), the start of a longer
/// UTF-8 sequence (2).
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut b = 0;
    while b < 256 {
        if b < 0x20 || b == b'"' as usize || b == b'\\' as usize {
            class[b] = 1;
        } else if b == b'<' as usize || b == b'>' as usize || b == b'&' as usize {
            // Go escapes what a browser could take for markup.
            class[b] = 1;
        } else if b >= 0x80 {
            class[b] = 2;
        }
        b += 1;
    }
    class
};

/// Appends the inside of a JSON string. What is not UTF-8 becomes `\ufffd`, byte by byte, as in Go.
pub(crate) fn escape(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut start = 0;
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        match CLASS[usize::from(b)] {
            0 => at += 1,
            1 => {
                out.extend_from_slice(&text[start..at]);
                match b {
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    _ => {
                        out.extend_from_slice(b"\\u00");
                        out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
                    }
                }
                at += 1;
                start = at;
            }
            _ => match sequence(&text[at..]) {
                None => {
                    out.extend_from_slice(&text[start..at]);
                    out.extend_from_slice(b"\\ufffd");
                    at += 1;
                    start = at;
                }
                // The two line separators of JavaScript.
                Some(3) if matches!(&text[at..at + 3], [0xe2, 0x80, 0xa8 | 0xa9]) => {
                    out.extend_from_slice(&text[start..at]);
                    out.extend_from_slice(b"\\u202");
                    out.push(HEX[usize::from(text[at + 2] & 15)]);
                    at += 3;
                    start = at;
                }
                Some(len) => at += len,
            },
        }
    }
    out.extend_from_slice(&text[start..]);
}

/// Length of the valid UTF-8 sequence at the beginning, which is not ASCII.
fn sequence(bytes: &[u8]) -> Option<usize> {
    let len = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    std::str::from_utf8(bytes.get(..len)?).ok().map(|_| len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_docker_s() {
        let mut out = Vec::new();
        let at = "2026-11-23T20:52:01.120000000Z".parse().unwrap();
        let mut time = TimeText::default();
        record(&mut out, b"hi", true, Stream::Stdout, None, &mut time, at);
        record(&mut out, b"", false, Stream::Stderr, Some(r#"{"a":"b"}"#), &mut time, at);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"log\":\"hi\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-23T20:52:01.12Z\"}\n\
             {\"log\":\"\",\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},\"time\":\"2026-11-23T20:52:01.12Z\"}\n"
        );
    }

    #[test]
    fn escapes_are_go_s() {
        assert_eq!(
            escaped(b"a\"b\\c\t\x1b[0m\r<&>\x7f"),
            "a\\\"b\\\\c\\u0009\\u001b[0m\\r\\u003c\\u0026\\u003e\x7f"
        );
        assert_eq!(escaped("grün 日本 🦀".as_bytes()), "grün 日本 🦀");
        assert_eq!(escaped("a\u{2028}b\u{2029}".as_bytes()), "a\\u2028b\\u2029");
        // A truncated sequence, a surrogate, an overlong form and a lone continuation byte.
        assert_eq!(escaped(b"\xe6\x97"), "\\ufffd\\ufffd");
        assert_eq!(escaped(b"\xed\xa0\x80x"), "\\ufffd\\ufffd\\ufffdx");
        assert_eq!(escaped(b"\xc0\xafx\x80"), "\\ufffd\\ufffdx\\ufffd");
    }
}
