//! One record as a line of JSON, byte for byte as Go's encoder writes it.

use jiff::Timestamp;

use crate::entry::Stream;

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
    out.extend_from_slice(match (ends_line, stream) {
        (true, Stream::Stdout) => b"\\n\",\"stream\":\"stdout\"",
        (true, Stream::Stderr) => b"\\n\",\"stream\":\"stderr\"",
        (false, Stream::Stdout) => b"\",\"stream\":\"stdout\"",
        (false, Stream::Stderr) => b"\",\"stream\":\"stderr\"",
    });
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

/// The inside of a JSON string. What is not UTF-8 becomes `\ufffd`, byte by byte, as in Go.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
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

/// RFC 3339 with nanoseconds as Go prints it: UTC, trailing zeros of the fraction left out.
///
/// The text of the last time is kept: the lines of one chunk share theirs.
#[derive(Debug, Default)]
pub(crate) struct TimeText {
    of: Option<Timestamp>,
    text: Vec<u8>,
}

impl TimeText {
    pub(crate) fn text(&mut self, at: Timestamp) -> &[u8] {
        if self.of != Some(at) {
            self.text.clear();
            format_time(&mut self.text, at);
            self.of = Some(at);
        }
        &self.text
    }
}

fn format_time(out: &mut Vec<u8>, at: Timestamp) {
    let nanos_since_epoch = at.as_nanosecond();
    let second = nanos_since_epoch.div_euclid(1_000_000_000) as i64;
    let mut nanos = nanos_since_epoch.rem_euclid(1_000_000_000) as u32;
    let days = second.div_euclid(86_400);
    let of_day = second.rem_euclid(86_400);

    // Days to a civil date: counted in 400-year eras of the year that begins on 1 March
    // (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);

    digits(out, year, 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    digits(out, of_day / 3600, 2);
    out.push(b':');
    digits(out, of_day / 60 % 60, 2);
    out.push(b':');
    digits(out, of_day % 60, 2);
    if nanos != 0 {
        let mut width = 9;
        while nanos.is_multiple_of(10) {
            nanos /= 10;
            width -= 1;
        }
        out.push(b'.');
        digits(out, i64::from(nanos), width);
    }
    out.push(b'Z');
}

/// `value` in decimal, zero-padded to `width` digits.
fn digits(out: &mut Vec<u8>, mut value: i64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
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

    #[test]
    fn times_agree_with_jiff() {
        let mut time = TimeText::default();
        for (second, nanos) in [
            (0, 0),
            (951_782_400, 1),
            (951_868_799, 999_999_999),
            (1_709_164_800, 100),
            (4_102_444_799, 120_000_000),
            (-1, 0),
        ] {
            let at = Timestamp::new(second, nanos).unwrap();
            assert_eq!(std::str::from_utf8(time.text(at)).unwrap(), at.to_string());
        }
    }
}
