//! Numbers of bytes, for people.

pub(crate) fn human(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

/// `500MB`, `10GiB`, `1.5g`, `4096`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim().to_ascii_lowercase();
    let (letter, step) = match unit.trim_end_matches('b').strip_suffix('i') {
        Some(letter) => (letter, 1024.0),
        None => (unit.trim_end_matches('b'), 1000.0),
    };
    let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == letter)?;
    let bytes = number * f64::powi(step, i32::try_from(power).ok()?);
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(human(0), "0 B");
        assert_eq!(human(1500), "1.5 kB");
        assert_eq!(human(350_000_000), "350.0 MB");
        for (text, bytes) in [
            ("4096", 4096),
            ("500MB", 500_000_000),
            ("10GiB", 10 << 30),
            ("1.5k", 1500),
            ("1ki", 1024),
            ("7b", 7),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for bad in ["", "x", "1x", "-1", "1.2.3", "1 m b"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
