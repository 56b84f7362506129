//! All registries, as this machine sees them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci::{DEFAULT_DOMAIN, Reference};

use crate::auth::{Auth, Caller};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::hosts::{self, Host};
use crate::repository::{Access, Repository};
use crate::settings::{Credentials, Settings};
use crate::transport::Transport;
use crate::url::{Origin, Url};

/// Where Docker Hub answers.
const HUB: &str = "registry-1.docker.io";

/// Connections, tokens, and what is known of registries. Cheap to share; made anew when the settings change.
#[derive(Debug)]
pub struct Client {
    transport: Arc<Transport>,
    auth: Arc<Auth>,
    // By base URL, or by domain. A look or an insertion; never across an await.
    endpoints: Mutex<HashMap<String, Arc<Endpoint>>>,
}

impl Client {
    pub fn new(settings: Settings) -> Self {
        let transport = Transport::new(settings);
        Self { auth: Arc::new(Auth::new(transport.clone())), transport, endpoints: Mutex::default() }
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    pub fn settings(&self) -> &Settings {
        &self.transport.settings
    }

    /// The repository of a reference, as somebody who wants to do this with it.
    ///
    /// # Errors
    /// A mirror's URL is none, or the domain is no host.
    pub fn repository(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        access: Access,
    ) -> Result<Repository> {
        let mut endpoints = Vec::new();
        if access == Access::Pull {
            for mirror in self.settings().mirrors.get(reference.domain()).into_iter().flatten() {
                let url =
                    Url::parse(mirror).map_err(|_| Error::Invalid(format!("invalid mirror: {mirror:?}")))?;
                endpoints.push(self.endpoint(mirror, || vec![url], true, None));
            }
        }
        endpoints.extend(self.hosts(reference.domain(), access)?);
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let scopes = vec![format!("repository:{}:{actions}", reference.path())];
        Ok(Repository {
            endpoints,
            path: reference.path().to_owned(),
            caller: Caller { credentials: credentials.clone(), scopes },
            network: self.settings().network.clone(),
        })
    }

    /// The registry of a domain, without its mirrors.
    pub(crate) fn registry(&self, domain: &str) -> Result<Arc<Endpoint>> {
        let hosts = self.hosts(domain, Access::Pull)?;
        let itself = hosts.iter().find(|endpoint| !endpoint.is_mirror).or(hosts.last());
        itself.cloned().map_or_else(|| self.itself(domain), Ok)
    }

    /// Who answers for a domain: the hosts that its `hosts.toml` names for this, or the registry itself. Pushes go to one.
    fn hosts(&self, domain: &str, access: Access) -> Result<Vec<Arc<Endpoint>>> {
        let name = if domain == DEFAULT_DOMAIN { HUB } else { domain };
        let directory = self.settings().certificates.join(domain);
        let Some(hosts) = hosts::load(&directory, name)? else { return Ok(vec![self.itself(domain)?]) };
        let own = Origin::parse(true, name)?;
        let server = hosts.last().map(|host| host.url.origin.clone());
        let good = hosts.into_iter().filter(|host| match access {
            Access::Pull => host.pull,
            Access::Push => host.push,
        });
        let mut endpoints: Vec<_> = good
            .map(|host| {
                let is_mirror = host.url.origin != own && Some(&host.url.origin) != server.as_ref();
                // Another one when the file says something else.
                let key = format!("{host:?}");
                self.endpoint(&key, || vec![host.url.clone()], is_mirror, Some(&host))
            })
            .collect();
        if access == Access::Push {
            endpoints.truncate(1);
        }
        if endpoints.is_empty() {
            let verb = if access == Access::Push { "push" } else { "pull" };
            let path = directory.join("hosts.toml");
            return Err(Error::Unsupported(format!("{}: no host has the capability {verb}", path.display())));
        }
        Ok(endpoints)
    }

    fn itself(&self, domain: &str) -> Result<Arc<Endpoint>> {
        let host = if domain == DEFAULT_DOMAIN { HUB } else { domain };
        let secure = Origin::parse(true, host)?;
        let insecure = self.settings().is_insecure(&secure.host, host);
        let mut candidates = vec![secure.with("/")];
        if insecure {
            candidates.push(Origin::parse(false, host)?.with("/"));
        }
        Ok(self.endpoint(domain, || candidates, false, None))
    }

    pub(crate) fn endpoint(
        &self,
        key: &str,
        candidates: impl FnOnce() -> Vec<Url>,
        is_mirror: bool,
        host: Option<&Host>,
    ) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints
            .entry(key.to_owned())
            .or_insert_with(|| {
                let (transport, auth) = (self.transport.clone(), self.auth.clone());
                Arc::new(Endpoint::new(candidates(), is_mirror, host.cloned(), transport, auth))
            })
            .clone()
    }
}
