//! From a tree whose keys are all known to settings.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

use super::yaml::{Node, Value};
use crate::log::{Form, Level};
use crate::quota::Quota;
use crate::retention::Rule;
use crate::settings::{Address, Check, Checked, Debug, Endpoint, Purge, Settings, Tls, Upstream};
use crate::validation::Indexes;
use crate::web::Place;

/// What was fetched from another registry is kept for a week.
const CACHED: Duration = Duration::from_secs(168 * 3600);
const ROOT: &str = "/var/lib/registry";

type Result<T> = std::result::Result<T, String>;

/// `from_file`: without one, what holds is what suits somebody who says nothing; with one, what Docker's registry does.
pub(super) fn settings(root: &Node, from_file: bool) -> Result<Settings> {
    let tree = Tree { node: Some(root), name: String::new() };
    if let Some(version) = tree.text("version")?
        && version != "0.1"
    {
        return Err(tree.wrong("version", "there is only 0.1"));
    }
    let mut settings = Settings::new(Path::new(ROOT));
    if from_file {
        settings.delete = false;
    }
    http(&tree.at("http"), &mut settings)?;
    storage(&tree.at("storage"), &mut settings)?;
    log(&tree, &mut settings)?;
    let htpasswd = tree.at("auth").at("htpasswd");
    settings.htpasswd = htpasswd.text("path")?.map(PathBuf::from);
    if settings.htpasswd.is_none() && (htpasswd.node.is_some() || tree.text_of("auth") == Some("htpasswd")) {
        return Err("auth.htpasswd: its path is missing: the file with users and their passwords".into());
    }
    settings.realm = htpasswd.text("realm")?.unwrap_or(settings.realm);
    health(&tree.at("health"), &mut settings)?;
    validation(&tree, &mut settings)?;
    settings.catalog_max = tree.at("catalog").positive("maxentries")?;
    settings.tags_max = tree.at("tags").positive("maxtags")?;
    let ours = tree.at("wharf");
    settings.rules = ours.text("rules")?.map(PathBuf::from);
    settings.share = ours.text("share")?.map(PathBuf::from);
    settings.token_auth = ours.flag("tokens")?.unwrap_or(false);
    if ours.flag("sparseindexes")? == Some(true) {
        settings.validation.indexes = Indexes::Sparse;
    }
    settings.collect_every = ours.at("collect").duration("every")?;
    limits(&ours, &mut settings)?;
    upstreams(&tree, &mut settings)?;
    notifications(&tree.at("notifications"), &mut settings)?;
    super::bucket::check(&settings)?;
    Ok(settings)
}

fn limits(ours: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    let retention = ours.at("retention");
    settings.retention.every = retention.duration("every")?.filter(|every| !every.is_zero());
    for tree in retention.items("rules") {
        let (keep, age) = (tree.text("keep")?, tree.duration("age")?);
        let all = keep.as_deref() == Some("all");
        if keep.is_none() && age.is_none() {
            return Err(tree.wrong("keep", "how many stay (a number, or all) or age is missing"));
        }
        settings.retention.rules.push(Rule {
            repositories: tree.text("repositories")?.unwrap_or_else(|| "**".into()),
            tags: tree.text("tags")?.unwrap_or_else(|| "*".into()),
            keep: if all { None } else { tree.number("keep")? },
            age: age.filter(|_| !all),
        });
    }
    if settings.retention.every.is_some() && settings.retention.rules.is_empty() {
        return Err(retention.wrong("every", "there are no rules: wharf.retention.rules"));
    }
    for tree in ours.items("quotas") {
        let text = tree.text("bytes")?.ok_or_else(|| tree.wrong("bytes", "how many is missing"))?;
        let wrong = || tree.wrong("bytes", &format!("{text} is no number of bytes, such as 10GiB"));
        let bytes = crate::bytes::parse(&text).ok_or_else(wrong)?;
        let repositories = tree.text("repositories")?.unwrap_or_else(|| "**".into());
        settings.quotas.push(Quota { repositories, bytes });
    }
    Ok(())
}

fn notifications(tree: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    settings.notifications.references = tree.at("events").flag("includereferences")?.unwrap_or(false);
    for (index, tree) in tree.items("endpoints").into_iter().enumerate() {
        let url = tree.text("url")?.ok_or_else(|| tree.wrong("url", "it is missing"))?;
        let place = Place::parse(&url).map_err(|what| tree.wrong("url", &what))?;
        let name = tree.text("name")?.unwrap_or_else(|| format!("endpoint-{index}"));
        if settings.notifications.endpoints.iter().any(|other| other.name == name) {
            return Err(tree.wrong("name", &format!("{name} is there twice")));
        }
        let long = |key: &str| Ok::<_, String>(tree.duration(key)?.filter(|time| !time.is_zero()));
        let threshold = tree.number("threshold")?.filter(|times| *times > 0).unwrap_or(10);
        let mut ignored_types = tree.list("ignoredmediatypes")?;
        ignored_types.extend(tree.at("ignore").list("mediatypes")?);
        if tree.flag("disabled")? == Some(true) {
            continue;
        }
        settings.notifications.endpoints.push(Endpoint {
            name,
            place,
            headers: headers(&tree.at("headers"))?,
            timeout: long("timeout")?.unwrap_or(Duration::from_secs(1)),
            threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
            backoff: long("backoff")?.unwrap_or(Duration::from_secs(1)),
            ignored_types,
            ignored_actions: tree.at("ignore").list("actions")?,
        });
    }
    Ok(())
}

/// Names with their values, which may be several each.
fn headers(tree: &Tree<'_>) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (name, _) in tree.entries() {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(tree.wrong(name, "not the name of a header"));
        }
        // Of one word, commas are its own.
        let values = match tree.text_of(name) {
            Some(text) => vec![text.to_owned()],
            None => tree.list(name)?,
        };
        for value in values {
            if http::HeaderValue::from_str(&value).is_err() {
                return Err(tree.wrong(name, "not the value of a header"));
            }
            all.push((name.clone(), value));
        }
    }
    Ok(all)
}

fn upstreams(tree: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    let of = |tree: &Tree<'_>, place: String, url: String| {
        Ok::<_, String>(Upstream {
            namespace: tree
                .text("namespace")?
                .or_else(|| Some(place.clone()).filter(|name| !name.is_empty())),
            place,
            url,
            username: tree.text("username")?.unwrap_or_default(),
            password: tree.text("password")?.unwrap_or_default(),
            // As in Docker's registry; 0: for ever.
            ttl: Some(tree.duration("ttl")?.unwrap_or(CACHED)).filter(|ttl| !ttl.is_zero()),
        })
    };
    let proxy = tree.at("proxy");
    match proxy.text("remoteurl")?.filter(|url| !url.is_empty()) {
        Some(url) => settings.upstreams.push(of(&proxy, String::new(), url)?),
        None if proxy.entries().iter().any(|(_, node)| !super::is_nothing(node)) => {
            return Err("proxy: proxy.remoteurl is missing: where from".into());
        }
        None => {}
    }
    for tree in tree.at("wharf").items("upstreams") {
        let url = tree.text("remoteurl")?.ok_or_else(|| tree.wrong("remoteurl", "it is missing"))?;
        let place = tree.text("prefix")?.unwrap_or_default();
        if !place.is_empty() && crate::name::check_repository(&place).is_err() {
            return Err(tree.wrong("prefix", "not the beginning of a repository's name"));
        }
        let upstream = of(&tree, place, url)?;
        if settings.upstreams.iter().any(|other| other.place == upstream.place) {
            return Err(tree.wrong("prefix", "two upstreams for the same names"));
        }
        settings.upstreams.push(upstream);
    }
    Ok(())
}

fn http(http: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    let net = http.text("net")?.unwrap_or_else(|| "tcp".into());
    let addr = http.text("addr")?;
    settings.address = match (net.as_str(), addr) {
        ("tcp" | "", None) => settings.address.clone(),
        ("tcp" | "", Some(text)) => Address::Tcp(address(&text).map_err(|what| http.wrong("addr", &what))?),
        ("unix", Some(path)) => Address::Unix(PathBuf::from(path)),
        ("unix", None) => return Err(http.wrong("net", "unix needs http.addr, the path of the socket")),
        (other, _) => return Err(http.wrong("net", &format!("{other} is neither tcp nor unix"))),
    };
    if let Some(prefix) = http.text("prefix")? {
        if !prefix.starts_with('/') {
            return Err(http.wrong("prefix", "it begins with /"));
        }
        settings.prefix = prefix.trim_end_matches('/').to_owned();
    }
    if let Some(host) = http.text("host")? {
        if !host.starts_with("http://") && !host.starts_with("https://") {
            return Err(
                http.wrong("host", "it is an address with its scheme, such as https://registry.example")
            );
        }
        settings.url = Some(host.trim_end_matches('/').to_owned());
    }
    settings.secret = http.text("secret")?.filter(|secret| !secret.is_empty());
    settings.relative_urls = http.flag("relativeurls")?.unwrap_or(false);
    if let Some(drain) = http.duration("draintimeout")? {
        settings.drain = drain;
    }
    settings.http2 = !http.at("http2").flag("disabled")?.unwrap_or(false);
    settings.h2c = http.at("h2c").flag("enabled")?.unwrap_or(true) && settings.http2;
    settings.headers = headers(&http.at("headers"))?;
    let debug = http.at("debug");
    if let Some(text) = debug.text("addr")?.filter(|text| !text.is_empty()) {
        let prometheus = debug.at("prometheus");
        let metrics = match prometheus.flag("enabled")? {
            Some(true) => Some(prometheus.text("path")?.unwrap_or_else(|| "/metrics".into())),
            _ => None,
        };
        let address = address(&text).map_err(|what| debug.wrong("addr", &what))?;
        settings.debug = Some(Debug { address, metrics });
    } else if debug.at("prometheus").flag("enabled")? == Some(true) {
        return Err(debug.wrong("prometheus", "http.debug.addr is missing, where it is served"));
    }
    tls(&http.at("tls"), settings)
}

fn tls(tls: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    let of = |key: &str| Ok::<_, String>(tls.text(key)?.filter(|path| !path.is_empty()).map(PathBuf::from));
    let (certificate, key) = match (of("certificate")?, of("key")?) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => {
            return match tls.entries().iter().find(|(_, node)| !super::is_nothing(node)) {
                Some((name, _)) => Err(tls.wrong(name, "http.tls.certificate and http.tls.key are missing")),
                None => Ok(()),
            };
        }
        (None, _) => return Err(tls.wrong("key", "http.tls.certificate is missing")),
        (_, None) => return Err(tls.wrong("certificate", "http.tls.key is missing")),
    };
    let client_optional = match tls.text("clientauth")?.as_deref() {
        None | Some("" | "require-and-verify-client-cert") => false,
        Some("verify-client-cert-if-given") => true,
        Some(other) => {
            let what = format!("{other} is not supported: a certificate that nobody verified says nothing");
            return Err(tls.wrong("clientauth", &what));
        }
    };
    let only_1_3 = match tls.text("minimumtls")?.as_deref() {
        None | Some("" | "tls1.2") => false,
        Some("tls1.3") => true,
        Some(other) => {
            return Err(tls.wrong("minimumtls", &format!("{other} is not supported: tls1.2 or tls1.3")));
        }
    };
    let cipher_suites = tls.list("ciphersuites")?;
    for suite in &cipher_suites {
        if !crate::tls::knows(suite) {
            return Err(tls.wrong("ciphersuites", &format!("{suite} is not supported")));
        }
    }
    let client_authorities = tls.list("clientcas")?.into_iter().map(PathBuf::from).collect();
    settings.tls =
        Some(Tls { certificate, key, client_authorities, client_optional, only_1_3, cipher_suites });
    Ok(())
}

fn storage(storage: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    let files = storage.at("filesystem");
    if let Some(root) = files.text("rootdirectory")? {
        settings.root = PathBuf::from(root);
    }
    settings.threads = files.positive("maxthreads")?;
    if let Some(delete) = storage.at("delete").flag("enabled")? {
        settings.delete = delete;
    }
    // Files are never redirected to.
    let redirect = storage.at("redirect").flag("disable")? != Some(true);
    let bucket = storage.at("s3");
    if bucket.node.is_some() {
        if files.node.is_some() {
            return Err("storage: filesystem and s3 are both there: one of them".into());
        }
        settings.bucket = Some(super::bucket::read(&bucket, redirect)?);
    }
    match storage.at("cache").text("blobdescriptor")?.as_deref() {
        // What the kernel has in its page cache is in memory.
        None | Some("" | "inmemory") => {}
        Some(other) => {
            let what = format!("{other} is not supported: inmemory");
            return Err(storage.at("cache").wrong("blobdescriptor", &what));
        }
    }
    let maintenance = storage.at("maintenance");
    settings.read_only = maintenance.at("readonly").flag("enabled")?.unwrap_or(false);
    let purging = maintenance.at("uploadpurging");
    if let Some(purge) = &mut settings.purge {
        let of = |key: &str, known: Duration| Ok::<_, String>(purging.duration(key)?.unwrap_or(known));
        *purge = Purge {
            age: of("age", purge.age)?,
            every: of("interval", purge.every)?,
            dry_run: purging.flag("dryrun")?.unwrap_or(false),
        };
        if purge.every.is_zero() {
            return Err(purging.wrong("interval", "it is longer than nothing"));
        }
    }
    if purging.flag("enabled")? == Some(false) {
        settings.purge = None;
    }
    Ok(())
}

fn log(tree: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    let log = tree.at("log");
    let level = log.text("level")?.or(tree.text("loglevel")?);
    settings.log.level = match level.as_deref() {
        None | Some("" | "info") => Level::Info,
        Some("error") => Level::Error,
        Some("warn" | "warning") => Level::Warn,
        Some("debug") => Level::Debug,
        Some(other) => {
            return Err(log.wrong("level", &format!("{other} is none of error, warn, info and debug")));
        }
    };
    settings.log.form = match log.text("formatter")?.as_deref() {
        None | Some("" | "json") => Form::Json,
        Some("text") => Form::Text,
        Some(other) => return Err(log.wrong("formatter", &format!("{other} is not supported: text or json"))),
    };
    settings.log.access = !log.at("accesslog").flag("disabled")?.unwrap_or(false);
    let fields = log.at("fields");
    for (name, _) in fields.entries() {
        settings.log.fields.extend(fields.text(name)?.map(|value| (name.clone(), value)));
    }
    Ok(())
}

fn health(health: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    let usual = Duration::from_secs(10);
    let check = |tree: &Tree<'_>, what, threshold: usize| {
        let threshold = tree.number("threshold")?.filter(|times| *times > 0).unwrap_or(threshold);
        let every = tree.duration("interval")?.filter(|every| !every.is_zero()).unwrap_or(usual);
        Ok::<_, String>(Check { what, every, threshold: u32::try_from(threshold).unwrap_or(u32::MAX) })
    };
    let storage = health.at("storagedriver");
    if storage.flag("enabled")? == Some(true) {
        settings.health.push(check(&storage, Checked::Storage, 3)?);
    }
    for tree in health.items("file") {
        let path = tree.text("file")?.ok_or_else(|| tree.wrong("file", "it is missing"))?;
        settings.health.push(check(&tree, Checked::File(path.into()), 1)?);
    }
    for tree in health.items("http") {
        let url = tree.text("uri")?.ok_or_else(|| tree.wrong("uri", "it is missing"))?;
        let place = Place::parse(&url).map_err(|what| tree.wrong("uri", &what))?;
        let status = tree.number("statuscode")?.filter(|status| *status > 0).unwrap_or(200);
        let what = Checked::Http {
            url,
            place,
            headers: headers(&tree.at("headers"))?,
            status: u16::try_from(status).map_err(|_| tree.wrong("statuscode", "no status"))?,
            timeout: tree.duration("timeout")?.filter(|time| !time.is_zero()).unwrap_or(usual),
        };
        settings.health.push(check(&tree, what, 1)?);
    }
    for tree in health.items("tcp") {
        let address = tree.text("addr")?.ok_or_else(|| tree.wrong("addr", "it is missing"))?;
        let timeout = tree.duration("timeout")?.filter(|time| !time.is_zero()).unwrap_or(usual);
        settings.health.push(check(&tree, Checked::Tcp { address, timeout }, 1)?);
    }
    Ok(())
}

fn validation(tree: &Tree<'_>, settings: &mut Settings) -> Result<()> {
    settings.validation.classes = tree.at("policy").at("repository").list("classes")?;
    let validation = tree.at("validation");
    let enabled = validation.flag("enabled")?.unwrap_or(true) && validation.flag("disabled")? != Some(true);
    if !enabled {
        settings.validation.indexes = Indexes::Sparse;
        return Ok(());
    }
    let manifests = validation.at("manifests");
    let urls = manifests.at("urls");
    let compiled = |key: &str| {
        let texts = urls.list(key)?;
        let each =
            texts.iter().map(|text| Regex::new(text).map_err(|error| urls.wrong(key, &error.to_string())));
        each.collect::<Result<Vec<_>>>()
    };
    settings.validation.urls_allowed = compiled("allow")?;
    settings.validation.urls_denied = compiled("deny")?;
    let indexes = manifests.at("indexes");
    settings.validation.indexes = match indexes.text("platforms")?.as_deref() {
        None | Some("" | "all") => Indexes::Whole,
        Some("none") => Indexes::Sparse,
        Some("list") => {
            let platforms = indexes.items("platformlist").into_iter().map(|tree| {
                let of = |key: &str| Ok::<_, String>(tree.text(key)?.unwrap_or_default());
                Ok((of("os")?, of("architecture")?))
            });
            Indexes::Platforms(platforms.collect::<Result<_>>()?)
        }
        Some(other) => {
            return Err(indexes.wrong("platforms", &format!("{other} is none of all, none and list")));
        }
    };
    Ok(())
}

/// A part of the tree, with its name for whoever has to mend it.
pub(super) struct Tree<'a> {
    pub(super) node: Option<&'a Node>,
    name: String,
}

impl<'a> Tree<'a> {
    pub(super) fn at(&self, key: &str) -> Tree<'a> {
        Tree { node: self.get(key), name: self.path(key) }
    }

    fn path(&self, key: &str) -> String {
        match self.name.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.name),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.and_then(|node| node.get(key)).filter(|node| node.value != Value::Null)
    }

    fn entries(&self) -> &'a [(String, Node)] {
        self.node.map_or(&[], Node::entries)
    }

    pub(super) fn wrong(&self, key: &str, what: &str) -> String {
        let place = self.node.and_then(|node| node.get(key)).map(|node| format!("{}: ", node.place));
        format!("{}{}: {what}", place.unwrap_or_default(), self.path(key))
    }

    /// Of a section that is one word.
    fn text_of(&self, key: &str) -> Option<&'a str> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key).map(|node| &node.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(key, "one word is needed")),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let text = self.text(key)?;
        let value = text.map(|text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" => Ok(false),
            _ => Err(self.wrong(key, &format!("{text} is neither true nor false"))),
        });
        value.transpose()
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<usize>> {
        let value = self.text(key)?;
        value
            .map(|text| text.parse().map_err(|_| self.wrong(key, &format!("{text} is no number"))))
            .transpose()
    }

    /// A limit; 0 is none.
    fn positive(&self, key: &str) -> Result<Option<usize>> {
        Ok(self.number(key)?.filter(|number| *number > 0))
    }

    fn duration(&self, key: &str) -> Result<Option<Duration>> {
        let value = self.text(key)?;
        value.map(|text| super::duration(&text).map_err(|what| self.wrong(key, &what))).transpose()
    }

    /// A list of words; of one word, those between its commas.
    fn list(&self, key: &str) -> Result<Vec<String>> {
        match self.get(key).map(|node| &node.value) {
            None => Ok(Vec::new()),
            Some(Value::Text(text)) => Ok(text.split(',').map(|word| word.trim().to_owned()).collect()),
            Some(Value::List(items)) => {
                let word = |item: &Node| match &item.value {
                    Value::Text(text) => Ok(text.clone()),
                    _ => Err(self.wrong(key, "a list of words is needed")),
                };
                items.iter().map(word).collect()
            }
            Some(_) => Err(self.wrong(key, "a list of words is needed")),
        }
    }

    /// The sections of a list.
    fn items(&self, key: &str) -> Vec<Tree<'a>> {
        let items = match self.get(key).map(|node| &node.value) {
            Some(Value::List(items)) => items.as_slice(),
            _ => &[],
        };
        let named = items.iter().enumerate();
        named
            .map(|(index, node)| Tree { node: Some(node), name: format!("{}.{index}", self.path(key)) })
            .collect()
    }
}

/// `:5000` is every address, as in Go.
pub(crate) fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    let wrong = || format!("{text}: an address and a port are needed, such as 127.0.0.1:5000 or :5000");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.parse().map_err(|_| wrong())?,
    };
    Ok(SocketAddr::new(ip, port))
}
