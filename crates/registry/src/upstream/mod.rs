//! Other registries, whose images are fetched when somebody asks for them, and kept: a pull-through cache.
//!
//! ```text
//! a tag ─► manifests.rs: what is it there now? ─► fetched if it is another ─► served from here, also when nobody answers there
//! a blob that is not here ─► blobs.rs: one fetch for all who ask, each of whom reads what has come so far
//! ```
//!
//! An upstream has all names of this registry, or those below a prefix (`docker.io/library/debian` is `library/debian` there).
//! A client that was told of this registry as a mirror says for whom in `ns=`, as containerd does.
//!
//! What is fetched lies where it would if it had been pushed; a fetch that breaks off is an upload that is gone on with, by
//! whichever process is asked next. Into what is an upstream's nobody pushes.

mod blobs;
mod expire;
mod manifests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use distribution::{Access, Class, Client, Credentials, Network, Proxies, Repository};
use oci::{Digest, Reference};

use crate::error::{Code, Error, Result};
use crate::log::{Level, Log};
use crate::settings;
use crate::storage::Storage;

use blobs::Fetch;
pub(crate) use blobs::Found;

/// A registry that did not answer is left alone for so long, where there is another way.
const AWAY: Duration = Duration::from_secs(10);

/// All of them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    /// The longest prefix first.
    list: Vec<Arc<Upstream>>,
}

#[derive(Debug)]
pub(crate) struct Upstream {
    /// Of which names; empty: of all.
    place: String,
    namespace: Option<String>,
    /// As a reference names it.
    domain: String,
    url: String,
    client: Client,
    credentials: Credentials,
    /// What was fetched is given up after so long.
    ttl: Option<Duration>,
    storage: Storage,
    log: Log,
    /// Fetches that go on, by repository and digest. Held to look or to add; never across an await.
    running: Mutex<HashMap<(String, Digest), Arc<Fetch>>>,
    away: Mutex<Option<Instant>>,
}

impl Upstreams {
    /// # Errors
    /// An address is none.
    pub(crate) fn new(all: &[settings::Upstream], storage: &Storage, log: &Log) -> Result<Upstreams> {
        let each = all.iter().map(|upstream| Upstream::new(upstream, storage, log).map(Arc::new));
        let mut list = each.collect::<Result<Vec<_>>>()?;
        list.sort_by_key(|upstream| std::cmp::Reverse(upstream.place.len()));
        Ok(Upstreams { list })
    }

    pub(crate) fn all(&self) -> &[Arc<Upstream>] {
        &self.list
    }

    /// Whose a repository is; `None`: it is our own.
    pub(crate) fn of(&self, repository: &str) -> Option<&Arc<Upstream>> {
        self.list.iter().find(|upstream| upstream.path(repository).is_some())
    }

    /// What a repository is called here that a client asks for in another registry's name.
    ///
    /// # Errors
    /// We do not stand in for that one.
    pub(crate) fn place(&self, namespace: &str, repository: &str) -> Result<String> {
        let known = self.list.iter().find(|upstream| match &upstream.namespace {
            Some(own) => own == namespace,
            None => true,
        });
        match known {
            Some(upstream) if upstream.place.is_empty() => Ok(repository.to_owned()),
            Some(upstream) => Ok(format!("{}/{repository}", upstream.place)),
            // Without any, it is somebody who takes us for the registry itself.
            None if self.list.is_empty() => Ok(repository.to_owned()),
            None => {
                let message = format!("this registry does not stand in for {namespace}");
                Err(Error::new(Code::NameUnknown, message).with("ns", namespace))
            }
        }
    }
}

impl Upstream {
    fn new(of: &settings::Upstream, storage: &Storage, log: &Log) -> Result<Upstream> {
        let wrong = |what: &str| Error::new(Code::Unknown, format!("upstream {}: {what}", of.url));
        let (scheme, rest) = of.url.split_once("://").unwrap_or(("https", &of.url));
        let authority = rest.trim_end_matches('/');
        if !matches!(scheme, "http" | "https") || authority.contains('/') || authority.is_empty() {
            return Err(wrong("an address without a path is needed, such as https://registry-1.docker.io"));
        }
        // A reference takes what has neither a dot nor a port for a name.
        let domain = match authority.contains(['.', ':']) || authority == "localhost" {
            true => authority.to_owned(),
            false => format!("{authority}:{}", if scheme == "http" { 80 } else { 443 }),
        };
        if Reference::parse(&format!("{domain}/x")).is_err() {
            return Err(wrong("not a host"));
        }
        let insecure = if scheme == "http" { vec![domain.clone()] } else { Vec::new() };
        let network = Network {
            connect: Duration::from_secs(5),
            attempts: 3,
            backoff: Duration::from_millis(100),
            ..Network::default()
        };
        let proxies = Proxies::from_environment();
        let settings =
            distribution::Settings { insecure, proxies, network, ..distribution::Settings::default() };
        let credentials = Credentials {
            username: of.username.clone(),
            password: of.password.clone(),
            ..Credentials::default()
        };
        Ok(Upstream {
            place: of.place.clone(),
            namespace: of.namespace.clone(),
            domain,
            url: of.url.clone(),
            client: Client::new(settings),
            credentials,
            ttl: of.ttl,
            storage: storage.clone(),
            log: log.clone(),
            running: Mutex::default(),
            away: Mutex::default(),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What a repository of this registry is called there.
    fn path<'a>(&self, repository: &'a str) -> Option<&'a str> {
        match self.place.as_str() {
            "" => Some(repository),
            place => repository.strip_prefix(place)?.strip_prefix('/'),
        }
    }

    fn repository(&self, repository: &str) -> Result<Repository> {
        let path = self.path(repository).unwrap_or(repository);
        let reference = Reference::parse(&format!("{}/{path}", self.domain))
            .map_err(|_| Error::name_unknown(repository))?;
        let found = self.client.repository(&reference, &self.credentials, Access::Pull);
        found.map_err(|error| self.refused(&error, || Error::name_unknown(repository)))
    }

    /// Its tags, with those that are only here; when nobody answers there, those that are here.
    pub(crate) async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        if self.is_away() {
            return Ok(None);
        }
        match self.repository(repository)?.tags().await {
            Ok(mut tags) => {
                self.answered();
                tags.retain(|tag| crate::name::is_tag(tag));
                tags.sort_unstable();
                tags.dedup();
                Ok(Some(tags))
            }
            Err(error) if error.class() == Class::Unavailable => {
                self.unanswered(&error);
                Ok(None)
            }
            Err(error) => Err(self.refused(&error, || Error::name_unknown(repository))),
        }
    }

    /// What a client is told of it.
    fn refused(&self, error: &distribution::Error, unknown: impl FnOnce() -> Error) -> Error {
        match error.class() {
            Class::NotFound => unknown(),
            Class::Unauthorized | Class::Denied => {
                Error::new(Code::Denied, format!("{} denies this registry access: {error}", self.url))
            }
            _ => Error::new(Code::Unavailable, format!("{}: {error}", self.url)),
        }
    }

    fn is_away(&self) -> bool {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|since| since.elapsed() < AWAY)
    }

    fn answered(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn unanswered(&self, error: &distribution::Error) {
        let before = self.away.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
        if before.is_none() {
            let message = format!("{}: {error}: serving what was fetched before", self.url);
            self.log.say(Level::Warn, &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(list: &[(&str, Option<&str>, &str)]) -> Result<Upstreams> {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(directory.path()).unwrap();
        let settings: Vec<_> = list
            .iter()
            .map(|(place, namespace, url)| settings::Upstream {
                place: (*place).to_owned(),
                namespace: namespace.map(str::to_owned),
                url: (*url).to_owned(),
                username: String::new(),
                password: String::new(),
                ttl: None,
            })
            .collect();
        Upstreams::new(&settings, &storage, &Log::default())
    }

    #[test]
    fn names_are_below_their_upstreams() {
        let list = [("a", Some("a"), "https://a.example"), ("a/b", Some("b.example"), "http://b:5000/")];
        let all = upstreams(&list).unwrap();
        let of = |name: &str| {
            all.of(name).map(|upstream| (upstream.url().to_owned(), upstream.path(name).unwrap().to_owned()))
        };
        assert_eq!(of("a/b/c"), Some(("http://b:5000/".into(), "c".into())));
        assert_eq!(of("a/c/d"), Some(("https://a.example".into(), "c/d".into())));
        assert_eq!((of("a"), of("ab"), of("c")), (None, None, None));
        assert_eq!(all.place("b.example", "x/y").unwrap(), "a/b/x/y");
        assert_eq!(all.place("c.example", "x").unwrap_err().code, Code::NameUnknown);
        // Docker's `proxy` stands in for whoever asks.
        let one = upstreams(&[("", None, "https://a.example")]).unwrap();
        assert_eq!((one.place("c.example", "x").unwrap().as_str(), one.of("x").is_some()), ("x", true));
        assert_eq!(upstreams(&[]).unwrap().place("c.example", "x").unwrap(), "x");
        for bad in ["ftp://a.b", "https://a.b/path", "https://", "https://a b"] {
            assert!(upstreams(&[("", None, bad)]).is_err(), "{bad}");
        }
    }
}
