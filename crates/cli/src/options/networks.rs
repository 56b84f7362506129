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
