//! What a user may ask for (`--log-driver`, `--log-opt`), checked with Docker's texts and resolved into a
//! [`Destination`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::json_file::{DEFAULT_FILE_BYTES, DEFAULT_FILES, JsonFileDestination};
use crate::tag;
use crate::writer::Destination;

/// The driver of a container that names none.
pub const DEFAULT_DRIVER: &str = "json-file";

/// Every driver that [`resolve`] knows, sorted, as `info` lists them.
pub const DRIVERS: &[&str] = &["json-file", "none"];

/// Why a log configuration is refused. All of them are the caller's mistake.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("logger: no log driver named '{0}' is registered")]
    UnknownDriver(String),
    #[error("unknown log opt '{option}' for {driver} log driver")]
    UnknownOption { option: String, driver: &'static str },
    #[error("log opt '{0}' is not supported: regular expressions over labels and environment come later")]
    UnsupportedOption(String),
    #[error("logger: logging mode not supported: {0}")]
    Mode(String),
    #[error("logger: max-buffer-size option is only supported with 'mode=non-blocking'")]
    BufferWithoutMode,
    #[error("error parsing option max-buffer-size: {0}")]
    BufferSize(String),
    #[error("{0}")]
    Size(String),
    #[error("max-size must be a positive number")]
    SizeNotPositive,
    #[error("invalid value for max-file: {0}")]
    Files(String),
    #[error("max-file cannot be less than 1")]
    TooFewFiles,
    #[error("invalid value for compress: {0}")]
    Compress(String),
    #[error("compress cannot be true when max-file is less than 2 or max-size is not set")]
    CompressWithoutRotation,
    #[error("log opt tag: template {template:?} uses more than a field of the container")]
    Tag { template: String },
}

/// What a log driver may need to know about the container.
#[derive(Clone, Copy, Debug)]
pub struct ContainerFacts<'a> {
    /// 64 hex digits.
    pub id: &'a str,
    pub name: &'a str,
    pub image_id: &'a str,
    pub image_name: &'a str,
    /// Entrypoint and arguments.
    pub command: &'a [String],
    pub labels: &'a BTreeMap<String, String>,
    /// `KEY=value`, the container's environment.
    pub env: &'a [String],
}

/// Checks driver and options without a container, as `docker create` and the engine's start do.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn validate(driver: &str, options: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    let labels = BTreeMap::new();
    let nobody = ContainerFacts {
        id: "",
        name: "",
        image_id: "",
        image_name: "",
        command: &[],
        labels: &labels,
        env: &[],
    };
    resolve(driver, options, &BTreeMap::new(), PathBuf::new())?;
    attributes(options, &nobody).map(|_| ())
}

/// Decides where a container's output goes. `attrs` accompany every record, see [`attributes`]; `path` is the
/// log file of drivers that write one.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn resolve(
    driver: &str,
    options: &BTreeMap<String, String>,
    attrs: &BTreeMap<String, String>,
    path: PathBuf,
) -> Result<Destination, ConfigError> {
    let driver = if driver.is_empty() { DEFAULT_DRIVER } else { driver };
    if driver == "none" {
        return Ok(Destination::None);
    }
    check_mode(options)?;
    match driver {
        "json-file" => json_file(options, attrs, path).map(Destination::JsonFile),
        _ => Err(ConfigError::UnknownDriver(driver.to_owned())),
    }
}

/// `mode=non-blocking` asks that a slow log collector never blocks the container. It is accepted by every
/// driver here: a local file is such a collector already, the page cache being the buffer.
fn check_mode(options: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(ConfigError::Mode(mode.to_owned()));
    }
    if let Some(size) = options.get("max-buffer-size") {
        if mode != "non-blocking" {
            return Err(ConfigError::BufferWithoutMode);
        }
        parse_size(size, 1024).map_err(ConfigError::BufferSize)?;
    }
    Ok(())
}

fn json_file(
    options: &BTreeMap<String, String>,
    attrs: &BTreeMap<String, String>,
    path: PathBuf,
) -> Result<JsonFileDestination, ConfigError> {
    for option in options.keys() {
        match option.as_str() {
            "max-size" | "max-file" | "compress" | "labels" | "env" | "tag" | "mode" | "max-buffer-size" => {}
            "labels-regex" | "env-regex" => return Err(ConfigError::UnsupportedOption(option.clone())),
            _ => return Err(ConfigError::UnknownOption { option: option.clone(), driver: "json-file" }),
        }
    }
    let (size, files) = (options.get("max-size"), options.get("max-file"));
    let file_bytes_max = match size.map(|s| s.trim()) {
        // Docker's documentation calls -1 "unlimited"; here it has to be asked for.
        Some("-1") => None,
        Some(text) => match parse_size(text, 1000).map_err(ConfigError::Size)? {
            0 => return Err(ConfigError::SizeNotPositive),
            bytes => Some(bytes),
        },
        None => Some(DEFAULT_FILE_BYTES),
    };
    let files_max = match files {
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n < 1 => return Err(ConfigError::TooFewFiles),
            Ok(n) => u32::try_from(n).map_err(|_| ConfigError::Files(text.clone()))?,
            Err(_) => return Err(ConfigError::Files(text.clone())),
        },
        // With a size alone Docker keeps one file; whoever says nothing gets the default cap.
        None if size.is_some() => 1,
        None => DEFAULT_FILES,
    };
    let compress = match options.get("compress").map(String::as_str) {
        None => false,
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(other) => return Err(ConfigError::Compress(other.to_owned())),
    };
    if compress && (files_max == 1 || file_bytes_max.is_none()) {
        return Err(ConfigError::CompressWithoutRotation);
    }
    let attrs = if attrs.is_empty() {
        None
    } else {
        let object =
            attrs.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect::<serde_json::Map<_, _>>();
        Some(serde_json::Value::Object(object).to_string())
    };
    Ok(JsonFileDestination { path, file_bytes_max, files_max, compress, attrs })
}

/// The labels and variables named by `--log-opt labels=` and `env=`, and the expanded `tag`.
///
/// # Errors
///
/// A tag that is not understood.
pub fn attributes(
    options: &BTreeMap<String, String>,
    facts: &ContainerFacts<'_>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut attrs = BTreeMap::new();
    let names = |key: &str| options.get(key).map_or("", String::as_str).split(',');
    for name in names("labels") {
        if let Some(value) = facts.labels.get(name) {
            attrs.insert(name.to_owned(), value.clone());
        }
    }
    for name in names("env") {
        let value = facts.env.iter().rev().filter_map(|e| e.split_once('=')).find(|(k, _)| *k == name);
        if let Some((_, value)) = value {
            attrs.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(template) = options.get("tag").filter(|t| !t.is_empty()) {
        let tag = tag::expand(template, facts)?;
        if !tag.is_empty() {
            attrs.insert("tag".to_owned(), tag);
        }
    }
    Ok(attrs)
}

/// A size as `docker/go-units` reads it: a number, then `k`, `m`, `g`, `t` or `p` in either case, with an
/// optional `b` or `ib`; `base` is 1000 or 1024 whatever the suffix looks like.
fn parse_size(text: &str, base: u32) -> Result<u64, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn json(pairs: &[(&str, &str)]) -> JsonFileDestination {
        let labels = options(&[("team", "blue")]);
        let facts = ContainerFacts {
            id: &"ab".repeat(32),
            name: "/web",
            image_id: "sha256:0123456789abcdef",
            image_name: "debian",
            command: &["sh".into(), "-c".into()],
            labels: &labels,
            env: &["A=1".into(), "B=2".into(), "A=3".into()],
        };
        let options = options(pairs);
        let attrs = attributes(&options, &facts).unwrap();
        match resolve("", &options, &attrs, "/log".into()).unwrap() {
            Destination::JsonFile(d) => d,
            Destination::None => panic!("none"),
        }
    }

    #[test]
    fn defaults_are_capped_and_a_size_alone_keeps_one_file() {
        let d = json(&[]);
        assert_eq!((d.file_bytes_max, d.files_max, d.compress), (Some(20 << 20), 5, false));
        let d = json(&[("max-size", "10m")]);
        assert_eq!((d.file_bytes_max, d.files_max), (Some(10_000_000), 1));
        let d = json(&[("max-size", "-1")]);
        assert_eq!(d.file_bytes_max, None);
        let d = json(&[("max-size", "1.5k"), ("max-file", "3"), ("compress", "true")]);
        assert_eq!((d.file_bytes_max, d.files_max, d.compress), (Some(1500), 3, true));
    }

    #[test]
    fn attributes_come_from_labels_env_and_tag() {
        let d = json(&[("labels", "team,none"), ("env", "A"), ("tag", "x/{{.Name}}-{{ .ID }}/{{.ImageID}}")]);
        assert_eq!(
            d.attrs.as_deref(),
            Some(r#"{"A":"3","tag":"x/web-abababababab/0123456789ab","team":"blue"}"#)
        );
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |driver: &str, pairs: &[(&str, &str)]| {
            validate(driver, &options(pairs)).map_or_else(|e| e.to_string(), |()| "accepted".to_owned())
        };
        assert_eq!(refused("json-file", &[("x", "1")]), "unknown log opt 'x' for json-file log driver");
        assert_eq!(refused("foo", &[]), "logger: no log driver named 'foo' is registered");
        assert_eq!(refused("none", &[("x", "1")]), "accepted");
        assert_eq!(refused("json-file", &[("mode", "z")]), "logger: logging mode not supported: z");
        assert_eq!(refused("json-file", &[("max-size", "0")]), "max-size must be a positive number");
        assert_eq!(refused("json-file", &[("max-size", "10x")]), "invalid suffix: 'x'");
        assert_eq!(refused("json-file", &[("max-size", "ten")]), "invalid size: 'ten'");
        assert_eq!(refused("json-file", &[("max-file", "0")]), "max-file cannot be less than 1");
        assert_eq!(
            refused("json-file", &[("max-size", "1k"), ("compress", "1")]),
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        );
        assert_eq!(
            refused("json-file", &[("max-buffer-size", "4m")]),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        );
        assert_eq!(refused("json-file", &[("mode", "non-blocking"), ("max-buffer-size", "4m")]), "accepted");
    }
}
