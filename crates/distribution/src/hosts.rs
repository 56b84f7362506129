//! `hosts.toml` in a registry's directory below `certs.d`, in containerd's form: the hosts to ask in its place, what each is
//! good for, and how to shake hands with it. <https://github.com/containerd/containerd/blob/main/docs/hosts.md>

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use toml_edit::{DocumentMut, Item, TableLike};

use crate::error::{Error, Result};
use crate::url::Url;

/// One host of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Host {
    /// Its API's root, without the `/v2`, unless [`Host::bare`].
    pub(crate) url: Url,
    /// The URL's path is the API's root already (`override_path`).
    pub(crate) bare: bool,
    pub(crate) pull: bool,
    pub(crate) resolve: bool,
    pub(crate) push: bool,
    pub(crate) tls: Arc<HostTls>,
    /// Sent with each request to it.
    pub(crate) headers: HeaderMap,
}

/// How to shake hands with a host, and with nobody else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct HostTls {
    /// Beside the system's.
    pub(crate) authorities: Vec<PathBuf>,
    /// Our certificate, and its key if that is not in the same file.
    pub(crate) own: Option<(PathBuf, Option<PathBuf>)>,
    pub(crate) skip_verify: bool,
}

/// The hosts of a registry, in order; the last is the registry itself. `None`: there is no such file.
///
/// # Errors
/// It cannot be read, or something in it is not what it should be.
pub(crate) fn load(directory: &Path, registry: &str) -> Result<Option<Vec<Host>>> {
    let path = directory.join("hosts.toml");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Local(format!("open {}: {error}", path.display()))),
    };
    read(&text, directory, registry)
        .map(Some)
        .map_err(|why| Error::Local(format!("failed to parse {}: {why}", path.display())))
}

fn read(text: &str, directory: &Path, registry: &str) -> Result<Vec<Host>, String> {
    let document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    let root = document.as_table();
    let mut hosts = Vec::new();
    if let Some(tables) = root.get("host") {
        let tables = tables.as_table_like().ok_or("host: must be a table")?;
        for (url, table) in tables.iter() {
            let table = table.as_table_like().ok_or_else(|| format!("host.{url:?}: must be a table"))?;
            hosts.push(host(url, table, directory, &[]).map_err(|why| format!("host.{url:?}: {why}"))?);
        }
    }
    let server = match root.get("server") {
        Some(server) => server.as_str().ok_or("server: must be a string")?,
        None => registry,
    };
    hosts.push(host(server, root, directory, &["server", "host"])?);
    Ok(hosts)
}

fn host(url: &str, table: &dyn TableLike, directory: &Path, others: &[&str]) -> Result<Host, String> {
    let text = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let mut host = Host {
        url: Url::parse(text.trim_end_matches('/')).map_err(|error| error.to_string())?,
        bare: false,
        pull: true,
        resolve: true,
        push: true,
        tls: Arc::default(),
        headers: HeaderMap::new(),
    };
    let mut tls = HostTls::default();
    let absolute = |text: &str| directory.join(text);
    for (key, value) in table.iter().filter(|(key, _)| !others.contains(key)) {
        let flag = || value.as_bool().ok_or_else(|| format!("{key}: must be true or false"));
        match key {
            "capabilities" => {
                let named = strings(value).ok_or("capabilities: must be a list of strings")?;
                let known = ["pull", "resolve", "push"];
                if let Some(other) = named.iter().find(|name| !known.contains(&name.as_str())) {
                    return Err(format!("unknown capability {other}"));
                }
                let has = |name: &str| named.iter().any(|one| one == name);
                (host.pull, host.resolve, host.push) = (has("pull"), has("resolve"), has("push"));
            }
            "ca" => {
                let paths = strings(value).ok_or("ca: must be a path, or a list of them")?;
                tls.authorities = paths.iter().map(|path| absolute(path)).collect();
            }
            "client" => {
                let (certificate, key) = client(value)?;
                tls.own = Some((absolute(&certificate), key.map(|key| absolute(&key))));
            }
            "skip_verify" => tls.skip_verify = flag()?,
            "override_path" => host.bare = flag()?,
            "header" => {
                let table = value.as_table_like().ok_or("header: must be a table")?;
                for (name, value) in table.iter() {
                    let bad = || format!("header.{name}: no header");
                    for value in strings(value).ok_or_else(bad)? {
                        let name = HeaderName::try_from(name).map_err(|_| bad())?;
                        host.headers.append(name, HeaderValue::try_from(value).map_err(|_| bad())?);
                    }
                }
            }
            // What is not understood would be missed where it matters.
            other => return Err(format!("{other} is not supported")),
        }
    }
    host.tls = Arc::new(tls);
    Ok(host)
}

/// A string, or a list of them.
fn strings(value: &Item) -> Option<Vec<String>> {
    if let Some(one) = value.as_str() {
        return Some(vec![one.to_owned()]);
    }
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

/// `"both.pem"`, `["both.pem"]`, `[["certificate", "key"]]`. We have one face: the first.
fn client(value: &Item) -> Result<(String, Option<String>), String> {
    let wrong = || "client: must be a path, or a list of pairs of paths".to_owned();
    if let Some(paths) = strings(value) {
        return paths.into_iter().next().map(|path| (path, None)).ok_or_else(wrong);
    }
    let pair = value.as_array().and_then(|list| list.get(0)?.as_array()).ok_or_else(wrong)?;
    let path = |at: usize| pair.get(at).and_then(|path| path.as_str()).map(str::to_owned);
    Ok((path(0).ok_or_else(wrong)?, path(1).filter(|key| !key.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_containerds_is_read() {
        let text = r#"
            server = "https://registry-1.docker.io"
            ca = "server.crt"
            [host."https://mirror.example:5000"]
              capabilities = ["pull"]
              ca = ["/etc/one.crt", "two.crt"]
              client = [["own.cert", "own.key"]]
              [host."https://mirror.example:5000".header]
                x-custom = ["a", "b"]
            [host."http://plain/some/path"]
              override_path = true
              skip_verify = true
        "#;
        let hosts = read(text, Path::new("/d"), "docker.io").unwrap();
        let shown: Vec<_> = hosts.iter().map(|host| host.url.to_string()).collect();
        assert_eq!(
            shown,
            ["https://mirror.example:5000/", "http://plain/some/path", "https://registry-1.docker.io/"]
        );
        let [mirror, plain, server] = &hosts[..] else { panic!("three hosts") };
        assert_eq!((mirror.pull, mirror.resolve, mirror.push), (true, false, false));
        assert_eq!(mirror.tls.authorities, [PathBuf::from("/etc/one.crt"), "/d/two.crt".into()]);
        assert_eq!(mirror.tls.own, Some(("/d/own.cert".into(), Some("/d/own.key".into()))));
        assert_eq!(mirror.headers.get_all("x-custom").iter().count(), 2);
        assert!(plain.bare && plain.tls.skip_verify && plain.push);
        assert_eq!(server.tls.authorities, [PathBuf::from("/d/server.crt")]);
        assert_eq!(read("", Path::new("/d"), "reg:5000").unwrap()[0].url.to_string(), "https://reg:5000/");
    }

    #[test]
    fn what_is_wrong_in_it_is_named() {
        for (text, why) in [
            ("server = 1", "server: must be a string"),
            ("[host.\"ftp://x\"]", "host.\"ftp://x\": invalid URL \"ftp://x\""),
            ("[host.x]\ncapabilities = [\"fly\"]", "host.\"x\": unknown capability fly"),
            ("[host.x]\ndial_timeout = \"3s\"", "host.\"x\": dial_timeout is not supported"),
            ("skip_verify = \"yes\"", "skip_verify: must be true or false"),
        ] {
            assert_eq!(read(text, Path::new("/d"), "r").unwrap_err(), why);
        }
    }
}
