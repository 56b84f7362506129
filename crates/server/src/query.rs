//! Query strings, read with Docker's leniency.

use engine::{Error, Result};

/// Decoded pairs in the order they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Refuses what Go's parser refuses, in its words.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            if pair.contains(';') {
                return Err(Error::invalid("invalid semicolon separator in query"));
            }
            if let Some(escape) = bad_escape(pair) {
                return Err(Error::invalid(format!("invalid URL escape \"{escape}\"")));
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key, true), decode(value, true)))
        });
        Ok(Self(pairs.collect::<Result<_>>()?))
    }

    /// The first value; empty when absent.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v)
    }

    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(k, _)| k == key).map(|(_, v)| v.clone()).collect()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| k == key)
    }

    /// Everything but "", 0, no, false, none is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        !matches!(self.get(key).trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A whole number, `None` when absent. The error is Go's, as Docker passes it on.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>> {
        let text = self.get(key);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| Error::invalid(format!("strconv.Atoi: parsing \"{text}\": invalid syntax")))
    }

    /// A tty's height or width.
    pub(crate) fn dimension(&self, key: &str, word: &str) -> Result<u16> {
        let text = self.get(key);
        let wrong = |why| Error::invalid(format!("invalid resize {word} \"{text}\": {why}"));
        match text.parse::<i64>() {
            Ok(_) if text.starts_with('+') => Err(wrong("invalid syntax")),
            // A terminal's size is 16 bits wide in the kernel; what is larger is shown as that.
            Ok(n @ 0..=0xffff_ffff) => Ok(n.min(u16::MAX.into()) as u16),
            Ok(_) => Err(wrong("value out of range")),
            Err(_) => Err(wrong("invalid syntax")),
        }
    }

    pub(crate) fn filters(&self) -> Result<engine::containers::Filters> {
        let filters =
            api::filters::Filters::parse(self.get("filters")).map_err(|e| Error::invalid(e.to_string()))?;
        Ok(engine::containers::Filters(
            filters.0.into_iter().map(|(key, values)| (key, values.into_iter().collect())).collect(),
        ))
    }

    /// `seconds[.nanoseconds]` since the epoch; empty is `None`.
    pub(crate) fn time(&self, key: &str, quote: char) -> Result<Option<jiff::Timestamp>> {
        let text = self.get(key);
        if text.is_empty() {
            return Ok(None);
        }
        unix_time(text).map(Some).map_err(|why| {
            Error::invalid(format!(
                "invalid value for {quote}{key}{quote}: invalid timestamp \"{text}\": {why}"
            ))
        })
    }
}

/// The first `%` that is not followed by two digits, with what follows.
fn bad_escape(text: &str) -> Option<&str> {
    let starts = text.match_indices('%').map(|(at, _)| &text[at..]);
    let mut bad = starts.filter(|rest| {
        !rest.as_bytes().get(1..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    bad.next().map(|rest| rest.get(..3).unwrap_or(rest))
}

/// The error is Go's.
fn unix_time(text: &str) -> std::result::Result<jiff::Timestamp, String> {
    /// Nanoseconds have nine; more were always allowed, and cut off.
    const FRACTION_DIGITS_MAX: usize = 20;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let of_seconds = |why: &str| format!("invalid seconds \"{seconds}\": {why}");
    let whole: i64 = seconds.parse().map_err(|e: std::num::ParseIntError| match e.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            of_seconds("value out of range")
        }
        _ => of_seconds("invalid syntax"),
    })?;
    if fraction.len() > FRACTION_DIGITS_MAX {
        let length = fraction.len();
        return Err(format!("invalid nanoseconds: length {length} exceeds maximum {FRACTION_DIGITS_MAX}"));
    }
    if let Some((at, c)) = fraction.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        return Err(format!("invalid nanoseconds: invalid character '{c}' at position {at}"));
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    // Nine digits fit.
    let nanos = digits.parse().unwrap_or_default();
    jiff::Timestamp::new(whole, nanos).map_err(|_| of_seconds("value out of range"))
}

/// Percent-decoding. What is malformed stays as it is; what is not UTF-8 is replaced.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> String {
    if !(text.contains('%') || plus_is_space && text.contains('+')) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16)).map(|d| d as u8);
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                i += 3;
            }
            (b'+', ..) if plus_is_space => {
                out.push(b' ');
                i += 1;
            }
            (byte, ..) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_booleans_numbers_and_times() {
        let query = Query::parse(
            "a=1&b=False&c&d=none&e=yes&n=7&bad=x&f=%7B%22a%22%3A%5B%22b+c%22%5D%7D&t=12.5&h=70000",
        )
        .unwrap();
        assert!(query.flag("a") && query.flag("e"));
        assert!(!query.flag("b") && !query.flag("c") && !query.flag("d") && !query.flag("absent"));
        assert_eq!(query.number("n"), Ok(Some(7)));
        assert_eq!(query.number("bad").unwrap_err().message, "strconv.Atoi: parsing \"x\": invalid syntax");
        assert_eq!(query.get("f"), r#"{"a":["b c"]}"#);
        assert_eq!(query.time("t", '\'').unwrap().unwrap().as_nanosecond(), 12_500_000_000);
        let wrong = query.time("bad", '\'').unwrap_err();
        assert_eq!(
            wrong.message,
            "invalid value for 'bad': invalid timestamp \"x\": invalid seconds \"x\": invalid syntax"
        );
        assert_eq!(unix_time("1.12345678999").unwrap().subsec_nanosecond(), 123_456_789);
        assert_eq!(
            unix_time("1.5x").unwrap_err(),
            "invalid nanoseconds: invalid character 'x' at position 1"
        );
        assert_eq!(query.dimension("h", "height"), Ok(u16::MAX));
        assert_eq!(
            query.dimension("w", "width").unwrap_err().message,
            "invalid resize width \"\": invalid syntax"
        );
        for (text, why) in [
            ("a=%zz", "invalid URL escape \"%zz\""),
            ("a=%2", "invalid URL escape \"%2\""),
            ("a=1;b", "invalid semicolon separator in query"),
        ] {
            assert_eq!(Query::parse(text).unwrap_err().message, why);
        }
        assert_eq!(decode("a%2Fb%zz%2", false), "a/b%zz%2");
    }
}
