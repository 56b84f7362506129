//! Points in time as flags give them, and as Go prints them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::flags::values::parse_duration;

/// `--since`, `--until`: a date, a date with time, seconds since the epoch, or a span before now. The answer is seconds
/// with nanoseconds, empty for empty.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if let Some(nanoseconds) = parse_duration(text).ok().filter(|_| text != "0") {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i128);
        // Whole seconds, as Docker's client counts.
        return Ok((now - i128::from(nanoseconds)).div_euclid(1_000_000_000).to_string());
    }
    if text.chars().all(|c| c.is_ascii_digit() || c == '.') && text.starts_with(|c: char| c.is_ascii_digit())
    {
        return Ok(text.to_owned());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(seconds(moment.as_nanosecond()));
    }
    let local = local_time(text).ok_or_else(|| match out_of_range(text) {
        Some(part) => format!("parsing time {text:?}: {part} out of range"),
        None => format!("failed to parse value as time or duration: {text:?}"),
    })?;
    let moment = TimeZone::system().to_timestamp(local).map_err(|error| error.to_string())?;
    Ok(seconds(moment.as_nanosecond()))
}

/// `2006-01-02`, `2006-01-02T15:04`, `...:05`, with fraction; in the local zone.
fn local_time(text: &str) -> Option<DateTime> {
    if let Ok(moment) = text.parse::<DateTime>() {
        return Some(moment);
    }
    format!("{text}:00").parse::<DateTime>().ok()
}

/// What of a date there cannot be, in the words of Go's parser.
fn out_of_range(text: &str) -> Option<&'static str> {
    let date = text.get(..10)?;
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<u8>().ok();
    let (_year, month, _day) = (date.get(..4)?.parse::<u16>().ok()?, number(5..7)?, number(8..10)?);
    if !(1..=12).contains(&month) {
        return Some("month");
    }
    format!("{date}T00:00").parse::<DateTime>().is_err().then_some("day")
}

fn seconds(nanoseconds: i128) -> String {
    format!("{}.{:09}", nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000))
}

fn zoned(seconds: i64, nanoseconds: i32) -> Option<ZonedDateTime> {
    Some(Timestamp::new(seconds, nanoseconds).ok()?.to_zoned_datetime(TimeZone::system()))
}

/// Go's `time.Time.String` of whole seconds: `2026-11-23 21:00:00 +0000 UTC`.
pub(crate) fn go_string(seconds: i64) -> String {
    zoned(seconds, 0)
        .map_or_else(String::new, |moment| moment.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string())
}

/// An RFC 3339 moment as Go's `time.Time.String` has it, in UTC; anything else as it is.
pub(crate) fn go_string_of(text: &str) -> String {
    let moment = text.parse::<Timestamp>().map(|moment| moment.to_zoned_datetime(TimeZone::UTC));
    moment
        .map_or_else(|_| text.to_owned(), |moment| moment.strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string())
}

/// An RFC 3339 moment as C's `asctime` writes it; anything else as it is.
pub(crate) fn ansi_c(text: &str) -> String {
    // The moment's own zone is shown, so its offset is left aside.
    let local = text.parse::<Timestamp>().ok().and_then(|_| text.get(..19));
    let fields = local.and_then(|local| local.parse::<DateTime>().ok());
    fields.map_or_else(|| text.to_owned(), |local| local.strftime("%a %b %e %H:%M:%S %Y").to_string())
}

/// RFC 3339 in the local zone, seconds.
pub(crate) fn rfc3339(seconds: i64) -> String {
    zoned(seconds, 0)
        .map_or_else(String::new, |moment| go_zone(moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()))
}

/// RFC 3339 in the local zone with nine digits of fraction.
pub(crate) fn rfc3339_nano(nanoseconds: i64) -> String {
    zoned(nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000) as i32)
        .map_or_else(String::new, |moment| go_zone(moment.strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string()))
}

/// Go writes UTC's offset as Z.
fn go_zone(text: String) -> String {
    match text.strip_suffix("+00:00") {
        Some(bare) => format!("{bare}Z"),
        None => text,
    }
}

/// Nanoseconds since an RFC 3339 moment.
pub(crate) fn age(moment: &str) -> Option<i128> {
    let then = moment.parse::<Timestamp>().ok()?.as_nanosecond();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos() as i128;
    Some(now - then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written() {
        assert_eq!(ansi_c("2026-11-04T04:10:44.5Z"), "Wed Nov  4 04:10:44 2026");
        assert_eq!(ansi_c("2026-11-24T04:10:44+02:00"), "Tue Nov 24 04:10:44 2026");
        assert_eq!(ansi_c("unknown"), "unknown");
        assert_eq!(go_string_of("2026-11-24T04:10:44.5Z"), "2026-11-24 04:10:44.5 +0000 UTC");
        assert_eq!(go_string_of("2026-11-24T04:10:44Z"), "2026-11-24 04:10:44 +0000 UTC");
    }

    #[test]
    fn moments_are_read() {
        assert_eq!(parse(""), Ok(String::new()));
        assert_eq!(parse("1136073845.000000001"), Ok("1136073845.000000001".into()));
        assert_eq!(parse("2013-01-02T13:23:37Z"), Ok("1357133017.000000000".into()));
        assert_eq!(parse("2013-01-02T13:23:37.5+01:00"), Ok("1357129417.500000000".into()));
        assert!(parse("42m").is_ok_and(|seconds| seconds.parse::<u64>().is_ok()));
        assert_eq!(parse("0"), Ok("0".into()));
        assert!(parse("2013-01-02").is_ok());
        assert!(parse("yesterday").unwrap_err().contains("yesterday"));
    }
}
