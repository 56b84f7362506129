//! Devices: mappings, cgroup rules, weights and rates.

use api::host_config::{DeviceMapping, ThrottleDevice, WeightDevice};

use crate::output::units;

/// `source[:target][:permissions]`.
pub(crate) fn mapping(text: &str) -> Result<DeviceMapping, String> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 || parts[0].is_empty() {
        return Err(format!("bad format for path: {text}"));
    }
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, mode] if is_mode(mode) => (source, source, mode),
        [source, target] => (source, target, "rwm"),
        [_, _, mode] if !is_mode(mode) => return Err(format!("bad mode specified: {mode}")),
        [source, target, mode] => (source, target, mode),
        _ => return Err(format!("bad format for path: {text}")),
    };
    let target = if target.is_empty() { source } else { target };
    if !target.starts_with('/') {
        return Err(format!("{target} is not an absolute path"));
    }
    Ok(DeviceMapping {
        path_on_host: source.to_owned(),
        path_in_container: target.to_owned(),
        cgroup_permissions: permissions.to_owned(),
    })
}

/// Each of `r`, `w`, `m` at most once.
fn is_mode(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| "rwm".contains(c))
        && text.chars().enumerate().all(|(at, c)| !text[at + 1..].contains(c))
}

/// `type major:minor permissions`, as in `c 42:* rmw`.
pub(crate) fn cgroup_rule(text: &str) -> Result<(), String> {
    let number = |text: &str| text == "*" || (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
    let words: Vec<&str> = text.split(' ').collect();
    let valid = match words[..] {
        [kind, numbers, mode] => {
            matches!(kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&mode.len())
                && mode.chars().all(|c| "rwm".contains(c))
        }
        _ => false,
    };
    if valid { Ok(()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

fn device_and(text: &str) -> Result<(&str, &str), String> {
    let (path, value) = text
        .split_once(':')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    Ok((path, value))
}

pub(crate) fn parse_weight(text: &str) -> Result<WeightDevice, String> {
    let (path, value) = device_and(text)?;
    let weight: u16 = value.parse().map_err(|_| format!("invalid weight for device: {text}"))?;
    if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(format!("invalid weight for device: {text}"));
    }
    Ok(WeightDevice { path: path.to_owned(), weight })
}

pub(crate) fn parse_bytes_rate(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = device_and(text)?;
    let rate = units::parse_binary_size(value).ok().and_then(|rate| u64::try_from(rate).ok()).ok_or_else(|| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    })?;
    Ok(ThrottleDevice { path: path.to_owned(), rate })
}

pub(crate) fn parse_operations_rate(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = device_and(text)?;
    let rate = value.parse().map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"
        )
    })?;
    Ok(ThrottleDevice { path: path.to_owned(), rate })
}

pub(crate) fn weight(text: &str) -> Result<(), String> {
    parse_weight(text).map(drop)
}

pub(crate) fn bytes_rate(text: &str) -> Result<(), String> {
    parse_bytes_rate(text).map(drop)
}

pub(crate) fn operations_rate(text: &str) -> Result<(), String> {
    parse_operations_rate(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings() {
        let parts = |text: &str| {
            mapping(text)
                .map(|m| format!("{} {} {}", m.path_on_host, m.path_in_container, m.cgroup_permissions))
        };
        assert_eq!(parts("/dev/null").unwrap(), "/dev/null /dev/null rwm");
        assert_eq!(parts("/dev/null:/dev/x").unwrap(), "/dev/null /dev/x rwm");
        assert_eq!(parts("/dev/null:r").unwrap(), "/dev/null /dev/null r");
        assert_eq!(parts("/dev/null:/dev/x:rw").unwrap(), "/dev/null /dev/x rw");
        assert_eq!(parts("/dev/null:/dev/x:rr").unwrap_err(), "bad mode specified: rr");
        assert_eq!(parts("null").unwrap_err(), "null is not an absolute path");
    }

    #[test]
    fn rules_and_rates() {
        assert_eq!(cgroup_rule("c 42:* rmw"), Ok(()));
        assert_eq!(cgroup_rule("x 42:* rmw"), Err("invalid device cgroup format 'x 42:* rmw'".into()));
        assert_eq!(parse_bytes_rate("/dev/sda:1mb").unwrap().rate, 1 << 20);
        assert_eq!(parse_weight("/dev/sda:5"), Err("invalid weight for device: /dev/sda:5".into()));
        assert_eq!(operations_rate("sda:5"), Err("bad format for device path: sda:5".into()));
    }
}
