//! Limits: CPUs as a decimal, ulimits.

use api::host_config::Ulimit;

/// `1.5` CPUs as billionths, exactly: a decimal, never through a float.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(invalid());
    }
    let significant = fraction.trim_end_matches('0');
    if significant.len() > 9 {
        return Err("value is too precise".into());
    }
    let billionths: i64 = format!("{significant:0<9}").parse().map_err(|_| invalid())?;
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    whole.checked_mul(1_000_000_000).and_then(|nanos| nanos.checked_add(billionths)).ok_or_else(invalid)
}

/// `name=soft[:hard]`; -1 is unlimited.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, String> {
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |text: &str| -> Result<i64, String> {
        text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    };
    let (soft, hard) = match limits.split_once(':') {
        Some((_, hard)) if hard.contains(':') => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => {
            let both = number(limits)?;
            (both, both)
        }
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_exact() {
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(nano_cpus(".25"), Ok(250_000_000));
        assert_eq!(nano_cpus("0.000000001"), Ok(1));
        assert_eq!(nano_cpus("0.0000000001"), Err("value is too precise".into()));
        assert_eq!(nano_cpus("x"), Err("failed to parse x as a rational number".into()));
    }

    #[test]
    fn ulimits() {
        let limits = |text: &str| ulimit(text).map(|limit| (limit.soft, limit.hard));
        assert_eq!(limits("nofile=1024:2048"), Ok((1024, 2048)));
        assert_eq!(limits("nofile=1024"), Ok((1024, 1024)));
        assert_eq!(limits("memlock=-1"), Ok((-1, -1)));
        assert_eq!(limits("nofile"), Err("invalid ulimit argument: nofile".into()));
        assert_eq!(limits("files=1"), Err("invalid ulimit type: files".into()));
        assert!(limits("nofile=3:2").unwrap_err().contains("3 > 2"));
    }
}
