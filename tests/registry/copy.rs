//! Between registries: what there is, and images that go from one to another without a copy here.

use std::process::Command;

use testkit::{Engine, Output};

use crate::kit::{Layout, Proxy, Registry, busybox_tar, engine, good, noise, tar_of};

/// The digest of what a tag names, and the digests in it if it is an index; by another's client.
fn raw(registry: &Registry, name: &str) -> String {
    let source = format!("docker://{}/{name}", registry.host());
    good(Output::of(
        Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false", &source])
            .env("HOME", "/nonexistent"),
    ))
}

fn nothing_stays(engine: &Engine) {
    assert_eq!(good(engine.wharf(&["images", "-aq"])), "");
    for place in ["content/blobs/sha256", "content/partial", "content/ingest"] {
        let left = std::fs::read_dir(engine.directory().join("data").join(place)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{place}");
    }
}

#[test]
fn an_index_is_copied_with_all_its_platforms() {
    let directory = testkit::directory();
    let (here, there) = (Registry::start(), Registry::start());
    let shared = busybox_tar();
    let (image, platforms) = Layout::make_index(
        &directory.path().join("image"),
        &[
            ("amd64", vec![shared.clone(), tar_of(&[("own", &noise(1, 9 << 20))])]),
            ("arm64", vec![shared, tar_of(&[("own", b"arm\n")])]),
        ],
    );
    here.put(&image, "team/app:1");
    // The registry's connections break off twice on the way.
    let proxy = Proxy::start(here.port);
    proxy.cut_at(3 << 20);
    let engine = engine(&directory.path().join("engine"));
    let (from, to) = (format!("{}/team/app:1", proxy.host()), format!("{}/mirror/app", there.host()));
    let said = good(engine.wharf(&["image", "copy", &from, &to]));
    assert!(said.starts_with(&format!("Copying {from} to {to}:1\n")), "{said}");
    assert!(said.contains("Copied linux/arm64") && said.contains("Copied linux/amd64"), "{said}");
    assert!(said.contains(&format!("1: digest: {} size: ", image.manifest)), "{said}");
    assert_eq!(raw(&there, "mirror/app:1"), raw(&here, "team/app:1"));
    for manifest in platforms.values() {
        let by_digest = format!("mirror/app@{manifest}");
        assert_eq!(raw(&there, &by_digest), raw(&here, &format!("team/app@{manifest}")));
    }
    nothing_stays(&engine);

    let requests = there.log().lines().count();
    let again = good(engine.wharf(&["image", "copy", &from, &format!("{to}:1")]));
    assert!(again.contains("All of it is there"), "{again}");
    assert!(there.log().lines().count() <= requests + 4, "{}", there.log());

    // Within a registry nothing moves.
    let sibling = format!("{}/other/app:2", there.host());
    let said = good(engine.wharf(&["image", "copy", "-q", &format!("{to}:1"), &sibling]));
    assert_eq!(said, sibling);
    assert!(!there.log().contains("\"PATCH /v2/other/"), "{}", there.log());
    assert_eq!(
        good(engine.wharf(&["run", "--rm", &sibling, "stat", "-c", "%s", "/own"])),
        (9 << 20).to_string()
    );
    assert_eq!(good(engine.wharf(&["tags", &format!("{}/other/app", there.host())])), "2");
}

#[test]
fn tags_are_listed_and_what_cannot_be_copied_is_told() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let image = Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]);
    for tag in ["b", "a", "1.0"] {
        registry.put(&image, &format!("app:{tag}"));
    }
    let engine = engine(&directory.path().join("engine"));
    let repository = format!("{}/app", registry.host());
    assert_eq!(good(engine.wharf(&["tags", &repository])), "1.0\na\nb");
    let says = |args: &[&str]| {
        let said = engine.wharf(args);
        assert_eq!(said.status, 1, "{said:?}");
        said.stderr
    };
    assert!(says(&["tags", &format!("{repository}:a")]).contains("a repository is wanted"));
    let missing = format!("{}/nosuch", registry.host());
    assert!(says(&["tags", &missing]).contains("not found: name unknown"), "{}", says(&["tags", &missing]));
    assert!(says(&["image", "copy", &missing, &repository]).contains("not found: manifest unknown"));
    let digest = format!("{repository}@{}", image.manifest);
    assert_eq!(says(&["image", "copy", &repository, &digest]), "cannot copy to a digest reference\n");
    // By its digest, it gets a tag of its own.
    let to = format!("{repository}:fresh");
    assert_eq!(good(engine.wharf(&["image", "copy", "-q", &digest, &to])), to);
    assert_eq!(raw(&registry, "app:fresh"), raw(&registry, "app:a"));
}

#[test]
fn a_registry_is_searched() {
    let directory = testkit::directory();
    let engine = engine(&directory.path().join("engine"));
    good(engine.wharf(&["run", "-d", "--name", "reg", "-p", "127.0.0.1::5000", "registry"]));
    let host = crate::builtin::address(&engine, "reg");
    for name in ["busybox", "team/busybox", "team/other"] {
        let name = format!("{host}/{name}:1");
        good(engine.wharf(&["tag", "registry", &name]));
        good(engine.wharf(&["push", "-q", &name]));
    }
    let term = format!("{host}/busybox");
    let table = good(engine.wharf(&["search", &term]));
    let wanted = "NAME           DESCRIPTION   STARS     OFFICIAL\nbusybox                      0         [OK]\nteam/busybox                 0";
    assert_eq!(table, wanted);
    let mut docker = engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    assert_eq!(good(Output::of(docker.args(["search", &term]))), wanted);
    let official = good(engine.wharf(&["search", "-f", "is-official=true", "--format", "{{.Name}}", &term]));
    assert_eq!(official, "busybox");
    let limited = good(engine.wharf(&["search", "--limit", "1", "--format", "json", &term]));
    let json = "{\"Description\":\"\",\"IsAutomated\":\"\",\"IsOfficial\":\"[OK]\",\"Name\":\"busybox\",\"StarCount\":\"0\"}";
    assert_eq!(limited, json);
    assert_eq!(good(engine.wharf(&["search", "-f", "stars=1", "--format", "{{.Name}}", &term])), "");
    let says = |args: &[&str]| engine.wharf(&[&["search"], args].concat()).stderr;
    assert_eq!(
        says(&["--limit", "101", &term]),
        "Error response from daemon: limit 101 is outside the range of [1, 100]\n"
    );
    assert!(says(&["-f", "nope=1", &term]).contains("invalid filter 'nope'"));
    assert!(says(&["http://x/y"]).contains("repository name (http://x/y) should not have a scheme"));
    // A registry that does not search.
    let registry = Registry::start();
    let said = says(&[&format!("{}/x", registry.host())]);
    assert!(said.contains("Unexpected status code 404") || said.contains("not found"), "{said}");
}
