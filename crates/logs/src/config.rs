//! What a user may ask for (`--log-driver`, `--log-opt`), checked with Docker's texts and resolved into a
//! [`Destination`].

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use regex::Regex;

use crate::destination::{Destination, To};
use crate::facts::{ConfigError, ContainerFacts};
use crate::file::Format;
use crate::options::{boolean, size as size_of};
use crate::pattern::explain;
use crate::remote::{Driver, RemoteDestination};
use crate::tag;

/// The driver of a container that names none.
pub const DEFAULT_DRIVER: &str = "json-file";

/// Every driver that writes somewhere, sorted, as `info` lists them.
pub const DRIVERS: &[&str] = &["fluentd", "gelf", "journald", "json-file", "local", "syslog"];

/// Drivers of Docker's that are not here.
const LATER: &[&str] = &["awslogs", "gcplogs", "splunk", "etwlogs"];

/// Options of every driver that are read here or in [`crate::remote`].
const COMMON: &[&str] = &["env", "env-regex", "labels", "labels-regex", "tag"];
const BUILT_IN: &[&str] = &[
    "mode",
    "max-buffer-size",
    "stdin",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
];
const FILES: &[&str] = &["max-size", "max-file", "compress"];

/// What `mode=non-blocking` buffers when the user does not say, in bytes.
const DEFAULT_BUFFER_BYTES: u64 = 1_000_000;

/// Checks driver and options without a container, as `docker create` and the engine's start do.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn validate(driver: &str, options: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    let labels = BTreeMap::new();
    // A template may cut an id or a name to some length.
    let id = "0".repeat(64);
    let somebody = ContainerFacts {
        id: &id,
        name: "/somebody",
        image_id: &id,
        image_name: "someimage",
        command: &["somecommand".to_owned()],
        labels: &labels,
        env: &[],
        created: "2026-01-01T00:00:00Z",
    };
    resolve(driver, options, &somebody, PathBuf::new()).map(|_| ())
}

/// How the records of a container with these options can be read on this machine; `None` if they can not.
pub fn kept(driver: &str, options: &BTreeMap<String, String>) -> Option<Format> {
    match driver {
        "none" => None,
        "json-file" | "" => Some(Format::JsonFile),
        "local" => Some(Format::Local),
        _ => (cache_disabled(options) != Ok(true)).then_some(Format::Local),
    }
}

/// The options that a container has from the engine's, whatever its driver: those of the cache.
pub fn is_inherited(option: &str) -> bool {
    option.starts_with("cache-")
}

/// Decides where a container's output goes. `path` is the log file of drivers that write one, or of the records kept
/// beside a remote driver: see [`kept`].
///
/// # Errors
///
/// The first thing that is wrong.
pub fn resolve(
    driver: &str,
    options: &BTreeMap<String, String>,
    facts: &ContainerFacts<'_>,
    path: PathBuf,
) -> Result<Destination, ConfigError> {
    let driver = if driver.is_empty() { DEFAULT_DRIVER } else { driver };
    if driver == "none" {
        return Ok(Destination::NONE);
    }
    let buffer_bytes = buffer_bytes(options)?;
    let cache_disabled = cache_disabled(options)?;
    let stdin = options.get("stdin").map_or(Ok(false), |text| boolean(text));
    let stdin = stdin.map_err(|why| ConfigError::new(format!("invalid value for stdin: {why}")))?;
    if LATER.contains(&driver) {
        return Err(ConfigError::new(format!("log driver {driver} is not built yet")));
    }
    let Some(driver) = DRIVERS.iter().find(|known| **known == driver) else {
        return Err(ConfigError::new(format!("logger: no log driver named '{driver}' is registered")));
    };
    let own = match *driver {
        "json-file" | "local" => FILES,
        remote => Driver::options(remote),
    };
    for option in options.keys().map(String::as_str) {
        if !COMMON.contains(&option) && !BUILT_IN.contains(&option) && !own.contains(&option) {
            return Err(ConfigError::new(match *driver {
                "local" => format!("unknown log opt '{option}' for log driver local"),
                "gelf" => format!("unknown log opt {option:?} for gelf log driver"),
                driver => format!("unknown log opt '{option}' for {driver} log driver"),
            }));
        }
    }
    let attrs = attributes(options, facts)?;
    // Beside what is sent anyway, or in a file, a tag stands only where somebody wants it.
    let tag = options.get("tag").map_or("", String::as_str);
    let kept_attrs = || -> Result<_, ConfigError> {
        let mut attrs = attrs.clone();
        let tag = tag::expand(tag, facts)?;
        if !tag.is_empty() {
            attrs.insert("tag".to_owned(), tag);
        }
        Ok(attrs)
    };
    let to = match *driver {
        "json-file" => To::File(files::json_file(options, kept_attrs()?, path)?),
        "local" => To::File(files::local(options, "", kept_attrs()?, path)?),
        driver => {
            let tag = tag::expand(if tag.is_empty() { tag::DEFAULT } else { tag }, facts)?;
            let cache = files::local(options, "cache-", kept_attrs()?, path)?;
            To::Remote(Box::new(RemoteDestination {
                driver: Driver::resolve(driver, options, &attrs, tag, facts)?,
                buffer_bytes,
                cache: (!cache_disabled).then_some(cache),
            }))
        }
    };
    Ok(Destination { to, stdin })
}

/// `mode=non-blocking` asks that a slow log collector never blocks the container. Files are accepted, too: they are
/// such a collector already, the page cache being the buffer.
fn buffer_bytes(options: &BTreeMap<String, String>) -> Result<Option<u64>, ConfigError> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(ConfigError::new(format!("logger: logging mode not supported: {mode}")));
    }
    let non_blocking = mode == "non-blocking";
    match options.get("max-buffer-size") {
        Some(_) if !non_blocking => {
            Err(ConfigError::new("logger: max-buffer-size option is only supported with 'mode=non-blocking'"))
        }
        Some(size) => match size_of(size, 1024) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(why) => Err(ConfigError::new(format!("error parsing option max-buffer-size: {why}"))),
        },
        None => Ok(non_blocking.then_some(DEFAULT_BUFFER_BYTES)),
    }
}

fn cache_disabled(options: &BTreeMap<String, String>) -> Result<bool, ConfigError> {
    match options.get("cache-disabled").map_or("", String::as_str) {
        "" => Ok(false),
        text => boolean(text)
            .map_err(|_| ConfigError::new(format!("invalid value for option cache-disabled: {text}"))),
    }
}

/// The labels and variables named by `--log-opt labels=`, `labels-regex=`, `env=` and `env-regex=`.
fn attributes(
    options: &BTreeMap<String, String>,
    facts: &ContainerFacts<'_>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut attrs = BTreeMap::new();
    let names = |key: &str| options.get(key).map_or("", String::as_str).split(',');
    let pattern = |key: &str| {
        let text = options.get(key).filter(|text| !text.is_empty());
        text.map(|text| Regex::new(text).map_err(|error| ConfigError::new(explain(text, &error)))).transpose()
    };
    let mut take = |name: &str, value: &str| {
        attrs.insert(name.to_owned(), value.to_owned());
    };
    // A later variable of the same name holds.
    let env: BTreeMap<&str, &str> = facts.env.iter().filter_map(|entry| entry.split_once('=')).collect();
    let (labels_pattern, env_pattern) = (pattern("labels-regex")?, pattern("env-regex")?);
    for name in names("labels") {
        facts.labels.get(name).into_iter().for_each(|value| take(name, value));
    }
    for (name, value) in facts.labels {
        if labels_pattern.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
            take(name, value);
        }
    }
    for name in names("env") {
        env.get(name).into_iter().for_each(|value| take(name, value));
    }
    for (name, value) in &env {
        if env_pattern.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
            take(name, value);
        }
    }
    Ok(attrs)
}

#[cfg(test)]
mod tests;
