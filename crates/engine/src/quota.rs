//! How much of the disk a container's own files, or a volume, may take: options that say it, and Docker's words.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// What Docker says of a container's `size` where nothing limits it.
pub(crate) const NO_QUOTAS: &str =
    "--storage-opt is supported only for overlay over xfs with 'pquota' mount option";
/// And of a volume's.
pub(crate) const NO_VOLUME_QUOTAS: &str = "quota size requested but no quota support";

/// The engine's own options (`--storage-opt`): of containers that say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageDefaults {
    pub size_bytes: Option<u64>,
    /// btrfs: none may have less.
    pub min_bytes: u64,
}

impl StorageDefaults {
    /// As the driver reads them.
    ///
    /// # Errors
    /// An option that the driver does not have, as Docker says it, or no size.
    pub fn parse(driver: &str, options: &[String]) -> Result<Self, String> {
        let mut defaults = Self::default();
        for option in options {
            let Some((key, value)) = option.split_once('=') else {
                return Err(format!("unable to parse storage-opt key/value: {option}"));
            };
            let bytes = || parse_size(value.trim()).map_err(|error| format!("{driver}: {key}: {error}"));
            match (driver, key.trim().to_ascii_lowercase().as_str()) {
                ("overlay2", "overlay2.size") | ("vfs", "size" | "vfs.size") => {
                    defaults.size_bytes = Some(bytes()?).filter(|bytes| *bytes > 0);
                }
                ("btrfs", "btrfs.min_space") => defaults.min_bytes = bytes()?,
                (_, key) => return Err(format!("{driver}: unknown option {key}")),
            }
        }
        Ok(defaults)
    }
}

/// How much a container may take: what it says (`HostConfig.StorageOpt`), or what the engine says of all.
pub(crate) fn of_container(
    options: &BTreeMap<String, String>,
    defaults: StorageDefaults,
) -> Result<Option<u64>> {
    let mut size = defaults.size_bytes;
    for (key, value) in options {
        if !key.eq_ignore_ascii_case("size") {
            return Err(Error::invalid(format!("Unknown option {key}")));
        }
        size = Some(parse_size(value).map_err(Error::invalid)?).filter(|bytes| *bytes > 0);
        if size.is_some_and(|bytes| bytes < defaults.min_bytes) {
            let least = defaults.min_bytes;
            return Err(Error::invalid(format!("btrfs: storage size cannot be less than {least} bytes")));
        }
    }
    Ok(size)
}

/// A volume's `size`; none, or 0, is no limit.
pub(crate) fn of_volume(options: &BTreeMap<String, String>) -> Result<Option<u64>> {
    let size = options.get("size").map(|text| parse_size(text).map_err(Error::invalid)).transpose()?;
    Ok(size.filter(|bytes| *bytes > 0))
}

/// What a copy has of a volume's options: its limit.
pub(crate) fn kept(options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    options.iter().filter(|(key, _)| *key == "size").map(|(key, size)| (key.clone(), size.clone())).collect()
}

/// `5g`, `1.5 GiB`, `64MB`, plain bytes: Docker's sizes, whose units are of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit == "ib" => return Err(invalid()),
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(invalid()),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it has digits and a dot only"
    )]
    let bytes = (number * 1024_f64.powi(power)) as u64;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, bytes) in
            [("0", 0), ("7", 7), ("5g", 5 << 30), ("1.5GiB", 3 << 29), ("64 MB", 64 << 20), ("2kb", 2048)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "-1", "1x", "1ib", "1 2", "1..5g"] {
            assert_eq!(parse_size(text), Err(format!("invalid size: '{text}'")));
        }
    }

    #[test]
    fn a_containers_word_counts_more_than_the_engines() {
        let says = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let defaults = StorageDefaults { size_bytes: Some(9), min_bytes: 5 };
        assert_eq!(of_container(&BTreeMap::new(), defaults).unwrap(), Some(9));
        assert_eq!(of_container(&says("size", "1k"), defaults).unwrap(), Some(1024));
        assert_eq!(of_container(&says("Size", "0"), defaults).unwrap(), None);
        for (key, value, text) in [
            ("size", "much", "invalid size: 'much'"),
            ("size", "4", "btrfs: storage size cannot be less than 5 bytes"),
            ("color", "red", "Unknown option color"),
        ] {
            assert_eq!(of_container(&says(key, value), defaults).unwrap_err().message, text);
        }
        assert_eq!(of_volume(&says("size", "2m")).unwrap(), Some(2 << 20));
        assert_eq!(of_volume(&BTreeMap::new()).unwrap(), None);
    }

    #[test]
    fn each_driver_has_options_of_its_own() {
        let parse = |driver: &str, option: &str| StorageDefaults::parse(driver, &[option.to_owned()]);
        assert_eq!(parse("overlay2", "overlay2.size=1g").unwrap().size_bytes, Some(1 << 30));
        assert_eq!(parse("btrfs", "btrfs.min_space=1g").unwrap().min_bytes, 1 << 30);
        for (driver, option, text) in [
            ("overlay2", "dm.basesize=20G", "overlay2: unknown option dm.basesize"),
            ("btrfs", "overlay2.size=1g", "btrfs: unknown option overlay2.size"),
            ("overlay2", "overlay2.size", "unable to parse storage-opt key/value: overlay2.size"),
            ("overlay2", "overlay2.size=x", "overlay2: overlay2.size: invalid size: 'x'"),
        ] {
            assert_eq!(parse(driver, option).unwrap_err(), text);
        }
    }
}
