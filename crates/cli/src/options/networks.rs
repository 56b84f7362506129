//! `--network`: a mode, or one of the host's networks.

use crate::flags::Parsed;

/// The network mode; the words of later networks are refused, not dropped.
pub(crate) fn mode(line: &Parsed) -> Result<String, String> {
    let mut given = line.list("network");
    given.extend(line.list("net"));
    match given.as_slice() {
        [] => Ok("default".into()),
        [one] if one.contains('=') => {
            let fields = super::mounts::csv_fields(one)?;
            match fields.iter().find_map(|field| field.strip_prefix("name=")) {
                None => Err(format!("network name/id is not specified: {one}")),
                Some(name) if fields.len() == 1 => Ok(name.to_owned()),
                Some(_) => {
                    Err("--network with options is not supported yet: it comes with user-defined networks"
                        .into())
                }
            }
        }
        [one] if one.trim().is_empty() => Err("no name set for network".into()),
        [one] => Ok(one.clone()),
        _ => Err("more than one --network is not supported yet: it comes with user-defined networks".into()),
    }
}

/// `--mac-address` has to be one, also before networks can honour it.
pub(crate) fn check_addresses(line: &Parsed) -> Result<(), String> {
    let mac = line.text("mac-address");
    if mac.is_empty() || is_mac(mac.trim()) {
        return Ok(());
    }
    Err(format!("{mac} is not a valid mac address"))
}

/// 6, 8 or 20 bytes in hexadecimal, as `00:00:5e:00`, `00-00-5e-00` or `0000.5e00`.
fn is_mac(text: &str) -> bool {
    let (separator, digits) = match text.chars().find(|c| !c.is_ascii_hexdigit()) {
        Some('.') => ('.', 4),
        Some(other @ (':' | '-')) => (other, 2),
        _ => return false,
    };
    let groups: Vec<&str> = text.split(separator).collect();
    matches!(groups.len() * digits / 2, 6 | 8 | 20)
        && groups.iter().all(|group| group.len() == digits && group.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        for good in ["92:d0:c6:0a:29:33", "92-D0-C6-0A-29-33", "92d0.c60a.2933", "02:00:5e:10:00:00:00:01"] {
            assert!(is_mac(good), "{good}");
        }
        for bad in ["bogus", "92:d0:c6:0a:29", "92:d0:c6:0a:29:3", "92d0c60a2933", "92:d0-c6:0a:29:33"] {
            assert!(!is_mac(bad), "{bad}");
        }
    }
}
