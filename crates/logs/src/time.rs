//! Times as text, RFC 3339 in UTC, without what a general formatter costs for each line.

use jiff::Timestamp;

/// How many digits of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fraction {
    /// As Go prints it: trailing zeros left out.
    Trimmed,
    /// All nine, so that columns line up.
    Full,
}

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
            format(&mut self.text, at, Fraction::Trimmed);
            self.of = Some(at);
        }
        &self.text
    }
}

/// The other way, with the same memory.
#[derive(Debug, Default)]
pub(crate) struct TimeOf {
    text: Vec<u8>,
    is: Option<Timestamp>,
}

impl TimeOf {
    pub(crate) fn parse(&mut self, text: &[u8]) -> Option<Timestamp> {
        if self.is.is_none() || self.text != text {
            self.is = None;
            let at = parse(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())?;
            self.text.clear();
            self.text.extend_from_slice(text);
            self.is = Some(at);
        }
        self.is
    }
}

const DAY_SECONDS: i64 = 86_400;

/// Appends `at`.
pub(crate) fn format(out: &mut Vec<u8>, at: Timestamp, fraction: Fraction) {
    let nanos_since_epoch = at.as_nanosecond();
    let second = nanos_since_epoch.div_euclid(1_000_000_000) as i64;
    let mut nanos = nanos_since_epoch.rem_euclid(1_000_000_000) as u32;
    let days = second.div_euclid(DAY_SECONDS);
    let of_day = second.rem_euclid(DAY_SECONDS);

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
    if nanos != 0 || fraction == Fraction::Full {
        let mut width = 9;
        while fraction == Fraction::Trimmed && nanos.is_multiple_of(10) {
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

/// `2026-01-02T03:04:05.678Z`; any other form of RFC 3339 is for a general parser.
fn parse(text: &[u8]) -> Option<Timestamp> {
    let shape = text.len() >= 20
        && (text[4], text[7], text[10], text[13], text[16]) == (b'-', b'-', b'T', b':', b':')
        && text.last() == Some(&b'Z');
    if !shape {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to]
            .iter()
            .try_fold(0i64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let end = text.len() - 1;
    let nanos = match (text[19], end - 19) {
        (b'Z', 0) => 0,
        (b'.', length @ 2..=10) => number(20, end)? * 10i64.pow(10 - length as u32),
        _ => return None,
    };
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Timestamp::new(days * DAY_SECONDS + hour * 3600 + minute * 60 + second, nanos as i32).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_with_jiff_both_ways() {
        let (mut text, mut time) = (TimeText::default(), TimeOf::default());
        for (second, nanos) in [
            (0, 0),
            (951_782_400, 1),
            (951_868_799, 999_999_999),
            (1_709_164_800, 100),
            (4_102_444_799, 120_000_000),
            (-1, 0),
        ] {
            let at = Timestamp::new(second, nanos).unwrap();
            let written = text.text(at).to_vec();
            assert_eq!(String::from_utf8(written.clone()).unwrap(), at.to_string());
            assert_eq!(parse(&written), Some(at));
            assert_eq!(time.parse(&written), Some(at));
            let mut full = Vec::new();
            format(&mut full, at, Fraction::Full);
            assert_eq!(String::from_utf8(full.clone()).unwrap(), format!("{at:.9}"));
            assert_eq!(parse(&full), Some(at));
        }
        let offset = time.parse(b"2026-01-02T03:04:05+01:00");
        assert_eq!(offset, "2026-01-02T02:04:05Z".parse().ok());
        for wrong in ["", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05.Z", "2026-01-02 x3:04:05Z"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
