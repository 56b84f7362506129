//! Every key of Docker's registry (Distribution 2.8 and 3) that there is, and ours below `wharf`: which are honoured, and why
//! the others are refused. `*` is any word, `#` a number in a list.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Honoured,
    /// With the reason.
    Refused(&'static str),
}

use Rule::{Honoured, Refused};

const FILES_ONLY: &str =
    "this registry keeps its data on a file system or in S3: storage.filesystem, storage.s3";
const COPIES: &str = "the server copies whole objects, and those of more than 5 GiB in pieces of 1 GiB";
const NO_REDIS: &str = "nothing is kept in memory that processes would have to share";
const NO_ACME: &str = "certificates come from files: http.tls.certificate and http.tls.key";
const NO_HOOKS: &str = "errors are in the log, whoever mails them";

pub(crate) const KEYS: &[(&str, Rule)] = &[
    ("version", Honoured),
    ("log.level", Honoured),
    ("log.formatter", Honoured),
    ("log.fields.*", Honoured),
    ("log.accesslog.disabled", Honoured),
    ("log.hooks", Refused(NO_HOOKS)),
    ("log.reportcaller", Refused("lines of the log name no line of a program")),
    ("loglevel", Honoured),
    ("storage.filesystem.rootdirectory", Honoured),
    ("storage.filesystem.maxthreads", Honoured),
    ("storage.delete.enabled", Honoured),
    ("storage.maintenance.uploadpurging.enabled", Honoured),
    ("storage.maintenance.uploadpurging.age", Honoured),
    ("storage.maintenance.uploadpurging.interval", Honoured),
    ("storage.maintenance.uploadpurging.dryrun", Honoured),
    ("storage.maintenance.readonly.enabled", Honoured),
    ("storage.redirect.disable", Honoured),
    ("storage.cache.blobdescriptor", Honoured),
    ("storage.cache.blobdescriptorsize", Refused("the kernel's page cache has no such limit")),
    ("storage.tag.concurrencylimit", Refused("tags are looked up on a file system, one after another")),
    ("storage.inmemory", Refused(FILES_ONLY)),
    ("storage.s3.accesskey", Honoured),
    ("storage.s3.secretkey", Honoured),
    ("storage.s3.sessiontoken", Honoured),
    ("storage.s3.region", Honoured),
    ("storage.s3.regionendpoint", Honoured),
    ("storage.s3.forcepathstyle", Honoured),
    ("storage.s3.bucket", Honoured),
    ("storage.s3.secure", Honoured),
    ("storage.s3.chunksize", Honoured),
    ("storage.s3.rootdirectory", Honoured),
    ("storage.s3.storageclass", Honoured),
    ("storage.s3.encrypt", Honoured),
    ("storage.s3.keyid", Honoured),
    ("storage.s3.v4auth", Honoured),
    (
        "storage.s3.skipverify",
        Refused("certificates of a bucket's server are looked at: its authority belongs to the system's"),
    ),
    ("storage.s3.objectacl", Refused("objects are private, or what the bucket's policy says")),
    ("storage.s3.accelerate", Refused("give the accelerated address in storage.s3.regionendpoint")),
    ("storage.s3.usedualstack", Refused("give the dual stack's address in storage.s3.regionendpoint")),
    ("storage.s3.multipartcopychunksize", Refused(COPIES)),
    ("storage.s3.multipartcopymaxconcurrency", Refused(COPIES)),
    ("storage.s3.multipartcopythresholdsize", Refused(COPIES)),
    ("storage.s3.loglevel", Refused("log.level is that of all")),
    ("storage.s3.logs3apirequests", Refused("requests to a bucket are not logged")),
    ("storage.s3.logs3apiresponseheaders", Refused("requests to a bucket are not logged")),
    ("storage.s3.useragent", Refused("nothing is said of who asks")),
    ("storage.s3aws", Refused("it is called storage.s3 here")),
    ("storage.gcs", Refused(FILES_ONLY)),
    ("storage.azure", Refused(FILES_ONLY)),
    ("storage.oss", Refused(FILES_ONLY)),
    ("storage.swift", Refused(FILES_ONLY)),
    ("storage.cos", Refused(FILES_ONLY)),
    ("auth.htpasswd.realm", Honoured),
    ("auth.htpasswd.path", Honoured),
    ("auth.silly", Refused("it lets everybody in who brings any header: auth.htpasswd asks for a password")),
    (
        "auth.token",
        Refused("tokens of another server are not understood: wharf.tokens has a server of its own"),
    ),
    ("middleware", Refused("no middleware can be loaded into this registry")),
    ("http.addr", Honoured),
    ("http.net", Honoured),
    ("http.prefix", Honoured),
    ("http.host", Honoured),
    ("http.secret", Honoured),
    ("http.relativeurls", Honoured),
    ("http.draintimeout", Honoured),
    ("http.tls.certificate", Honoured),
    ("http.tls.key", Honoured),
    ("http.tls.clientcas", Honoured),
    ("http.tls.clientauth", Honoured),
    ("http.tls.minimumtls", Honoured),
    ("http.tls.ciphersuites", Honoured),
    ("http.tls.letsencrypt", Refused(NO_ACME)),
    ("http.headers.*", Honoured),
    ("http.debug.addr", Honoured),
    ("http.debug.prometheus.enabled", Honoured),
    ("http.debug.prometheus.path", Honoured),
    ("http.http2.disabled", Honoured),
    ("http.h2c.enabled", Honoured),
    ("notifications.events.includereferences", Honoured),
    ("notifications.endpoints.#.name", Honoured),
    ("notifications.endpoints.#.disabled", Honoured),
    ("notifications.endpoints.#.url", Honoured),
    ("notifications.endpoints.#.headers.*", Honoured),
    ("notifications.endpoints.#.timeout", Honoured),
    ("notifications.endpoints.#.threshold", Honoured),
    ("notifications.endpoints.#.backoff", Honoured),
    ("notifications.endpoints.#.ignoredmediatypes", Honoured),
    ("notifications.endpoints.#.ignore.mediatypes", Honoured),
    ("notifications.endpoints.#.ignore.actions", Honoured),
    ("redis", Refused(NO_REDIS)),
    ("health.storagedriver.enabled", Honoured),
    ("health.storagedriver.interval", Honoured),
    ("health.storagedriver.threshold", Honoured),
    ("health.file.#.file", Honoured),
    ("health.file.#.interval", Honoured),
    ("health.tcp.#.addr", Honoured),
    ("health.tcp.#.timeout", Honoured),
    ("health.tcp.#.interval", Honoured),
    ("health.tcp.#.threshold", Honoured),
    ("health.http.#.uri", Honoured),
    ("health.http.#.headers.*", Honoured),
    ("health.http.#.statuscode", Honoured),
    ("health.http.#.timeout", Honoured),
    ("health.http.#.interval", Honoured),
    ("health.http.#.threshold", Honoured),
    ("catalog.maxentries", Honoured),
    ("tags.maxtags", Honoured),
    ("proxy.remoteurl", Honoured),
    ("proxy.username", Honoured),
    ("proxy.password", Honoured),
    ("proxy.ttl", Honoured),
    ("proxy.exec", Refused("no program is run for a password: proxy.username and proxy.password")),
    ("proxy.cachewritetimeout", Refused("what comes is stored as it comes, and the sender waits")),
    ("validation.enabled", Honoured),
    ("validation.disabled", Honoured),
    ("validation.manifests.urls.allow", Honoured),
    ("validation.manifests.urls.deny", Honoured),
    ("validation.manifests.indexes.platforms", Honoured),
    ("validation.manifests.indexes.platformlist.#.architecture", Honoured),
    ("validation.manifests.indexes.platformlist.#.os", Honoured),
    ("policy.repository.classes", Honoured),
    ("compatibility", Refused("manifests of schema 1 are not served by anybody any more")),
    ("reporting", Refused("errors are reported in the log only")),
    // Ours.
    ("wharf.rules", Honoured),
    ("wharf.share", Honoured),
    ("wharf.tokens", Honoured),
    ("wharf.sparseindexes", Honoured),
    ("wharf.collect.every", Honoured),
    ("wharf.retention.every", Honoured),
    ("wharf.retention.rules.#.repositories", Honoured),
    ("wharf.retention.rules.#.tags", Honoured),
    ("wharf.retention.rules.#.keep", Honoured),
    ("wharf.retention.rules.#.age", Honoured),
    ("wharf.quotas.#.repositories", Honoured),
    ("wharf.quotas.#.bytes", Honoured),
    ("wharf.upstreams.#.prefix", Honoured),
    ("wharf.upstreams.#.namespace", Honoured),
    ("wharf.upstreams.#.remoteurl", Honoured),
    ("wharf.upstreams.#.username", Honoured),
    ("wharf.upstreams.#.password", Honoured),
    ("wharf.upstreams.#.ttl", Honoured),
];

/// What a word can be below a path: `None` if nothing is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// More words follow.
    Inside,
    Key(Rule),
}

/// Looks a path up, with its words as they stand in a file.
pub(crate) fn find(path: &[String]) -> Option<Found> {
    let mut inside = None;
    for (pattern, rule) in KEYS {
        let mut words = pattern.split('.');
        let fits = path.iter().all(|word| words.next().is_some_and(|known| is(known, word)));
        match (fits, words.next()) {
            (true, None) => return Some(Found::Key(*rule)),
            (true, Some(_)) => inside = Some(Found::Inside),
            (false, _) => {}
        }
    }
    inside
}

/// Whether `#` stands below a path.
pub(crate) fn is_list(path: &[String]) -> bool {
    below(path).any(|word| word == "#")
}

/// The words that may stand below a path.
pub(crate) fn below(path: &[String]) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |(pattern, _)| {
        let mut words = pattern.split('.');
        let fits = path.iter().all(|word| words.next().is_some_and(|known| is(known, word)));
        fits.then(|| words.next()).flatten()
    })
}

fn is(known: &str, word: &str) -> bool {
    match known {
        "*" => true,
        "#" => word.bytes().all(|b| b.is_ascii_digit()),
        known => known == word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<Found> {
        find(&path.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn keys_are_found() {
        assert_eq!(of("http"), Some(Found::Inside));
        assert_eq!(of("http.addr"), Some(Found::Key(Honoured)));
        assert_eq!(of("http.headers.x-y"), Some(Found::Key(Honoured)));
        assert_eq!(of("health.file.0.file"), Some(Found::Key(Honoured)));
        assert_eq!(of("storage.gcs"), Some(Found::Key(Refused(FILES_ONLY))));
        assert_eq!(of("http.adr"), None);
        assert!(is_list(&["health".into(), "file".into()]) && !is_list(&["http".into()]));
    }
}
