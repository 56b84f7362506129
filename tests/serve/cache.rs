//! A cache in front of registries that want a password, with clients that have none.

use std::path::Path;

use crate::kit::{Served, binary, digest_of, good, layout, skopeo, tar_of};

/// `secret`, as htpasswd(1) hashes it with `-B`.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

fn origin(program: &Path, home: &Path, name: &str, more: &str) -> Served {
    std::fs::write(home.join("htpasswd"), format!("ann:{HASH}\n")).expect("write a password file");
    let configuration = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/{name}-data}}}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n\
         auth: {{htpasswd: {{realm: R, path: {0}/htpasswd}}}}\n{more}",
        home.display()
    );
    Served::start(program, &home.join(name), &configuration)
}

#[test]
fn what_needs_a_password_there_needs_none_here_and_stays_when_nobody_answers() {
    let directory = testkit::directory();
    let home = directory.path();
    // One asks for the password each time, the other gives tokens for it.
    let basic = origin(Path::new("docker-registry"), home, "basic", "");
    let bearer = origin(binary(), home, "bearer", "wharf: {tokens: true}\n");
    let image = home.join("image");
    let digest = layout(&image, &tar_of("a", b"cached"));
    for host in [basic.host(), bearer.host()] {
        let (source, target) = (format!("oci:{}:it", image.display()), format!("docker://{host}/team/app:1"));
        let args = ["copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds=ann:secret"];
        good(skopeo(home, &[&args[..], &[&source, &target]].concat()));
    }
    let configuration = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/cache-data}}}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n\
         proxy: {{remoteurl: 'http://{1}', username: ann, password: secret}}\n\
         wharf:\n  upstreams:\n    - {{prefix: tokens, remoteurl: 'http://{2}', username: ann, password: secret}}\n    \
         - {{prefix: wrong, remoteurl: 'http://{2}', username: ann, password: guess}}\n",
        home.display(),
        basic.host(),
        bearer.host()
    );
    let pull = |cache: &Served, name: &str, to: &str| {
        let source = format!("docker://{}/{name}", cache.host());
        let target = format!("oci:{}:it", home.join(to).display());
        good(skopeo(home, &["copy", "--src-tls-verify=false", &source, &target]));
        assert_eq!(digest_of(home, &format!("{}/{name}", cache.host())), digest.as_str());
    };
    let cache = Served::start(binary(), &home.join("cache"), &configuration);
    pull(&cache, "team/app:1", "one");
    pull(&cache, "tokens/team/app:1", "two");
    let (status, _, body) = cache.ask("GET", "/v2/wrong/team/app/manifests/1", b"");
    let text = String::from_utf8_lossy(&body);
    assert!(
        status == 403 && text.contains("DENIED") && text.contains("denies this registry access"),
        "{text}"
    );
    drop(basic);
    drop(bearer);
    drop(cache);
    let cache = Served::start(binary(), &home.join("cache"), &configuration);
    pull(&cache, "team/app:1", "three");
    pull(&cache, "tokens/team/app:1", "four");
}
