//! The user's `config.json`, read only as far as this client uses it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::filters::Filters;
use api::registry::AuthConfig;
use serde::Deserialize;

/// `~/.docker/config.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    #[serde(rename = "detachKeys")]
    pub(crate) detach_keys: String,
    #[serde(rename = "psFormat")]
    pub(crate) ps_format: String,
    #[serde(rename = "imagesFormat")]
    pub(crate) images_format: String,
    #[serde(rename = "networksFormat")]
    pub(crate) networks_format: String,
    #[serde(rename = "volumesFormat")]
    pub(crate) volumes_format: String,
    #[serde(rename = "pruneFilters")]
    prune_filters: Vec<String>,
    #[serde(rename = "statsFormat")]
    pub(crate) stats_format: String,
    #[serde(rename = "HttpHeaders")]
    pub(crate) http_headers: BTreeMap<String, String>,
    #[serde(rename = "currentContext")]
    pub(crate) current_context: String,
    pub(crate) proxies: BTreeMap<String, Proxy>,
    /// By registry: what `login` kept here.
    pub(crate) auths: BTreeMap<String, AuthConfig>,
    /// The helper that keeps credentials instead.
    #[serde(rename = "credsStore")]
    pub(crate) credentials_store: String,
    /// Helpers of single registries.
    #[serde(rename = "credHelpers")]
    pub(crate) credential_helpers: BTreeMap<String, String>,
}

/// Proxy variables given to containers that talk to an engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Proxy {
    pub(crate) http_proxy: String,
    pub(crate) https_proxy: String,
    pub(crate) no_proxy: String,
    pub(crate) ftp_proxy: String,
    pub(crate) all_proxy: String,
}

impl Config {
    /// Reads `<directory>/config.json`; a missing file is an empty configuration.
    ///
    /// # Errors
    /// What goes behind "Error" in a warning, in Docker's words.
    pub(crate) fn read(directory: &Path) -> Result<Self, String> {
        let path = directory.join("config.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("loading config file: open {}: {error}", path.display())),
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            let why = if error.is_eof() { "unexpected EOF".into() } else { error.to_string() };
            format!("parsing config file ({}): {why}", path.display())
        })
    }

    /// What a prune leaves alone or is limited to, with what the line says; its opposite is not asked for at once.
    pub(crate) fn prune_filters(&self, mut given: Filters) -> Filters {
        for (key, value) in self.prune_filters.iter().filter_map(|filter| filter.split_once('=')) {
            let opposite = match key {
                "label" => "label!",
                "label!" => "label",
                _ => "",
            };
            if !given.get(opposite).any(|other| other == value) {
                given.add(key, value);
            }
        }
        given
    }

    /// Proxy variables for a new container, those of `host` before those of `default`; what `given` names stays out.
    pub(crate) fn proxy_environment(&self, host: &str, given: &[String]) -> Vec<String> {
        let Some(proxy) = self.proxies.get(host).or_else(|| self.proxies.get("default")) else {
            return Vec::new();
        };
        let named = |name: &str| given.iter().any(|entry| entry.split('=').next() == Some(name));
        let pairs = [
            ("HTTP_PROXY", &proxy.http_proxy),
            ("HTTPS_PROXY", &proxy.https_proxy),
            ("NO_PROXY", &proxy.no_proxy),
            ("FTP_PROXY", &proxy.ftp_proxy),
            ("ALL_PROXY", &proxy.all_proxy),
        ];
        let mut environment = Vec::new();
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            for name in [name.to_owned(), name.to_ascii_lowercase()] {
                if !named(&name) {
                    environment.push(format!("{name}={value}"));
                }
            }
        }
        environment
    }
}

/// `--config`, `DOCKER_CONFIG`, or `~/.docker`.
pub(crate) fn directory(flag: Option<&str>) -> PathBuf {
    let from_environment = || std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty());
    match (flag, from_environment()) {
        (Some(flag), _) => PathBuf::from(flag),
        (None, Some(directory)) => PathBuf::from(directory),
        (None, None) => {
            let home =
                std::env::var_os("HOME").filter(|home| !home.is_empty()).unwrap_or_else(|| "/root".into());
            Path::new(&home).join(".docker")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_of_the_host_come_first_and_do_not_override() {
        let config: Config = serde_json::from_str(
            r#"{"proxies": {"default": {"httpProxy": "http://a:1"}, "tcp://h:2375": {"noProxy": "x"}}}"#,
        )
        .unwrap();
        assert_eq!(
            config.proxy_environment("unix:///x", &["HTTP_PROXY=mine".into()]),
            ["http_proxy=http://a:1".to_owned()]
        );
        assert_eq!(config.proxy_environment("tcp://h:2375", &[]), ["NO_PROXY=x", "no_proxy=x"]);
    }

    #[test]
    fn a_missing_file_is_an_empty_configuration_and_a_broken_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Config::read(directory.path()).unwrap().detach_keys.is_empty());
        std::fs::write(directory.path().join("config.json"), "{").unwrap();
        let why = Config::read(directory.path()).unwrap_err();
        assert_eq!(
            why,
            format!("parsing config file ({}/config.json): unexpected EOF", directory.path().display())
        );
    }
}
