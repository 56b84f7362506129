//! The registry over HTTP, on a directory of its own. Each test talks as a client does, byte by byte.

mod kit;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use oci::{Digest, Digester, media_type};
use registry::{Check, Checked, Debug, Purge, Settings, Storage};
use serde_json::{Value, json};

use kit::{Answer, Registry, noise, settings, wait_until};

fn registry() -> (tempfile::TempDir, Registry) {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::start(settings(directory.path()));
    (directory, registry)
}

#[test]
fn blobs_come_back_as_they_were() {
    let (_directory, registry) = registry();
    let bytes = noise(3_000_001);
    let digest = registry.push("a/b", &bytes);
    let path = format!("/v2/a/b/blobs/{digest}");
    let answer = registry.get(&path);
    assert_eq!((answer.status, answer.body == bytes), (200, true));
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    let head = registry.ask("HEAD", &path, &[], b"");
    assert_eq!((head.header("content-length"), head.body.len()), ("3000001", 0));
    let part = registry.ask("GET", &path, &[("Range", "bytes=1000000-1999999")], b"");
    assert_eq!((part.status, part.body == bytes[1_000_000..2_000_000]), (206, true));
    assert_eq!(part.header("content-range"), "bytes 1000000-1999999/3000001");
    let known = registry.ask("GET", &path, &[("If-None-Match", answer.header("etag"))], b"");
    assert_eq!(known.status, 304);
    // Not in another repository, until it is mounted there.
    assert_eq!(registry.get(&format!("/v2/other/blobs/{digest}")).code(), "BLOB_UNKNOWN");
    let mount = format!("/v2/other/blobs/uploads/?mount={digest}&from=a/b");
    assert_eq!(registry.ask("POST", &mount, &[], b"").status, 201);
    assert_eq!(registry.get(&format!("/v2/other/blobs/{digest}")).status, 200);
    assert_eq!(registry.ask("DELETE", &path, &[], b"").status, 202);
    assert_eq!(registry.get(&path).status, 404);
    assert_eq!(registry.get(&format!("/v2/other/blobs/{digest}")).status, 200);
}

#[test]
fn an_upload_is_continued_by_another_process_and_after_a_broken_connection() {
    let directory = tempfile::tempdir().unwrap();
    // Two on one directory, as behind a load balancer.
    let (first, second) =
        (Registry::start(settings(directory.path())), Registry::start(settings(directory.path())));
    let bytes = noise(1_000_000);
    let begun = first.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(begun.status, 202);
    let location = begun.header("location").to_owned();
    let piece = first.ask("PATCH", &location, &[("Content-Range", "0-299999")], &bytes[..300_000]);
    assert_eq!((piece.status, piece.header("range")), (202, "0-299999"));
    // A piece that does not fit is refused, with where to go on.
    let wrong = second.ask("PATCH", &location, &[("Content-Range", "0-9")], &bytes[..10]);
    assert_eq!((wrong.status, wrong.header("range")), (416, "0-299999"));
    // A connection that breaks in the middle of a piece: what has arrived stays.
    {
        let mut stream = second.connect();
        let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&bytes[300_000..500_000]).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let arrived = loop {
        let status = first.get(&location);
        assert_eq!(status.status, 204);
        let arrived: usize = status.header("range").split_once('-').unwrap().1.parse().unwrap();
        if arrived + 1 == 500_000 || std::time::Instant::now() > deadline {
            break arrived + 1;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(arrived, 500_000);
    let digest = Digest::of(&bytes);
    let done = first.ask("PUT", &format!("{location}?digest={digest}"), &[], &bytes[arrived..]);
    assert_eq!(done.status, 201, "{done:?}");
    assert_eq!(second.get(done.header("location")).body, bytes);
    assert_eq!(first.get(&location).code(), "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn what_is_not_what_was_promised_is_not_kept() {
    let (_directory, registry) = registry();
    let promised = Digest::of(b"other");
    let answer = registry.ask("POST", &format!("/v2/a/blobs/uploads/?digest={promised}"), &[], b"this");
    assert_eq!((answer.status, answer.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(registry.get(&format!("/v2/a/blobs/{promised}")).status, 404);
    assert_eq!(registry.get(&format!("/v2/a/blobs/{}", Digest::of(b"this"))).status, 404);
    for (path, code) in [
        ("/v2/a/blobs/uploads/?digest=x", "DIGEST_INVALID"),
        ("/v2/../blobs/uploads/", "NAME_INVALID"),
        ("/v2/A/blobs/uploads/", "NAME_INVALID"),
    ] {
        assert_eq!(registry.ask("POST", path, &[], b"").code(), code, "{path}");
    }
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(registry.ask("PUT", begun.header("location"), &[], b"x").code(), "DIGEST_INVALID");
    assert_eq!(registry.ask("DELETE", begun.header("location"), &[], b"").status, 204);
    // Other algorithms than SHA-256.
    let mut digester = Digester::new(oci::Algorithm::Sha512);
    digester.update(b"bytes");
    let digest = digester.finish();
    let answer = registry.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"bytes");
    assert_eq!(answer.status, 201);
    assert_eq!(registry.get(&format!("/v2/a/blobs/{digest}")).body, b"bytes");
}

#[test]
fn manifests_name_what_is_there() {
    let (_directory, registry) = registry();
    let digest = registry.image("a", "v1", b"layer");
    let answer = registry.get("/v2/a/manifests/v1");
    assert_eq!(answer.header("content-type"), media_type::OCI_MANIFEST);
    assert_eq!(Digest::of(&answer.body), digest);
    let mut manifest = answer.json();
    // Pushed again under another name, and refused when something is wrong with it.
    assert_eq!(registry.manifest("a", "v2", &manifest), digest);
    manifest["layers"][0]["digest"] = Digest::of(b"nowhere").as_str().into();
    let refused = |manifest: &Value| {
        let answer = registry.put("a", "bad", manifest.to_string().as_bytes());
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.code()
    };
    assert_eq!(refused(&manifest), "MANIFEST_BLOB_UNKNOWN");
    manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar".into();
    registry.manifest("a", "foreign", &manifest);
    for (key, value) in [
        ("schemaVersion", json!(1)),
        ("mediaType", json!("text/plain")),
        ("layers", json!("none")),
        ("config", json!({ "digest": "sha256:short" })),
    ] {
        let mut bad = manifest.clone();
        bad[key] = value;
        assert_eq!(refused(&bad), "MANIFEST_INVALID", "{key}");
    }
    assert_eq!(registry.put("a", "bad", b"{").code(), "MANIFEST_INVALID");
    let large = registry.put("a", "bad", &vec![b' '; (4 << 20) + 1]);
    assert_eq!((large.status, large.code().as_str()), (413, "SIZE_INVALID"));
    let wrong = registry.put("a", Digest::of(b"x").as_str(), manifest.to_string().as_bytes());
    assert_eq!(wrong.code(), "DIGEST_INVALID");
    assert_eq!(registry.get("/v2/a/manifests/bad").code(), "MANIFEST_UNKNOWN");
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": [{ "mediaType": media_type::OCI_MANIFEST, "digest": Digest::of(b"x").as_str(), "size": 1 }] });
    assert_eq!(refused(&index), "MANIFEST_BLOB_UNKNOWN");

    let tags = registry.get("/v2/a/tags/list?n=2");
    assert_eq!(tags.json(), json!({ "name": "a", "tags": ["foreign", "v1"] }));
    assert_eq!(tags.header("link"), "</v2/a/tags/list?n=2&last=v1>; rel=\"next\"");
    assert_eq!(registry.get("/v2/a/tags/list?n=2&last=v1").json()["tags"], json!(["v2"]));
    assert_eq!(registry.get("/v2/none/tags/list").code(), "NAME_UNKNOWN");
    // A tag goes alone, a manifest with all its tags.
    assert_eq!(registry.ask("DELETE", "/v2/a/manifests/v2", &[], b"").status, 202);
    assert_eq!(registry.get("/v2/a/manifests/v1").status, 200);
    let manifest = format!("/v2/a/manifests/{digest}");
    assert_eq!(registry.ask("DELETE", &manifest, &[], b"").status, 202);
    assert_eq!(registry.get("/v2/a/manifests/v1").status, 404);
    assert_eq!(registry.get("/v2/a/tags/list").json()["tags"], json!(["foreign"]));
}

#[test]
fn indexes_are_for_who_knows_them() {
    let (_directory, registry) = registry();
    let image = registry.image("a", "amd64", b"layer");
    let size = registry.get("/v2/a/manifests/amd64").body.len();
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [{
        "mediaType": media_type::OCI_MANIFEST, "digest": image.as_str(), "size": size,
        "platform": { "os": "linux", "architecture": "amd64" },
    }] });
    let digest = registry.manifest("a", "latest", &index);
    let of = |accept: &str| {
        let headers = [("Accept", accept)];
        let answer =
            registry.ask("GET", "/v2/a/manifests/latest", &headers[..usize::from(!accept.is_empty())], b"");
        answer.header("docker-content-digest").parse::<Digest>().unwrap()
    };
    assert_eq!(of(""), digest);
    assert_eq!(of("*/*"), digest);
    assert_eq!(of(&format!("{}, {}", media_type::OCI_MANIFEST, media_type::OCI_INDEX)), digest);
    assert_eq!(of(media_type::DOCKER_MANIFEST), image);
}

#[test]
fn referrers_are_listed_and_go_with_what_they_are() {
    let (_directory, registry) = registry();
    let subject = registry.image("a", "v1", b"layer");
    let config = registry.push("a", b"{}");
    let signature = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": "application/x.signature",
        "config": { "mediaType": media_type::OCI_EMPTY, "digest": config.as_str(), "size": 2 },
        "layers": [],
        "subject": { "mediaType": media_type::OCI_MANIFEST, "digest": subject.as_str(), "size": 1 },
        "annotations": { "by": "me" },
    });
    let digest = Digest::of(signature.to_string().as_bytes());
    let answer = registry.put("a", digest.as_str(), signature.to_string().as_bytes());
    assert_eq!((answer.status, answer.header("oci-subject")), (201, subject.as_str()));
    let path = format!("/v2/a/referrers/{subject}");
    let found = registry.get(&path);
    assert_eq!(found.header("content-type"), media_type::OCI_INDEX);
    let descriptor = &found.json()["manifests"][0];
    assert_eq!(descriptor["digest"], digest.as_str());
    assert_eq!(descriptor["artifactType"], "application/x.signature");
    assert_eq!(descriptor["annotations"]["by"], "me");
    let filtered = registry.get(&format!("{path}?artifactType=other"));
    assert_eq!(
        (filtered.json()["manifests"].clone(), filtered.header("oci-filters-applied")),
        (json!([]), "artifactType")
    );
    assert_eq!(registry.ask("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"").status, 202);
    assert_eq!(registry.get(&path).json()["manifests"], json!([]));
    // What a client of a registry without this API has pushed under the fallback tag.
    let fallback = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [{
        "mediaType": media_type::OCI_MANIFEST, "digest": subject.as_str(), "size": 1 }] });
    registry.manifest("a", &subject.as_str().replace(':', "-"), &fallback);
    assert_eq!(registry.get(&path).json()["manifests"][0]["digest"], subject.as_str());
}

#[test]
fn who_may_do_what_is_decided_by_users_and_rules() {
    let directory = tempfile::tempdir().unwrap();
    let (users, rules) = (directory.path().join("htpasswd"), directory.path().join("rules"));
    let hash = bcrypt::hash("secret", 4).unwrap();
    std::fs::write(&users, format!("ann:{hash}\nroot:{hash}\n")).unwrap();
    std::fs::write(&rules, "* pull public/**\nann pull,push team/*\nroot pull,push,delete **\n").unwrap();
    let registry = Registry::start(Settings {
        htpasswd: Some(users),
        rules: Some(rules),
        ..settings(&directory.path().join("data"))
    });
    let basic = |name: &str, password: &str| {
        format!("Basic {}", data_encoding::BASE64.encode(format!("{name}:{password}").as_bytes()))
    };
    let (ann, root, wrong) = (basic("ann", "secret"), basic("root", "secret"), basic("ann", "x"));
    let of = |who: &str, method: &str, path: &str, body: &[u8]| {
        let headers = [("Authorization", who)];
        registry.ask(method, path, &headers[..usize::from(!who.is_empty())], body)
    };
    let refused = of("", "GET", "/v2/", b"");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Basic realm=\"Registry\""));
    assert_eq!(of(&wrong, "GET", "/v2/", b"").status, 401);
    assert_eq!(of(&ann, "GET", "/v2/", b"").status, 200);
    let digest = Digest::of(b"x");
    let push = |who: &str, name: &str| {
        of(who, "POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), b"x").status
    };
    let status = |who: &str, name: &str| of(who, "GET", &format!("/v2/{name}/blobs/{digest}"), b"").status;
    assert_eq!((push("", "public/a"), push(&ann, "public/a"), push(&root, "public/a")), (401, 403, 201));
    assert_eq!((push(&ann, "team/a"), push(&ann, "team/a/b")), (201, 403));
    assert_eq!((status("", "public/a"), status("", "team/a"), status(&ann, "team/a")), (200, 401, 200));
    assert_eq!(of(&ann, "DELETE", &format!("/v2/team/a/blobs/{digest}"), b"").status, 403);
    // A secret is not mounted from where one may not read.
    assert_eq!(push(&root, "secret/a"), 201);
    let mount = format!("/v2/team/stolen/blobs/uploads/?mount={digest}&from=secret/a");
    assert_eq!(of(&ann, "POST", &mount, b"").status, 202);
    let anonymous = format!("/v2/team/stolen/blobs/uploads/?mount={digest}");
    assert_eq!(of(&ann, "POST", &anonymous, b"").status, 202);
    assert_eq!(status(&ann, "team/stolen"), 404);
    // Machines that look after this one need no password.
    assert_eq!((of("", "GET", "/healthz", b"").status, of("", "GET", "/metrics", b"").status), (200, 200));
}

#[test]
fn a_token_is_good_for_what_it_was_given_for() {
    let directory = tempfile::tempdir().unwrap();
    let (users, rules) = (directory.path().join("htpasswd"), directory.path().join("rules"));
    std::fs::write(&users, format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
    std::fs::write(&rules, "* pull public/**\nann pull,push team/*\n").unwrap();
    let registry = Registry::start(Settings {
        htpasswd: Some(users),
        rules: Some(rules),
        token_auth: true,
        ..settings(&directory.path().join("data"))
    });
    let refused = registry.ask("POST", "/v2/team/a/blobs/uploads/", &[], b"");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (
            401,
            "Bearer realm=\"http://localhost/token\",service=\"localhost\",scope=\"repository:team/a:pull,push\""
        )
    );
    let password = format!("Basic {}", data_encoding::BASE64.encode(b"ann:secret"));
    let token = |who: &[(&str, &str)], scope: &str| {
        let answer = registry.ask("GET", &format!("/token?service=localhost&scope={scope}"), who, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    };
    let ann = token(&[("Authorization", &password)], "repository:team/a:pull,push,delete");
    let digest = Digest::of(b"x");
    let push = |token: &str, name: &str| {
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        registry.ask("POST", &path, &[("Authorization", token)], b"x").status
    };
    assert_eq!((push(&ann, "team/a"), push(&ann, "team/b"), push(&ann, "other")), (201, 401, 401));
    let blob = format!("/v2/team/a/blobs/{digest}");
    // Not in the rules, so not in the token either.
    assert_eq!(registry.ask("DELETE", &blob, &[("Authorization", &ann)], b"").status, 401);
    let nobody = token(&[], "repository:team/a:pull%20repository:public/x:pull,push");
    assert_eq!(registry.ask("GET", &blob, &[("Authorization", &nobody)], b"").status, 401);
    let public = format!("/v2/public/x/blobs/{digest}");
    assert_eq!(registry.ask("GET", &public, &[("Authorization", &nobody)], b"").code(), "BLOB_UNKNOWN");
    assert_eq!(push(&nobody, "public/x"), 401);
    assert_eq!(registry.ask("GET", "/v2/", &[("Authorization", &ann)], b"").status, 200);
    for bad in [&format!("{ann}x"), "Bearer", &format!("Basic {}", data_encoding::BASE64.encode(b"ann:no"))] {
        assert_eq!(registry.ask("GET", "/v2/", &[("Authorization", bad)], b"").status, 401, "{bad}");
    }
    // One does not beget another.
    assert_eq!(registry.ask("GET", "/token", &[("Authorization", &ann)], b"").status, 401);
}

#[test]
fn a_registry_may_be_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::start(Settings { read_only: true, ..settings(directory.path()) });
    let answer = registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!((answer.status, answer.code().as_str()), (405, "UNSUPPORTED"));
    let registry = Registry::start(Settings { delete: false, ..settings(directory.path()) });
    let digest = registry.push("a", b"x");
    let answer = registry.ask("DELETE", &format!("/v2/a/blobs/{digest}"), &[], b"");
    assert_eq!((answer.status, answer.code().as_str()), (405, "UNSUPPORTED"));
}

#[test]
fn what_nobody_has_is_collected_while_it_serves() {
    let (directory, registry) = registry();
    let storage = Storage::open(directory.path()).unwrap();
    let kept = registry.image("a/b", "v1", b"kept");
    let lost = registry.image("a/b", "v2", b"lost");
    assert_eq!(registry.ask("DELETE", &format!("/v2/a/b/manifests/{lost}"), &[], b"").status, 202);
    let layer = Digest::of(b"lost");
    assert_eq!(registry.ask("DELETE", &format!("/v2/a/b/blobs/{layer}"), &[], b"").status, 202);
    let begun = registry.ask("POST", "/v2/a/b/blobs/uploads/", &[], b"");
    let young = storage.collect(Duration::from_secs(3600), false, false).unwrap();
    assert_eq!(young, registry::Collected::default());
    let mut would = storage.collect(Duration::ZERO, false, true).unwrap();
    would.blobs.sort();
    let mut expected = vec![lost, layer.clone()];
    expected.sort();
    assert_eq!((would.blobs.clone(), would.uploads), (expected, 1));
    assert_eq!(registry.get(begun.header("location")).status, 204);
    let mut done = storage.collect(Duration::ZERO, false, false).unwrap();
    done.blobs.sort();
    assert_eq!(done, would);
    assert_eq!(registry.get(begun.header("location")).status, 404);
    assert_eq!(registry.get(&format!("/v2/a/b/manifests/{kept}")).status, 200);
    assert_eq!(registry.get(&format!("/v2/a/b/blobs/{}", Digest::of(b"kept"))).status, 200);
    // Manifests without a tag, when asked for.
    let moved = registry.image("a/b", "v1", b"newer");
    let done = storage.collect(Duration::ZERO, true, false).unwrap();
    assert_eq!(done.blobs, std::slice::from_ref(&kept));
    assert_eq!(registry.get(&format!("/v2/a/b/manifests/{kept}")).status, 404);
    assert_eq!(registry.get(&format!("/v2/a/b/manifests/{moved}")).status, 200);
}

#[test]
fn repositories_are_found() {
    let (_directory, registry) = registry();
    assert_eq!(registry.get("/v2/_catalog").json(), json!({ "repositories": [] }));
    for name in ["library/redis", "a", "a/b", "redis"] {
        registry.image(name, "v1", b"layer");
    }
    let first = registry.get("/v2/_catalog?n=2");
    assert_eq!(first.json(), json!({ "repositories": ["a", "a/b"] }));
    assert_eq!(first.header("link"), "</v2/_catalog?last=a%2Fb&n=2>; rel=\"next\"");
    let second = registry.get("/v2/_catalog?last=a%2Fb&n=2");
    assert_eq!(second.json(), json!({ "repositories": ["library/redis", "redis"] }));
    let found = registry.get("/v1/search?q=redis").json();
    assert_eq!(found["num_results"], 2);
    assert_eq!(found["results"][0]["name"], "redis");
    let page = String::from_utf8(registry.get("/").body).unwrap();
    assert!(page.contains("<a href=\"/r/a/b\">a/b</a>"), "{page}");
    let page = String::from_utf8(registry.get("/r/a/b").body).unwrap();
    assert!(page.contains("docker pull localhost/a/b:v1"), "{page}");
    assert_eq!(registry.get("/v1/_ping").body, b"true");
    assert_eq!(registry.get("/nothing").status, 404);
    assert_eq!(registry.ask("POST", "/v2/a/tags/list", &[], b"").code(), "UNSUPPORTED");
    let metrics = String::from_utf8(registry.get("/metrics").body).unwrap();
    assert!(metrics.contains("handler=\"catalog\",method=\"GET\",code=\"200\",le=\"+Inf\"} 3"), "{metrics}");
}

#[test]
fn addresses_and_headers_are_those_of_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        url: Some("https://registry.example".into()),
        prefix: "/sub".into(),
        headers: vec![("X-A".into(), "1".into()), ("X-A".into(), "2".into())],
        catalog_max: Some(1),
        tags_max: Some(1),
        ..settings(directory.path())
    };
    let registry = Registry::start(settings.clone());
    assert_eq!(registry.get("/v2/").status, 404);
    let begun = registry.ask("POST", "/sub/v2/a/blobs/uploads/", &[], b"");
    let location = begun.header("location");
    assert!(location.starts_with("https://registry.example/sub/v2/a/blobs/uploads/"), "{location}");
    assert_eq!(begun.headers.iter().filter(|(name, _)| name == "x-a").count(), 2);
    let path = location.strip_prefix("https://registry.example").unwrap();
    let digest = Digest::of(b"{}");
    assert_eq!(registry.ask("PUT", &format!("{path}?digest={digest}"), &[], b"{}").status, 201);
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": [],
        "config": { "mediaType": media_type::OCI_CONFIG, "digest": digest.as_str(), "size": 2 } });
    for tag in ["v1", "v2"] {
        let path = format!("/sub/v2/a/manifests/{tag}");
        assert_eq!(registry.ask("PUT", &path, &[], manifest.to_string().as_bytes()).status, 201);
    }
    let tags = registry.get("/sub/v2/a/tags/list");
    assert_eq!(
        (&tags.json()["tags"], tags.header("link")),
        (&json!(["v1"]), "</sub/v2/a/tags/list?n=1&last=v1>; rel=\"next\"")
    );
    assert_eq!(registry.get("/sub/v2/_catalog?n=50").json(), json!({ "repositories": ["a"] }));
    let page = String::from_utf8(registry.get("/sub/").body).unwrap();
    assert!(page.contains("<a href=\"/sub/r/a\">"), "{page}");
    settings.relative_urls = true;
    let registry = Registry::start(settings);
    let begun = registry.ask("POST", "/sub/v2/a/blobs/uploads/", &[], b"");
    assert!(begun.header("location").starts_with("/sub/v2/a/"), "{begun:?}");
}

#[test]
fn what_fails_takes_the_registry_out_of_service_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let down = directory.path().join("down");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let every = Duration::from_millis(20);
    let check = |what| Check { what, every, threshold: 2 };
    let tcp = Checked::Tcp { address: address.to_string(), timeout: Duration::from_secs(5) };
    // Somebody else may take the port in between.
    let debug = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = Registry::start(Settings {
        health: vec![check(Checked::File(down.clone())), check(Checked::Storage), check(tcp)],
        debug: Some(Debug { address: debug, metrics: Some("/numbers".into()) }),
        ..settings(&directory.path().join("data"))
    });
    let aside = |path: &str| {
        let mut stream = TcpStream::connect(debug).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Answer::read(&mut stream)
    };
    assert_eq!((registry.get("/readyz").status, registry.get("/v2/").status), (200, 200));
    assert_eq!((aside("/debug/health").body, aside("/metrics").status), (b"{}".to_vec(), 404));
    assert!(String::from_utf8(aside("/numbers").body).unwrap().contains("wharf_registry_http"));
    std::fs::write(&down, "").unwrap();
    wait_until("the file is seen", || registry.get("/readyz").status == 503);
    let refused = registry.get("/v2/");
    assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"));
    let told = aside("/debug/health");
    assert_eq!((told.status, told.json()), (503, json!({ down.to_str().unwrap(): "file exists" })));
    // It lives, though: nobody needs to start it again.
    assert_eq!(registry.get("/healthz").status, 200);
    std::fs::remove_file(&down).unwrap();
    wait_until("it is well again", || registry.get("/v2/").status == 200);
    drop(taken);
    wait_until("nobody listens there", || registry.get("/readyz").status == 503);
    assert!(registry.get("/readyz").json()[address.to_string()].is_string());
}

#[test]
fn uploads_that_nobody_goes_on_with_are_purged() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::start(settings(directory.path()));
    let begin = || registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    let (old, young, busy) = (begin(), begin(), begin());
    let age = |location: &str| {
        let id = location.rsplit('/').next().unwrap();
        let path = directory.path().join("docker/registry/v2/repositories/a/_uploads").join(id).join("data");
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200)).unwrap();
        file
    };
    age(&old);
    let held = age(&busy);
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let purge = Purge { age: Duration::from_secs(3600), every: Duration::from_millis(20), dry_run: false };
    let _other = Registry::start(Settings { purge: Some(purge), ..settings(directory.path()) });
    wait_until("it is purged", || registry.get(&old).status == 404);
    assert_eq!((registry.get(&young).status, registry.get(&busy).status), (204, 204));
    drop(held);
    wait_until("that one, too", || registry.get(&busy).status == 404);
}
