//! How this machine reaches registries, and as whom.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::proxy::Proxies;

/// What an administrator says of registries.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Hosts (`h`, `h:port`) and networks whose certificates need not be good, and which may have none at all.
    pub insecure: Vec<String>,
    /// By domain (`docker.io`): base URLs to ask first, in order.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// `<host[:port]>/` below it: authorities (`*.crt`), and our certificates (`*.cert` with `*.key`); or `hosts.toml`, in
    /// which the hosts to ask in its place stand.
    pub certificates: PathBuf,
    pub proxies: Proxies,
    /// Tells registries who asks.
    pub user_agent: String,
    pub network: Network,
}

/// Patience.
#[derive(Debug, Clone)]
pub struct Network {
    /// Until a connection stands, with its name looked up, and TLS. Not tried again.
    pub connect: Duration,
    /// Until an answer begins; and while it comes, for [`Network::least_bytes`] more of it.
    pub stall: Duration,
    pub least_bytes: u64,
    /// How often something is tried that fails for reasons which may pass.
    pub attempts: u32,
    /// Before the second attempt; doubled for each one after that.
    pub backoff: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(12),
            stall: Duration::from_secs(30),
            least_bytes: 16 << 10,
            attempts: 5,
            backoff: Duration::from_millis(250),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            mirrors: BTreeMap::new(),
            certificates: PathBuf::from("/etc/docker/certs.d"),
            proxies: Proxies::default(),
            user_agent: concat!("wharf/", env!("CARGO_PKG_VERSION")).into(),
            network: Network::default(),
        }
    }
}

impl Settings {
    /// May this host's certificate be bad, or missing? As in Docker, loopback's may.
    pub(crate) fn is_insecure(&self, host: &str, authority: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        if host == "localhost" || address.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        self.insecure.iter().any(|entry| match entry.parse::<IpNet>() {
            Ok(network) => address.is_some_and(|ip| network.contains(&ip)),
            Err(_) => {
                let entry = entry.trim_start_matches("http://").trim_start_matches("https://");
                entry.eq_ignore_ascii_case(host) || entry.eq_ignore_ascii_case(authority)
            }
        })
    }
}

/// Who asks. All empty: nobody in particular.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// Exchanged for tokens, in place of a password.
    pub identity_token: String,
    /// Sent as it is.
    pub registry_token: String,
}

impl Credentials {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insecure_are_loopback_the_named_and_networks() {
        let settings = Settings {
            insecure: vec!["10.0.0.0/8".into(), "box:5000".into(), "plain".into()],
            ..Settings::default()
        };
        for (host, authority, insecure) in [
            ("localhost", "localhost:5000", true),
            ("127.9.0.1", "127.9.0.1:1", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("11.1.2.3", "11.1.2.3", false),
            ("box", "box:5000", true),
            ("box", "box:5001", false),
            ("plain", "plain:7", true),
            ("hub.example", "hub.example", false),
        ] {
            assert_eq!(settings.is_insecure(host, authority), insecure, "{authority}");
        }
    }
}
