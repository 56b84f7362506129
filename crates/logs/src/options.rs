//! How values of options are read, with the texts of the Go functions that Docker reads them with.

use std::time::Duration;

/// A size as `docker/go-units` reads it: a number, then `k`, `m`, `g`, `t` or `p` in either case, with an
/// optional `b` or `ib`; `base` is 1000 or 1024 whatever the suffix looks like.
pub(crate) fn size(text: &str, base: u32) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').ok_or_else(invalid)? + 1;
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.trim().parse().map_err(|_| invalid())?;
    if number < 0.0 || !number.is_finite() {
        return Err(invalid());
    }
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let exponent = match suffix.as_bytes() {
        [] | [b'b'] => 0,
        [unit] | [unit, b'b'] | [unit, b'i', b'b'] => match b"kmgtp".iter().position(|u| u == unit) {
            Some(at) => at as i32 + 1,
            None => return Err(format!("invalid suffix: '{suffix}'")),
        },
        _ => return Err(format!("invalid suffix: '{suffix}'")),
    };
    Ok((number * f64::from(base).powi(exponent)) as u64)
}

/// Go's `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// Go's `time.ParseDuration`, without a sign: no option wants less than nothing.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..letters] {
                "" => return Err(format!("time: missing unit in duration {text:?}")),
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
            };
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

/// The parts of a URL that log addresses have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: &'a str,
    /// `host`, `host:port`, `[v6]:port`
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
}

/// Go's `url.Parse`, as far as it matters here.
pub(crate) fn url(text: &str) -> Result<Url<'_>, String> {
    let wrong = |why: &str| format!("parse {text:?}: {why}");
    let is_scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let (scheme, rest) = match text.split_once(':') {
        Some(("", _)) => return Err(wrong("missing protocol scheme")),
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", text),
    };
    let Some(rest) = rest.strip_prefix("//") else {
        if scheme.is_empty() && rest.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err(wrong("first path segment in URL cannot contain colon"));
        }
        return Ok(Url { scheme, host: "", path: rest });
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // Who logs in to a log collector so is nobody.
    let host = host.rsplit('@').next().unwrap_or(host);
    if let Ok((_, port)) = host_port(host)
        && !port.chars().all(|c| c.is_ascii_digit())
    {
        return Err(wrong(&format!("invalid port \":{port}\" after host")));
    }
    Ok(Url { scheme, host, path })
}

/// Go's `net.SplitHostPort`.
pub(crate) fn host_port(text: &str) -> Result<(&str, &str), &'static str> {
    let missing = "missing port in address";
    if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']').ok_or("missing ']' in address")?;
        return Ok((host, rest.strip_prefix(':').ok_or(missing)?));
    }
    let (host, port) = text.rsplit_once(':').ok_or(missing)?;
    if host.contains(':') { Err("too many colons in address") } else { Ok((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        assert_eq!(duration("1m1.5s"), Ok(Duration::from_millis(61_500)));
        assert_eq!(duration("5"), Err("time: missing unit in duration \"5\"".into()));
        assert_eq!(duration("x"), Err("time: invalid duration \"x\"".into()));
        assert_eq!(duration("3d"), Err("time: unknown unit \"d\" in duration \"3d\"".into()));
    }

    #[test]
    fn urls_are_cut_as_go_does() {
        let cut = |text| url(text).map(|url| (url.scheme, url.host, url.path));
        assert_eq!(cut("tcp://h:1/p"), Ok(("tcp", "h:1", "/p")));
        assert_eq!(cut("tcp+tls://[::1]:1"), Ok(("tcp+tls", "[::1]:1", "")));
        assert_eq!(cut("unix:///dev/log"), Ok(("unix", "", "/dev/log")));
        assert_eq!(cut("localhost:514"), Ok(("localhost", "", "514")));
        assert_eq!(cut("word"), Ok(("", "", "word")));
        let colon = r#"parse "1.2.3.4:514": first path segment in URL cannot contain colon"#;
        assert_eq!(cut("1.2.3.4:514"), Err(colon.into()));
        assert_eq!(cut("tcp://h:x"), Err(r#"parse "tcp://h:x": invalid port ":x" after host"#.into()));
        assert_eq!(host_port("::1"), Err("too many colons in address"));
        assert_eq!(host_port("[::1]:5"), Ok(("::1", "5")));
    }
}
