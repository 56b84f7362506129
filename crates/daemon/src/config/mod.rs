//! Flags and `daemon.json` → one checked [`Config`].
//!
//! Both are read through one table (`options.rs`) into the same values, so that a directive given twice is found,
//! and an option nobody has built is refused by name instead of being ignored.

mod firewall_mark;
mod image_gc;
mod options;
mod pools;
mod registries;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use options::{Kind, OPTIONS, Option_, Standing};
pub(crate) use pools::own_prefix;

pub(crate) const DEFAULT_FILE: &str = "/etc/docker/daemon.json";
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The daemon's configuration: values by the option's flag name, checked against the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    values: BTreeMap<&'static str, Value>,
    /// Options that were said and have no effect.
    pub(crate) without_effect: Vec<&'static str>,
}

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Asked {
    Run(Config),
    Help,
    Version,
    /// `--validate`: the configuration is good.
    Valid,
}

/// Read the arguments (without `argv[0]`) and the configuration file.
pub(crate) fn read(arguments: &[String]) -> Result<Asked, String> {
    let misused = |why: String| format!("{why}\nSee 'dockerd --help'.");
    let mut flags: BTreeMap<&'static str, Value> = BTreeMap::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (option, value) = match argument.as_str() {
            "-h" | "--help" => return Ok(Asked::Help),
            "-v" | "--version" => return Ok(Asked::Version),
            // `docker -d` of old.
            "-d" | "--daemon" => continue,
            text => find_flag(text).map_err(misused)?,
        };
        let text = match (value, option.kind) {
            (Some(value), _) => value,
            (None, Kind::Bool) => "true".to_owned(),
            (None, _) => {
                rest.next().cloned().ok_or_else(|| misused(format!("flag needs an argument: {argument}")))?
            }
        };
        set_flag(&mut flags, option, &text).map_err(misused)?;
    }
    let explicit = flags.get("config-file").and_then(Value::as_str).map(PathBuf::from);
    let path = explicit.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let file = read_file(&path, explicit.is_some())?;
    let config = merge(flags, &file, &path)?;
    config.check()?;
    Ok(match config.flag("validate", false) {
        true => Asked::Valid,
        false => Asked::Run(config),
    })
}

fn find_flag(text: &str) -> Result<(&'static Option_, Option<String>), String> {
    if let Some(long) = text.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let option = OPTIONS
            .iter()
            .find(|o| !o.flag.is_empty() && o.flag == name)
            .ok_or_else(|| format!("unknown flag: --{name}"))?;
        return Ok((option, value));
    }
    let mut letters = text.strip_prefix('-').unwrap_or_default().chars();
    let letter = letters.next().ok_or_else(|| format!("unexpected argument: {text}"))?;
    let option = OPTIONS
        .iter()
        .find(|o| o.short == Some(letter))
        .ok_or_else(|| format!("unknown shorthand flag: '{letter}' in {text}"))?;
    let value = letters.as_str();
    let value = value.strip_prefix('=').unwrap_or(value);
    Ok((option, Some(value.to_owned()).filter(|value| !value.is_empty())))
}

fn set_flag(
    flags: &mut BTreeMap<&'static str, Value>,
    option: &'static Option_,
    text: &str,
) -> Result<(), String> {
    let bad = |why: &str| format!("invalid argument \"{text}\" for \"--{}\" flag: {why}", option.flag);
    values::check(option, text).map_err(|why| bad(&why))?;
    let value = match option.kind {
        Kind::Bool => Value::Bool(match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => match text.strip_prefix('=') {
                Some(meant) => {
                    return Err(bad(&format!("invalid syntax: did you mean --{}={meant}?", option.flag)));
                }
                None => return Err(bad("invalid syntax")),
            },
        }),
        Kind::Text | Kind::Address => Value::String(text.to_owned()),
        Kind::Number => Value::from(text.parse::<i64>().map_err(|_| bad("invalid syntax"))?),
        Kind::List | Kind::Addresses => {
            let list = flags.entry(option.flag).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().expect("made as a list").push(Value::String(text.to_owned()));
            return Ok(());
        }
        Kind::Map => {
            let (key, value) = text.split_once('=').ok_or_else(|| bad("must be key=value"))?;
            let value = match option.flag {
                "add-runtime" => serde_json::json!({ "path": value }),
                _ => Value::String(value.to_owned()),
            };
            let map = flags.entry(option.flag).or_insert_with(|| Value::Object(Map::new()));
            map.as_object_mut().expect("made as a map").insert(key.to_owned(), value);
            return Ok(());
        }
    };
    flags.insert(option.flag, value);
    Ok(())
}

fn read_file(path: &Path, must_exist: bool) -> Result<Map<String, Value>, String> {
    let failed = |why: &dyn std::fmt::Display| {
        format!("unable to configure the Docker daemon with file {}: {why}", path.display())
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(Map::new()),
        Err(error) => return Err(failed(&error)),
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(&text).map_err(|error| failed(&error))
}

/// A root as seen from anywhere: monitors and containers' processes have working directories of their own.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}

fn merge(
    mut values: BTreeMap<&'static str, Value>,
    file: &Map<String, Value>,
    path: &Path,
) -> Result<Config, String> {
    let failed =
        |why: String| format!("unable to configure the Docker daemon with file {}: {why}", path.display());
    let mut unknown = Vec::new();
    let mut twice = Vec::new();
    for (key, value) in file {
        let Some(option) = OPTIONS.iter().find(|o| !o.key.is_empty() && o.key == key) else {
            unknown.push(key.as_str());
            continue;
        };
        let fits = match option.kind {
            Kind::Bool => value.is_boolean(),
            Kind::Address => value.is_string(),
            Kind::Text => value.is_string() || option.flag == "default-shm-size" && value.is_number(),
            Kind::Number => value.is_i64(),
            // By driver.
            Kind::List if option.flag == "default-network-opt" => value.is_object(),
            // By registry, where Docker only knows of Hub's.
            Kind::List if option.flag == "registry-mirror" && value.is_object() => true,
            Kind::List if option.flag == "default-address-pool" => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_object))
            }
            Kind::List | Kind::Addresses => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
            }
            Kind::Map => value.is_object(),
        };
        if !fits {
            return Err(failed(format!("the value of {key} has the wrong type: {value}")));
        }
        let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for text in texts.iter().filter_map(Value::as_str) {
            values::check(option, text).map_err(|why| failed(format!("{key}: {why}")))?;
        }
        match values.get_mut(option.name()) {
            // The one thing that may be said in both places.
            Some(Value::Object(flag)) if option.flag == "add-runtime" => {
                for (name, runtime) in value.as_object().into_iter().flatten() {
                    flag.entry(name.clone()).or_insert_with(|| runtime.clone());
                }
            }
            Some(_) if key == "host-gateway-ips" && file.contains_key("host-gateway-ip") => {
                return Err(failed(
                    "host-gateway-ip and host-gateway-ips must not both be specified in the config file"
                        .into(),
                ));
            }
            Some(flag) => {
                twice.push(format!("{key}: (from flag: {}, from file: {})", plain(flag), plain(value)))
            }
            None => {
                let value = match key == "host-gateway-ip" {
                    true => Value::Array(vec![value.clone()]),
                    false => value.clone(),
                };
                values.insert(option.name(), value);
            }
        }
    }
    if !unknown.is_empty() {
        return Err(failed(format!(
            "the following directives don't match any configuration option: {}",
            unknown.join(", ")
        )));
    }
    if !twice.is_empty() {
        return Err(failed(format!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            twice.join(", ")
        )));
    }
    let mut without_effect = Vec::new();
    for option in OPTIONS.iter().filter(|o| values.contains_key(o.name())) {
        // A switch that is switched off asks for nothing.
        let off = values[option.name()] == Value::Bool(false);
        match option.standing {
            Standing::Built => {}
            Standing::NoEffect => without_effect.push(option.name()),
            Standing::NotBuilt if off => {}
            Standing::NotBuilt if option.flag.is_empty() => {
                return Err(failed(format!("{} is not built yet", option.key)));
            }
            Standing::NotBuilt => return Err(format!("--{} ({}) is not built yet", option.flag, option.key)),
        }
    }
    Ok(Config { values, without_effect })
}

/// Go's `%v`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

impl Config {
    pub(crate) fn text(&self, flag: &str) -> Option<&str> {
        self.values.get(flag).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn flag(&self, flag: &str, default: bool) -> bool {
        self.values.get(flag).and_then(Value::as_bool).unwrap_or(default)
    }

    pub(crate) fn number(&self, flag: &str) -> Option<i64> {
        self.values.get(flag).and_then(Value::as_i64)
    }

    pub(crate) fn list(&self, flag: &str) -> Vec<String> {
        let list = self.values.get(flag).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    pub(crate) fn map(&self, flag: &str) -> BTreeMap<String, Value> {
        let map = self.values.get(flag).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn data_root(&self) -> PathBuf {
        absolute(self.text("data-root").unwrap_or("/var/lib/wharf"))
    }

    pub(crate) fn exec_root(&self) -> PathBuf {
        absolute(self.text("exec-root").unwrap_or("/run/wharf"))
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        match self.list("host") {
            hosts if hosts.is_empty() => vec![format!("unix://{DEFAULT_SOCKET}")],
            hosts => hosts,
        }
    }

    /// What the values say together.
    fn check(&self) -> Result<(), String> {
        if let Some(name) = self.text("storage-driver") {
            store::DriverKind::parse(name).map_err(|error| error.to_string())?;
        }
        if !matches!(self.log_format(), "text" | "json") {
            return Err(format!("invalid log format: {}", self.log_format()));
        }
        self.check_default_network()?;
        self.level()?;
        self.accepted_mark()?;
        self.network_options()?;
        self.registries()?;
        self.image_gc()?;
        match self.text("firewall").unwrap_or("publish") {
            "publish" => {}
            "respect" if self.flag("iptables", true) => {}
            "respect" => {
                return Err("firewall \"respect\" needs rules of Wharf's: leave --iptables=false out".into());
            }
            other => return Err(format!("invalid firewall: {other} (publish, respect)")),
        }
        for option in self.list("exec-opt") {
            match option.as_str() {
                "native.cgroupdriver=cgroupfs" => {}
                other => return Err(format!("exec-opt {other} is not built yet")),
            }
        }
        Ok(())
    }

    pub(crate) fn log_format(&self) -> &str {
        self.text("log-format").unwrap_or("text")
    }

    /// The log's level in `tracing`'s words.
    pub(crate) fn level(&self) -> Result<&'static str, String> {
        if self.flag("debug", false) {
            return Ok("debug");
        }
        match self.text("log-level").unwrap_or("info") {
            "trace" => Ok("trace"),
            "debug" => Ok("debug"),
            "info" => Ok("info"),
            "warn" | "warning" => Ok("warn"),
            "error" | "fatal" | "panic" => Ok("error"),
            other => Err(format!("invalid logging level: {other}")),
        }
    }
}

/// `--help`: the table, as a list.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "Usage:  wharf daemon [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n",
    );
    for option in OPTIONS.iter().filter(|o| o.standing != Standing::NotBuilt && !o.flag.is_empty()) {
        let letter = option.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
        let value = match option.kind {
            Kind::Bool => "",
            Kind::Text => " string",
            Kind::Address => " ip",
            Kind::Number => " int",
            Kind::List | Kind::Addresses => " list",
            Kind::Map => " map",
        };
        text.push_str(&format!("  {letter}--{}{value}\n", option.flag));
    }
    text
}
