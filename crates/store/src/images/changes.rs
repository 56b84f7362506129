//! `--change` of import and commit: the Dockerfile instructions that only touch the config.

use oci::{ContainerConfig, Healthcheck};

use crate::error::{Error, Result};

/// Applies instructions in order.
pub fn apply(config: &mut ContainerConfig, changes: &[String]) -> Result<()> {
    // One change may hold several lines, as in Docker, where they are parsed as one Dockerfile.
    let text = changes.join("\n").replace("\\\n", "");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).try_for_each(
        |line| {
            let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            one(config, &instruction.to_ascii_uppercase(), rest.trim())
        },
    )
}

fn one(config: &mut ContainerConfig, instruction: &str, rest: &str) -> Result<()> {
    let required = |what: &str| match rest {
        "" => Err(Error::Invalid(format!("{instruction} requires {what}"))),
        rest => Ok(rest),
    };
    match instruction {
        "CMD" => config.cmd = Some(command(config, rest)),
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(config, required("at least one argument")?));
            // An inherited command belongs to the inherited entry point.
            config.cmd = None;
        }
        "ENV" => {
            for (key, value) in pairs(instruction, required("at least one argument")?)? {
                set_env(config.env.get_or_insert_default(), &key, &value);
            }
        }
        "LABEL" => {
            let labels = config.labels.get_or_insert_default();
            labels.extend(pairs(instruction, required("at least one argument")?)?);
        }
        "EXPOSE" => {
            let ports = config.exposed_ports.get_or_insert_default();
            for word in words(instruction, required("at least one argument")?)? {
                for port in expose(&word)? {
                    ports.insert(port, Default::default());
                }
            }
        }
        "VOLUME" => {
            let required = required("at least one argument")?;
            let paths = match json_list(required) {
                Some(list) => list,
                None => words(instruction, required)?,
            };
            let volumes = config.volumes.get_or_insert_default();
            for path in paths {
                match path.trim() {
                    "" => return Err(Error::Invalid("VOLUME specified can not be an empty string".into())),
                    path => volumes.insert(path.to_owned(), Default::default()),
                };
            }
        }
        "USER" => config.user = Some(one_word(instruction, required("exactly one argument")?)?),
        "WORKDIR" => {
            let path = one_word(instruction, required("exactly one argument")?)?;
            config.working_dir = Some(join(config.working_dir.as_deref().unwrap_or("/"), &path));
        }
        "STOPSIGNAL" => config.stop_signal = Some(one_word(instruction, required("exactly one argument")?)?),
        "ONBUILD" => {
            let trigger = required("at least one argument")?;
            let word = trigger.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "ONBUILD" => {
                    return Err(Error::Invalid(
                        "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".into(),
                    ));
                }
                "MAINTAINER" | "FROM" => {
                    return Err(Error::Invalid(format!("{word} isn't allowed as an ONBUILD trigger")));
                }
                _ => config.on_build.get_or_insert_default().push(trigger.to_owned()),
            }
        }
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(config, required("at least one argument")?)?),
        other => {
            return Err(Error::Invalid(format!(
                "{} is not a valid change command",
                other.to_ascii_lowercase()
            )));
        }
    }
    Ok(())
}

/// JSON form, or a line for the shell.
fn command(config: &ContainerConfig, rest: &str) -> Vec<String> {
    json_list(rest).unwrap_or_else(|| {
        let mut command = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
        command.push(rest.to_owned());
        command
    })
}

fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn healthcheck(config: &ContainerConfig, rest: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        rest = after.trim_start();
        let (key, value) =
            flag.split_once('=').ok_or_else(|| Error::Invalid(format!("Missing a value on flag: {flag}")))?;
        let duration =
            || duration(value).ok_or_else(|| Error::Invalid(format!("invalid duration {value:?}")));
        match key {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => {
                check.retries = value.parse().ok().filter(|retries| *retries >= 0).ok_or_else(|| {
                    Error::Invalid(format!("--retries cannot be negative or no number ({value})"))
                })?;
            }
            other => return Err(Error::Invalid(format!("Unknown flag: {other}"))),
        }
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.trim().is_empty() => check.test = vec!["NONE".into()],
        "NONE" => return Err(Error::Invalid("HEALTHCHECK NONE takes no arguments".into())),
        "CMD" => {
            let rest = rest.trim();
            check.test = match json_list(rest) {
                _ if rest.is_empty() => {
                    return Err(Error::Invalid("Missing command after HEALTHCHECK CMD".into()));
                }
                Some(list) => std::iter::once("CMD".to_owned()).chain(list).collect(),
                None => vec!["CMD-SHELL".into(), rest.to_owned()],
            };
        }
        other => return Err(Error::Invalid(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)"))),
    }
    let _ = config;
    Ok(check)
}

/// Go's durations, to nanoseconds: `1m30s`, `1.5h`, `500ms`.
fn duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (!text.is_empty() && total <= i64::MAX as f64).then_some(total as i64)
}

/// `key=value ...` with quotes, or the old form `key value with spaces`.
fn pairs(instruction: &str, rest: &str) -> Result<Vec<(String, String)>> {
    let first = rest.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = rest
            .split_once(char::is_whitespace)
            .ok_or_else(|| Error::Invalid(format!("{instruction} must have two arguments")))?;
        return Ok(vec![(key.to_owned(), words(instruction, value.trim())?.join(" "))]);
    }
    words(instruction, rest)?
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(Error::Invalid(format!("{instruction} names can not be blank"))),
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Error::Invalid(format!(
                "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
            ))),
        })
        .collect()
}

/// Words with shell quoting, without expansion: there is nothing to expand here.
fn words(instruction: &str, text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some('"'), '\\') => match chars.next() {
                Some(c @ ('"' | '\\' | '$')) => word.get_or_insert_default().push(c),
                Some(c) => word.get_or_insert_default().extend(['\\', c]),
                None => {}
            },
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Error::Invalid(format!(
            "{instruction}: unexpected end of statement while looking for matching quote"
        )));
    }
    words.extend(word);
    Ok(words)
}

fn one_word(instruction: &str, rest: &str) -> Result<String> {
    match words(instruction, rest)?.as_slice() {
        [word] => Ok(word.clone()),
        many => Ok(many.join(" ")),
    }
}

/// `8080`, `53/udp`, `7000-7002/tcp`.
fn expose(word: &str) -> Result<Vec<String>> {
    let invalid = || Error::Invalid(format!("invalid containerPort: {word}"));
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Error::Invalid(format!("invalid proto: {protocol}")));
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let first: u16 = first.parse().map_err(|_| invalid())?;
    let last: u16 = last.parse().map_err(|_| invalid())?;
    if first > last {
        return Err(Error::Invalid(format!("invalid range specified for port: {ports}")));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let new = format!("{key}={value}");
    match env.iter_mut().find(|line| line.split('=').next() == Some(key)) {
        Some(line) => *line = new,
        None => env.push(new),
    }
}

/// An absolute path, cleaned.
fn join(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changes: &[&str]) -> Result<ContainerConfig> {
        let mut config = ContainerConfig::default();
        apply(&mut config, &changes.iter().map(|&change| change.to_owned()).collect::<Vec<_>>())?;
        Ok(config)
    }

    #[test]
    fn instructions() {
        let config = applied(&[
            "CMD [\"a\", \"b c\"]",
            "env A=1 B=\"two words\"",
            "ENV A=3\nENV C four five",
            "EXPOSE 80 53/udp 7000-7001",
            "LABEL a=b \"c d\"='e f'",
            "USER nobody:nogroup",
            "WORKDIR /srv",
            "WORKDIR app/../web",
            "VOLUME /data \"/more\"",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN true",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f localhost",
        ])
        .unwrap();
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.env.unwrap(), ["A=3", "B=two words", "C=four five"]);
        assert_eq!(
            config.exposed_ports.unwrap().into_keys().collect::<Vec<_>>(),
            ["53/udp", "7000/tcp", "7001/tcp", "80/tcp"]
        );
        assert_eq!(config.labels.unwrap()["c d"], "e f");
        assert_eq!(config.user.unwrap(), "nobody:nogroup");
        assert_eq!(config.working_dir.unwrap(), "/srv/web");
        assert_eq!(config.volumes.unwrap().into_keys().collect::<Vec<_>>(), ["/data", "/more"]);
        assert_eq!(config.stop_signal.unwrap(), "SIGINT");
        assert_eq!(config.on_build.unwrap(), ["RUN true"]);
        let check = config.healthcheck.unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "curl -f localhost"]);
        assert_eq!((check.interval, check.retries), (90_000_000_000, 2));
        let config = applied(&["CMD x", "ENTRYPOINT run me"]).unwrap();
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run me"]);
        assert_eq!(config.cmd, None);
    }

    #[test]
    fn refusals() {
        for (change, text) in [
            ("RUN true", "run is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV A=1 B", "Syntax error - can't find = in \"B\". Must be of the form: name=value"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("EXPOSE 1/icmp", "invalid proto: icmp"),
            ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
            ("HEALTHCHECK FOO", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)"),
        ] {
            assert_eq!(applied(&[change]).unwrap_err().to_string(), text, "{change}");
        }
    }
}
