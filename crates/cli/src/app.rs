//! What every command stands on: who was called, which engine, whose configuration.

use std::path::PathBuf;

use client::{Client, DEFAULT_SOCKET};

use crate::config::{self, Config};
use crate::endpoint::{self, Endpoint};
use crate::environment::environment;
use crate::failure::Failure;
use crate::globals::Globals;
use crate::output;

/// One run of the command line.
#[derive(Debug)]
pub(crate) struct App {
    /// `docker` or `wharf`, for texts.
    pub(crate) program: &'static str,
    pub(crate) config: Config,
    /// Where the configuration is.
    pub(crate) config_directory: PathBuf,
    pub(crate) client: Client,
    /// The context's name.
    pub(crate) context: String,
    /// The engine's address as configured.
    pub(crate) host: String,
    pub(crate) debug: bool,
}

impl App {
    /// Reads the configuration and decides on the engine. No connection is made yet.
    pub(crate) fn new(program: &'static str, globals: &Globals) -> Result<Self, Failure> {
        let directory = config::directory(globals.config_dir.as_deref());
        let config = Config::read(&directory).unwrap_or_else(|why| {
            // A client that can still reach its engine is worth more than one that insists on its preferences.
            output::err(&format!("WARNING: Error {why}\n"));
            Config::default()
        });
        let Endpoint { context, host, address, tls } = endpoint::resolve(globals, &directory, &config)?;
        let mut client = Client::new(address);
        if let Some(tls) = tls {
            client = client.with_tls(tls);
        }
        if let Some(version) = environment("DOCKER_API_VERSION") {
            client = client.with_api_version(api_version(&version)?);
        }
        for (name, value) in headers(&config)? {
            let (Ok(name), Ok(value)) =
                (http::HeaderName::try_from(&name), http::HeaderValue::try_from(&value))
            else {
                return Err(Failure::new(format!("Failed to initialize: {name:?} is not a valid header")));
            };
            client = client.with_header(name, value);
        }
        Ok(Self { program, config, config_directory: directory, client, context, host, debug: globals.debug })
    }

    /// Is this the socket where an engine may be started for the user?
    pub(crate) fn is_default_host(&self) -> bool {
        self.host == DEFAULT_SOCKET
    }

    /// The keys that detach: the flag's, the configuration's, or none said.
    pub(crate) fn detach_keys(&self, flag: &str) -> String {
        if flag.is_empty() { self.config.detach_keys.clone() } else { flag.to_owned() }
    }
}

/// `<major>.<minor>`, with or without the `v` of the path.
fn api_version(text: &str) -> Result<&str, Failure> {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let version = text.strip_prefix('v').unwrap_or(text);
    match version.split_once('.') {
        Some((major, minor)) if number(major) && number(minor) => Ok(version),
        _ => Err(Failure::new(format!(
            "Failed to initialize: invalid API version ({text}): must be formatted <major>.<minor>"
        ))),
    }
}

/// Headers of the configuration, or those of `DOCKER_CUSTOM_HEADERS` in their place.
fn headers(config: &Config) -> Result<Vec<(String, String)>, Failure> {
    const VARIABLE: &str = "DOCKER_CUSTOM_HEADERS";
    let Some(text) = environment(VARIABLE) else {
        return Ok(config.http_headers.clone().into_iter().collect());
    };
    let refused = |why: String| {
        Failure::new(format!(
            "Failed to initialize: failed to set custom headers from {VARIABLE} environment variable: {why}"
        ))
    };
    let mut headers = Vec::new();
    for field in fields(&text) {
        let Some((name, value)) = field.split_once('=') else {
            return Err(refused(format!("missing \"=\" in key=value pair: '{field}'")));
        };
        let name = name.trim();
        if name.is_empty() {
            return Err(refused(format!("value contains a key=value pair with an empty key: '{field}'")));
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(headers)
}

/// The fields of one line of CSV; one that holds commas is in double quotes, and a quote in it is written twice.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(field) = fields.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_as_comma_separated_values() {
        assert_eq!(fields(r#"a=b,"c=d,e ""f""",g=h"#), ["a=b", "c=d,e \"f\"", "g=h"]);
    }

    #[test]
    fn versions_have_two_numbers() {
        assert_eq!(api_version("v1.47"), Ok("1.47"));
        for wrong in ["x", "1", "1.", ".2", "1.2.3"] {
            assert!(api_version(wrong).unwrap_err().text.contains("must be formatted"), "{wrong}");
        }
    }
}
