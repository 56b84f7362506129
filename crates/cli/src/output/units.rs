//! Sizes and spans as Docker words them ("1.23MB", "About an hour ago"), in and out.

/// `3 minutes`, `About an hour`, from whole nanoseconds.
pub(crate) fn human_duration(nanoseconds: i128) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let minutes = seconds / 60;
    // Hours are rounded, everything else is cut.
    let hours = (nanoseconds + 1_800_000_000_000) / 3_600_000_000_000;
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".into(),
        (1, ..) => "1 second".into(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".into(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".into(),
        (.., ..48) => format!("{hours} hours"),
        (.., ..336) => format!("{} days", hours / 24),
        (.., ..1440) => format!("{} weeks", hours / 24 / 7),
        (.., ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Decimal units with `digits` significant ones: `1.23MB`, `512kB`, `0B`.
pub(crate) fn human_size(bytes: f64, digits: usize) -> String {
    scaled(bytes, digits, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// Binary units with four significant digits: `15.54GiB`.
pub(crate) fn binary_size(bytes: f64) -> String {
    scaled(bytes, 4, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
}

fn scaled(mut size: f64, digits: usize, base: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while size >= base && unit < units.len() - 1 {
        size /= base;
        unit += 1;
    }
    format!("{}{}", significant(size, digits), units[unit])
}

/// C's `%.<digits>g`.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent < -4 || exponent >= digits as i32 {
        return format!("{}e{}{:02}", trim(mantissa), if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    trim(&format!("{value:.*}", (digits as i32 - 1 - exponent).max(0) as usize))
}

/// `512m`, `1.5GiB`, `100` as bytes, with binary multiples whatever the suffix (Docker's `--memory`).
pub(crate) fn parse_binary_size(text: &str) -> Result<i64, String> {
    let Some(last_digit) = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ') else {
        return Err(format!("invalid size: '{text}'"));
    };
    let (number, suffix) = text.split_at(last_digit + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let size: f64 =
        number.parse().map_err(|_| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if size < 0.0 {
        return Err(format!("invalid size: '{text}'"));
    }
    let suffix = suffix.to_ascii_lowercase();
    let unit = match suffix.as_str() {
        "" | "b" => return Ok(size as i64),
        other => other,
    };
    let power = unit.chars().next().and_then(|first| "kmgtp".find(first));
    match (power, &unit[1..]) {
        (Some(power), "" | "b" | "ib") => Ok((size * 1024_f64.powi(power as i32 + 1)) as i64),
        _ => Err(format!("invalid suffix: '{unit}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;
    const HOUR: i128 = 3600 * SECOND;

    #[test]
    fn durations() {
        for (span, text) in [
            (450_000_000, "Less than a second"),
            (SECOND, "1 second"),
            (47 * SECOND, "47 seconds"),
            (60 * SECOND, "About a minute"),
            (3 * 60 * SECOND, "3 minutes"),
            (35 * 60 * SECOND, "35 minutes"),
            (60 * 60 * SECOND, "About an hour"),
            (3 * HOUR, "3 hours"),
            (35 * HOUR, "35 hours"),
            (60 * HOUR, "2 days"),
            (13 * 24 * HOUR, "13 days"),
            (15 * 24 * HOUR, "2 weeks"),
            (40 * 24 * HOUR, "5 weeks"),
            (90 * 24 * HOUR, "3 months"),
            (24 * 30 * 24 * HOUR, "24 months"),
            (3 * 365 * 24 * HOUR, "3 years"),
        ] {
            assert_eq!(human_duration(span), text);
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(human_size(0.0, 3), "0B");
        assert_eq!(human_size(1_000.0, 3), "1kB");
        assert_eq!(human_size(1_234_567.0, 3), "1.23MB");
        assert_eq!(human_size(117_000_000.0, 3), "117MB");
        assert_eq!(human_size(2_746_000.0, 4), "2.746MB");
        assert_eq!(human_size(999_999.0, 3), "1e+03kB");
        assert_eq!(binary_size(16_686_000_000.0), "15.54GiB");
    }

    #[test]
    fn sizes_read() {
        assert_eq!(parse_binary_size("512m"), Ok(512 << 20));
        assert_eq!(parse_binary_size("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(parse_binary_size("100"), Ok(100));
        assert_eq!(parse_binary_size("64b"), Ok(64));
        assert_eq!(parse_binary_size("abc"), Err("invalid size: 'abc'".into()));
        assert_eq!(parse_binary_size("1x"), Err("invalid suffix: 'x'".into()));
        assert_eq!(parse_binary_size("-1"), Err("invalid size: '-1'".into()));
    }
}
