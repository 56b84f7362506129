//! Registries: which may be insecure, mirrors, proxies, and how many transfers at a time.

use std::collections::BTreeMap;

use distribution::{Proxies, Settings};
use serde_json::Value;

use super::Config;

/// The registry whose mirrors Docker's plain list names.
const HUB: &str = "docker.io";

impl Config {
    /// How this machine reaches registries.
    ///
    /// # Errors
    /// A mirror is no URL, or a number makes no sense.
    pub(crate) fn registries(&self) -> Result<Settings, String> {
        let mut settings = Settings {
            insecure: self.list("insecure-registry"),
            mirrors: self.mirrors()?,
            proxies: self.proxies(),
            ..Settings::default()
        };
        for entry in &settings.insecure {
            if entry.contains("://") {
                return Err(format!("insecure registry {entry} should not contain '://'"));
            }
            if entry.is_empty() || entry.starts_with('-') {
                return Err(format!("insecure registry {entry} is not valid"));
            }
        }
        if let Some(attempts) = self.count("max-download-attempts")? {
            settings.network.attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        }
        self.downloads_max()?;
        self.uploads_max()?;
        Ok(settings)
    }

    pub(crate) fn downloads_max(&self) -> Result<usize, String> {
        Ok(self.count("max-concurrent-downloads")?.unwrap_or(3))
    }

    pub(crate) fn uploads_max(&self) -> Result<usize, String> {
        Ok(self.count("max-concurrent-uploads")?.unwrap_or(5))
    }

    fn count(&self, flag: &str) -> Result<Option<usize>, String> {
        let Some(number) = self.number(flag) else { return Ok(None) };
        match usize::try_from(number) {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("invalid {}: {number}", flag.replace('-', " "))),
        }
    }

    /// A list is Hub's; `ghcr.io=https://mirror` and the file's object name another registry.
    fn mirrors(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for text in self.list("registry-mirror") {
            let (domain, url) = match text.split_once('=') {
                Some((domain, url)) if !domain.contains('/') => (domain, url),
                _ => (HUB, text.as_str()),
            };
            mirrors.entry(domain.to_owned()).or_default().push(mirror(url)?);
        }
        for (domain, urls) in self.map("registry-mirror") {
            let bad = || format!("registry-mirrors: {domain}: must be a list of URLs");
            for url in urls.as_array().ok_or_else(bad)? {
                let url = url.as_str().ok_or_else(bad)?;
                mirrors.entry(domain.clone()).or_default().push(mirror(url)?);
            }
        }
        Ok(mirrors)
    }

    /// Flags before the environment.
    fn proxies(&self) -> Proxies {
        let mut proxies = Proxies::from_environment();
        for (flag, value) in [
            ("http-proxy", &mut proxies.http),
            ("https-proxy", &mut proxies.https),
            ("no-proxy", &mut proxies.none_for),
        ] {
            if let Some(text) = self.values.get(flag).and_then(Value::as_str) {
                text.clone_into(value);
            }
        }
        proxies
    }
}

fn mirror(url: &str) -> Result<String, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!(
            "invalid mirror: no scheme specified for \"{url}\": must use either 'https://' or 'http://'"
        ));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(format!(
            "invalid mirror: unsupported scheme \"{scheme}\" in \"{url}\": must use either 'https://' or 'http://'"
        ));
    }
    if rest.is_empty() || rest.contains(['?', '#']) {
        return Err(format!("invalid mirror: \"{url}\": must be a host, with a path at most"));
    }
    if rest.contains('@') {
        return Err(format!("invalid mirror: username/password not allowed in URI \"{scheme}://xxxxx@...\""));
    }
    Ok(url.trim_end_matches('/').to_owned())
}
