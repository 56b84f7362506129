//! Whole files, as people have them.

use std::time::Duration;

use super::*;
use crate::settings::{Address, Checked, Debug};
use crate::validation::Indexes;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, text).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    super::load(Some(&path), variables)
}

fn error(text: &str) -> String {
    load(text, &[]).unwrap_err().message.rsplit('/').next().unwrap().to_owned()
}

/// What the image of Docker's registry comes with.
const DISTRIBUTED: &str = "version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

#[test]
fn the_file_that_dockers_registry_comes_with_is_understood() {
    let settings = load(DISTRIBUTED, &[]).unwrap().settings;
    assert_eq!(settings.address, Address::Tcp("[::]:5000".parse().unwrap()));
    assert_eq!(settings.headers, [("X-Content-Type-Options".to_owned(), "nosniff".to_owned())]);
    assert_eq!(settings.log.fields, [("service".to_owned(), "registry".to_owned())]);
    assert_eq!((settings.health[0].what.clone(), settings.health[0].threshold), (Checked::Storage, 3));
    // With a file, what Docker's registry does; without one, what suits somebody who says nothing.
    assert!(!settings.delete);
    assert!(super::load(None, std::iter::empty()).unwrap().settings.delete);
}

#[test]
fn the_environment_is_over_the_file() {
    let variables = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
        ("REGISTRY_HTTP_ADDR", "0.0.0.0:443"),
        ("REGISTRY_HTTP_TLS_CERTIFICATE", "/certs/domain.crt"),
        ("REGISTRY_HTTP_TLS_KEY", "/certs/domain.key"),
        ("REGISTRY_HTTP_HEADERS", "{Access-Control-Allow-Origin: ['*'], X-A: [a, b]}"),
        ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"),
        ("REGISTRY_LOG_LEVEL", "warn"),
        ("REGISTRY_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
    ];
    let loaded = load(DISTRIBUTED, &variables).unwrap();
    let settings = loaded.settings;
    assert_eq!(settings.htpasswd.as_deref(), Some(Path::new("/auth/htpasswd")));
    assert_eq!((settings.realm.as_str(), settings.root.as_path()), ("Registry Realm", Path::new("/data")));
    assert_eq!(settings.address, Address::Tcp("0.0.0.0:443".parse().unwrap()));
    assert_eq!(settings.tls.unwrap().key, Path::new("/certs/domain.key"));
    assert_eq!((settings.headers.len(), settings.delete), (3, true));
    assert_eq!(settings.log.level, crate::log::Level::Warn);
    assert_eq!(loaded.strangers, ["REGISTRY_PORT_5000_TCP"]);
}

#[test]
fn every_key_has_its_effect() {
    let text = "
loglevel: debug
log: {formatter: text, accesslog: {disabled: yes}}
storage:
  filesystem: {rootdirectory: /x, maxthreads: 50}
  delete: {enabled: true}
  redirect: {disable: true}
  maintenance:
    uploadpurging: {enabled: true, age: 1h, interval: 30m, dryrun: true}
    readonly: {enabled: true}
http:
  net: unix
  addr: /run/registry.sock
  host: https://registry.example/
  prefix: /sub/
  secret: s
  relativeurls: true
  draintimeout: 1m
  tls: {certificate: c, key: k, clientcas: [a, b], clientauth: verify-client-cert-if-given, minimumtls: tls1.3}
  debug: {addr: 'localhost:5001', prometheus: {enabled: true, path: /m}}
  http2: {disabled: true}
health:
  file: [{file: /down, interval: 5s}]
  tcp: [{addr: 'db:5432', timeout: 3s, threshold: 2}]
catalog: {maxentries: 5}
tags: {maxtags: 6}
validation:
  manifests:
    urls: {allow: ['^https://a/'], deny: [b]}
    indexes: {platforms: list, platformlist: [{os: linux, architecture: amd64}]}
policy: {repository: {classes: [image]}}
wharf: {rules: /rules, tokens: true, collect: {every: 24h}}
";
    let settings = load(text, &[]).unwrap().settings;
    assert_eq!(settings.address, Address::Unix("/run/registry.sock".into()));
    assert_eq!(
        (settings.url.as_deref(), settings.prefix.as_str()),
        (Some("https://registry.example"), "/sub")
    );
    assert!(settings.relative_urls && settings.read_only && settings.delete && settings.token_auth);
    assert!(!settings.http2 && !settings.h2c && !settings.log.access);
    assert_eq!((settings.drain, settings.threads), (Duration::from_secs(60), Some(50)));
    let purge = settings.purge.unwrap();
    assert_eq!(
        (purge.age, purge.every, purge.dry_run),
        (Duration::from_secs(3600), Duration::from_secs(1800), true)
    );
    let tls = settings.tls.unwrap();
    assert_eq!((tls.client_authorities.len(), tls.client_optional, tls.only_1_3), (2, true, true));
    let debug = Debug { address: "127.0.0.1:5001".parse().unwrap(), metrics: Some("/m".into()) };
    assert_eq!(settings.debug, Some(debug));
    assert_eq!((settings.catalog_max, settings.tags_max), (Some(5), Some(6)));
    assert_eq!(settings.validation.indexes, Indexes::Platforms(vec![("linux".into(), "amd64".into())]));
    assert_eq!((settings.validation.urls_allowed.len(), settings.validation.urls_denied.len()), (1, 1));
    assert_eq!(settings.health[1].threshold, 2);
    assert_eq!(
        (settings.secret.as_deref(), settings.collect_every),
        (Some("s"), Some(Duration::from_secs(86400)))
    );
}

#[test]
fn limits_are_read() {
    let text = "
wharf:
  retention:
    every: 24h
    rules: [{repositories: 'team/**', tags: 'v*', keep: 10, age: 720h}, {tags: keep-*, keep: all}]
  quotas: [{repositories: 'team/*', bytes: 10GiB}, {bytes: 500MB}]
";
    let settings = load(text, &[]).unwrap().settings;
    let rules = &settings.retention.rules;
    assert_eq!((rules[0].keep, rules[0].age), (Some(10), Some(Duration::from_secs(720 * 3600))));
    assert_eq!((rules[1].repositories.as_str(), rules[1].keep, rules[1].age), ("**", None, None));
    let quotas: Vec<_> =
        settings.quotas.iter().map(|quota| (quota.repositories.as_str(), quota.bytes)).collect();
    assert_eq!(quotas, [("team/*", 10 << 30), ("**", 500_000_000)]);
    for (text, expected) in [
        ("wharf: {retention: {rules: [{tags: x}]}}\n", "wharf.retention.rules.0.keep: how many stay"),
        ("wharf: {retention: {every: 1h}}\n", "there are no rules"),
        ("wharf: {quotas: [{bytes: much}]}\n", "much is no number of bytes"),
    ] {
        assert!(error(text).contains(expected), "{text}: {}", error(text));
    }
}

#[test]
fn who_is_told_is_read() {
    let text = "
notifications:
  events: {includereferences: true}
  endpoints:
    - name: alistener
      url: https://mylistener.example.com/event
      headers: {Authorization: ['Bearer <your token>']}
      timeout: 500ms
      threshold: 5
      backoff: 2s
      ignoredmediatypes: [application/octet-stream]
      ignore: {mediatypes: [a/b], actions: [pull]}
    - {name: off, disabled: true, url: 'http://x'}
health:
  http: [{uri: 'http://a/b', statuscode: 204, headers: {X-A: b}}]
";
    let settings = load(text, &[]).unwrap().settings;
    let [endpoint] = &settings.notifications.endpoints[..] else { panic!("{settings:?}") };
    assert_eq!((endpoint.threshold, endpoint.timeout), (5, Duration::from_millis(500)));
    assert_eq!(endpoint.ignored_types, ["application/octet-stream", "a/b"]);
    assert_eq!(endpoint.headers[0].1, "Bearer <your token>");
    assert!(settings.notifications.references);
    assert!(matches!(settings.health[0].what, Checked::Http { status: 204, .. }));
    let refused = load("notifications: {endpoints: [{url: x}]}\n", &[]).unwrap_err().message;
    assert!(refused.contains("endpoints.0.url: x is no address"), "{refused}");
}

#[test]
fn other_registries_are_named() {
    let text = "
proxy: {remoteurl: 'https://registry-1.docker.io', username: u, password: 0123}
wharf:
  upstreams:
    - {prefix: ghcr.io, remoteurl: 'https://ghcr.io', ttl: 0}
    - {prefix: local, namespace: 'registry:5000', remoteurl: 'http://registry:5000', ttl: 1h}
";
    let all = load(text, &[]).unwrap().settings.upstreams;
    let of =
        |n: usize| (all[n].place.as_str(), all[n].namespace.as_deref(), all[n].ttl.map(|ttl| ttl.as_secs()));
    assert_eq!(of(0), ("", None, Some(168 * 3600)));
    assert_eq!((all[0].username.as_str(), all[0].password.as_str()), ("u", "0123"));
    assert_eq!(of(1), ("ghcr.io", Some("ghcr.io"), None));
    assert_eq!(of(2), ("local", Some("registry:5000"), Some(3600)));
    let variables = [("REGISTRY_PROXY_REMOTEURL", "https://x.example"), ("REGISTRY_PROXY_TTL", "1h")];
    assert_eq!(load("", &variables).unwrap().settings.upstreams[0].url, "https://x.example");
    assert!(error("proxy: {username: u}\n").contains("proxy.remoteurl is missing"));
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    for (text, expected) in [
        ("http:\n  adr: x\n", "config.yml:2: unknown key http.adr"),
        ("version: 0.2\n", "config.yml:1: version: there is only 0.1"),
        ("storage:\n  gcs: {bucket: b}\n", "config.yml:2: storage.gcs is not supported: this registry keeps"),
        ("storage:\n  s3: {bucket: b}\n", "storage.s3.region: it is missing"),
        (
            "storage: {s3: {region: r, bucket: b, accesskey: a, secretkey: s, chunksize: 1024}}\n",
            "config.yml:1: storage.s3.chunksize: S3 takes no part below",
        ),
        (
            "storage: {s3: {region: r, bucket: b, accesskey: a, secretkey: s, skipverify: true}}\n",
            "config.yml:1: storage.s3.skipverify is not supported",
        ),
        (
            "proxy: {remoteurl: \"https://a\"}\nstorage: {s3: {region: r, bucket: b, accesskey: a, secretkey: s}}\n",
            "proxy and wharf.upstreams: not with storage.s3",
        ),
        ("storage: inmemory\n", "config.yml:1: storage.inmemory is not supported"),
        ("redis: {addr: x}\n", "config.yml:1: redis is not supported"),
        ("http: {tls: {letsencrypt: {email: a@b}}}\n", "config.yml:1: http.tls.letsencrypt is not supported"),
        ("http: {tls: {certificate: c}}\n", "config.yml:1: http.tls.certificate: http.tls.key is missing"),
        (
            "http: {tls: {minimumtls: tls1.0}}\n",
            "config.yml:1: http.tls.minimumtls: http.tls.certificate and",
        ),
        ("http: {draintimeout: soon}\n", "config.yml:1: http.draintimeout: soon: not a duration"),
        ("http: 5\n", "config.yml:1: http is a section: it has keys"),
        ("auth: htpasswd\n", "auth.htpasswd: its path is missing"),
        ("auth: {silly: {realm: r}}\n", "config.yml:1: auth.silly is not supported"),
        ("storage: {delete: {enabled: maybe}}\n", "config.yml:1: storage.delete.enabled: maybe is neither"),
    ] {
        let error = error(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    // What asks for nothing is not refused.
    load("compatibility: {schema1: {enabled: false}}\nredis:\nproxy: {}\nstorage: filesystem\n", &[])
        .unwrap();
    let error = load("", &[("REGISTRY_STORAGE_GCS_BUCKET", "b")]).unwrap_err();
    assert!(error.message.contains("storage.gcs is not supported"), "{error}");
}

#[test]
fn a_bucket_by_file_and_environment() {
    let file = "storage:\n  s3:\n    bucket: b\n    region: eu-central-1\n    rootdirectory: /below/\n    encrypt: true\n  redirect: {disable: true}\n";
    let variables = [("REGISTRY_STORAGE_S3_ACCESSKEY", "a"), ("REGISTRY_STORAGE_S3_SECRETKEY", "s")];
    let settings = load(file, &variables).unwrap();
    let bucket = settings.settings.bucket.unwrap();
    assert_eq!(bucket.endpoint, "https://s3.eu-central-1.amazonaws.com");
    assert_eq!((bucket.root.as_str(), bucket.path_style, bucket.redirect), ("below", false, false));
    assert_eq!(bucket.headers(), [("x-amz-server-side-encryption", "AES256".to_owned())]);
    assert!(!format!("{bucket:?}").contains("\"s\""), "no secrets in what is printed");
    let more =
        [("REGISTRY_STORAGE_S3_REGIONENDPOINT", "127.0.0.1:9000"), ("REGISTRY_STORAGE_S3_SECURE", "false")];
    let settings = load(file, &[&variables[..], &more].concat()).unwrap();
    let bucket = settings.settings.bucket.unwrap();
    assert_eq!((bucket.endpoint.as_str(), bucket.path_style), ("http://127.0.0.1:9000", true));
}
