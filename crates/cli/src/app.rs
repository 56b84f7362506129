//! What every command stands on: who was called, which engine, whose configuration.

use client::{Address, Client, DEFAULT_SOCKET};

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::globals::Globals;

/// One run of the command line.
#[derive(Debug)]
pub(crate) struct App {
    /// `docker` or `wharf`, for texts.
    pub(crate) program: &'static str,
    pub(crate) config: Config,
    pub(crate) client: Client,
    /// The engine's address as configured.
    pub(crate) host: String,
    pub(crate) debug: bool,
}

impl App {
    /// Reads the configuration and decides on the engine. No connection is made yet.
    pub(crate) fn new(program: &'static str, globals: &Globals) -> Result<Self, Failure> {
        let config = Config::read(&config::directory(globals.config_dir.as_deref()))?;
        let host = host(globals, &config)?;
        let address: Address =
            host.parse().map_err(|error: client::AddressError| Failure::new(error.to_string()))?;
        let mut client = Client::new(address);
        if let Some(version) = environment("DOCKER_API_VERSION") {
            client = client.with_api_version(&version);
        }
        for (name, value) in &config.http_headers {
            let (Ok(name), Ok(value)) =
                (http::HeaderName::try_from(name), http::HeaderValue::try_from(value))
            else {
                return Err(Failure::new(format!(
                    "config.json: HttpHeaders: {name:?} is not a valid header"
                )));
            };
            client = client.with_header(name, value);
        }
        Ok(Self { program, config, client, host, debug: globals.debug })
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

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `-H`, then `--context`, then the environment, then the configured context, then the default socket.
fn host(globals: &Globals, config: &Config) -> Result<String, Failure> {
    if globals.hosts.len() > 1 {
        return Err(Failure::new("specify only one -H"));
    }
    if !globals.hosts.is_empty() && globals.context.is_some() {
        return Err(Failure::new("conflicting options: cannot specify both --host and --context"));
    }
    if let Some(host) = globals.hosts.first() {
        return Ok(complete(host));
    }
    if let Some(context) = &globals.context {
        return default_context(context);
    }
    if let Some(host) = environment("DOCKER_HOST") {
        return Ok(complete(&host));
    }
    match environment("DOCKER_CONTEXT") {
        Some(context) => default_context(&context),
        None if config.current_context.is_empty() => Ok(DEFAULT_SOCKET.into()),
        None => default_context(&config.current_context),
    }
}

fn default_context(name: &str) -> Result<String, Failure> {
    if name == "default" {
        return Ok(DEFAULT_SOCKET.into());
    }
    Err(Failure::new(format!(
        "context {name:?}: only the context \"default\" exists so far; name the engine with -H or DOCKER_HOST"
    )))
}

/// A path or `host:port` without a scheme, as Docker completes it.
fn complete(host: &str) -> String {
    match host.trim() {
        "" => DEFAULT_SOCKET.into(),
        host if host.contains("://") => host.to_owned(),
        path if path.starts_with('/') => format!("unix://{path}"),
        address => format!("tcp://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(hosts: &[&str], context: Option<&str>) -> Globals {
        Globals {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            context: context.map(str::to_owned),
            ..Globals::default()
        }
    }

    #[test]
    fn the_flag_names_one_host_and_schemes_are_completed() {
        let of =
            |hosts: &[&str]| host(&globals(hosts, None), &Config::default()).map_err(|failure| failure.text);
        assert_eq!(of(&["/run/x.sock"]).unwrap(), "unix:///run/x.sock");
        assert_eq!(of(&["127.0.0.1:1"]).unwrap(), "tcp://127.0.0.1:1");
        assert_eq!(of(&["unix:///a", "unix:///b"]).unwrap_err(), "specify only one -H");
    }

    #[test]
    fn only_the_default_context_exists() {
        let of = |context| host(&globals(&[], Some(context)), &Config::default());
        assert_eq!(of("default").unwrap(), DEFAULT_SOCKET);
        assert!(of("prod").unwrap_err().text.contains("\"prod\""));
    }
}
