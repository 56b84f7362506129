//! Devices: mappings, cgroup rules, weights and rates.

use std::collections::BTreeMap;

use api::host_config::{DeviceMapping, DeviceRequest, ThrottleDevice, WeightDevice};

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

/// `vendor.com/class=name`, of a file about devices.
pub(crate) fn is_name(text: &str) -> bool {
    let word = |text: &str, more: &str| {
        let ends = |letter: char| letter.is_ascii_alphanumeric();
        text.starts_with(ends) && text.ends_with(ends) && text.chars().all(|c| ends(c) || more.contains(c))
    };
    let Some((kind, name)) = text.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let letter = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    letter(vendor) && word(vendor, "_-.") && letter(class) && word(class, "_-") && word(name, "_-.:")
}

/// Devices by their names, and `--gpus`.
pub(crate) fn requests(gpus: &[String], names: Vec<String>) -> Result<Vec<DeviceRequest>, String> {
    let mut all = gpus.iter().map(|text| gpu(text)).collect::<Result<Vec<_>, _>>()?;
    if !names.is_empty() {
        all.push(DeviceRequest { driver: "cdi".to_owned(), device_ids: names, ..DeviceRequest::default() });
    }
    Ok(all)
}

/// `all`, a number, or `device=0,capabilities=...`.
fn gpu(text: &str) -> Result<DeviceRequest, String> {
    let count = |text: &str| match text {
        "all" => Ok(-1),
        digits => digits.parse::<i64>().map_err(|_| {
            format!("invalid count ({text}): value must be either \"all\" or an integer: invalid syntax")
        }),
    };
    let mut request = DeviceRequest::default();
    let mut capabilities = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for field in super::mounts::csv_fields(text)? {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        if said.iter().any(|other| other == key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        said.push(key.to_owned());
        match key {
            "driver" => request.driver = value.to_owned(),
            "count" => request.count = count(value)?,
            "device" => request.device_ids = value.split(',').map(str::to_owned).collect(),
            "capabilities" => capabilities.extend(value.split(',').map(str::to_owned)),
            "options" => {
                let pairs = value.split(',').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                request.options =
                    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>();
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !said.iter().any(|key| key == "count") && request.device_ids.is_empty() {
        request.count = 1;
    }
    capabilities.push("gpu".to_owned());
    request.capabilities = vec![capabilities];
    Ok(request)
}

pub(crate) fn gpus(text: &str) -> Result<(), String> {
    gpu(text).map(drop)
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
    fn names_and_gpus() {
        assert!(is_name("vendor.com/class=a-1") && is_name("nvidia.com/gpu=all"));
        for path in ["/dev/null", "/dev/a=b", "a/b", "a=b", "/b=c", "a/=c"] {
            assert!(!is_name(path), "{path}");
        }
        let of = |text: &str| {
            let all = requests(&[text.to_owned()], Vec::new())?;
            let request = &all[0];
            Ok::<_, String>(format!("{} {:?} {:?}", request.count, request.device_ids, request.capabilities))
        };
        assert_eq!(of("all").unwrap(), r#"-1 [] [["gpu"]]"#);
        assert_eq!(of("2").unwrap(), r#"2 [] [["gpu"]]"#);
        assert_eq!(
            of(r#""device=0,1",capabilities=utility"#).unwrap(),
            r#"0 ["0", "1"] [["utility", "gpu"]]"#
        );
        assert_eq!(of("count=0").unwrap(), r#"0 [] [["gpu"]]"#);
        assert_eq!(of("capabilities=compute").unwrap(), r#"1 [] [["compute", "gpu"]]"#);
        assert_eq!(requests(&["all".into(), "1".into()], Vec::new()).unwrap().len(), 2);
        assert!(of("some").unwrap_err().starts_with("invalid count (some)"));
        assert_eq!(of("foo=1").unwrap_err(), "unexpected key 'foo' in 'foo=1'");
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
