//! Images of several platforms under one name: the index stays what it is on every way, and its parts come and go.

use std::collections::BTreeMap;
use std::process::Command;

use oci::Digest;
use serde_json::Value;
use testkit::{Engine, Output};

use crate::kit::{Layout, Registry, busybox_tar, engine, get, good, tar_of};

fn multi(directory: &std::path::Path) -> (Layout, BTreeMap<String, Digest>) {
    // The same busybox for both, so that either runs here.
    let layers = |word: &str| vec![busybox_tar(), tar_of(&[("arch", word.as_bytes())])];
    Layout::make_attested(directory, &[("arm64", layers("arm64")), ("amd64", layers("amd64"))])
}

/// Digest, kind, is it here, and for what: each manifest of the first image.
fn manifests(engine: &Engine, name: &str) -> Vec<(String, String, bool)> {
    let seen = get(engine, &format!("/images/{}/json?manifests=1", name.replace('/', "%2F")));
    let list = seen["Manifests"].as_array().unwrap_or_else(|| panic!("{seen}"));
    list.iter()
        .map(|one| {
            let about = match one["Kind"].as_str().unwrap() {
                "attestation" => format!("of {}", one["AttestationData"]["For"].as_str().unwrap()),
                "image" => one["ImageData"]["Platform"]["architecture"].as_str().unwrap().to_owned(),
                other => other.to_owned(),
            };
            (one["ID"].as_str().unwrap().to_owned(), about, one["Available"].as_bool().unwrap())
        })
        .collect()
}

fn digest_of(engine: &Engine, name: &str) -> String {
    good(engine.wharf(&["image", "inspect", "-f", "{{.Descriptor.digest}}", name]))
}

/// As another's client sees it.
fn digest_there(registry: &Registry, name: &str) -> String {
    let url = format!("http://{}/v2/{}", registry.host(), name.replace(':', "/manifests/"));
    let accept =
        "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    let output = Command::new("curl").args(["-sS", "-H", accept, &url]).output().expect("run curl");
    Digest::of(&output.stdout).to_string()
}

#[test]
fn an_index_keeps_its_digest_through_pull_save_load_and_push() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let (index, parts) = multi(&directory.path().join("image"));
    registry.put(&index, "multi:1");
    let first = engine(&directory.path().join("first"));
    let name = format!("{}/multi:1", registry.host());
    good(first.wharf(&["pull", "-q", &name]));
    assert_eq!(digest_of(&first, &name), index.manifest.to_string());
    let part = |key: &str| parts[key].to_string();
    let about = |key: &str| format!("of {}", part(key));
    let listed = |has_arm: bool| {
        vec![
            (part("arm64"), "arm64".to_owned(), has_arm),
            (part("amd64"), "amd64".to_owned(), true),
            (part("attested-arm64"), about("arm64"), has_arm),
            (part("attested-amd64"), about("amd64"), true),
        ]
    };
    assert_eq!(manifests(&first, &name), listed(false));

    // Not all of it is here, and another registry has nothing: the image goes alone, and it is said so.
    let other = Registry::start();
    let there = format!("{}/multi:1", other.host());
    good(first.wharf(&["tag", &name, &there]));
    let said = good(first.wharf(&["push", &there]));
    let expected = format!(
        "Info -> Not all multiplatform-content is present and only the available single-platform image was pushed\n        {} -> {}",
        index.manifest, parts["amd64"]
    );
    assert!(said.ends_with(&expected), "{said}");
    assert_eq!(digest_there(&other, "multi:1"), part("amd64"));
    // In the registry that has all of it, it goes whole.
    let beside = format!("{}/beside:1", registry.host());
    good(first.wharf(&["tag", &name, &beside]));
    good(first.wharf(&["push", "-q", &beside]));
    assert_eq!(digest_there(&registry, "beside:1"), index.manifest.to_string());

    good(first.wharf(&["pull", "-q", "--platform", "linux/arm64", &name]));
    assert_eq!(manifests(&first, &name), listed(true));
    let ids = good(first.wharf(&["images", "-aq"]));
    let ids: std::collections::BTreeSet<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 1, "its parts are not listed by themselves: {ids:?}");
    for (platform, says) in [("linux/arm64", "arm64"), ("linux/amd64", "amd64")] {
        assert_eq!(good(first.wharf(&["run", "--rm", "--platform", platform, &name, "cat", "/arch"])), says);
    }
    assert_eq!(good(first.wharf(&["run", "--rm", &name, "cat", "/arch"])), "amd64");

    // Through an archive, whole.
    let archive = directory.path().join("multi.tar").display().to_string();
    good(first.wharf(&["save", "-o", &archive, &name]));
    let second = engine(&directory.path().join("second"));
    assert_eq!(good(second.wharf(&["load", "-i", &archive])), format!("Loaded image: {name}"));
    assert_eq!(digest_of(&second, &name), index.manifest.to_string());
    assert_eq!(manifests(&second, &name), listed(true));
    let again = directory.path().join("again.tar").display().to_string();
    good(second.wharf(&["save", "-o", &again, &name]));
    assert!(std::fs::read(&archive).unwrap() == std::fs::read(&again).unwrap(), "the archives differ");

    // And to a registry that has nothing of it, and from there to a third.
    good(second.wharf(&["tag", &name, &there]));
    let mut docker = second.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    let said = good(Output::of(docker.args(["push", &there])));
    assert!(said.contains(&format!("1: digest: {} size: ", index.manifest)), "{said}");
    assert_eq!(digest_there(&other, "multi:1"), index.manifest.to_string());
    good(second.wharf(&["rmi", "-f", &name, &there]));
    assert_eq!(good(second.wharf(&["images", "-aq"])), "");
    let left = std::fs::read_dir(second.directory().join("data/content/blobs/sha256")).unwrap().count();
    assert_eq!(left, 0, "blobs of what is gone");
    good(second.wharf(&["pull", "-q", "--platform", "linux/arm64", &there]));
    assert_eq!(digest_of(&second, &there), index.manifest.to_string());
    // Only the one is here, and so it is what runs.
    assert_eq!(good(second.wharf(&["run", "--rm", &there, "cat", "/arch"])), "arm64");
}

#[test]
fn parts_are_removed_saved_and_pushed_by_platform() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let (index, parts) = multi(&directory.path().join("image"));
    registry.put(&index, "multi:1");
    let mut engine = engine(&directory.path().join("engine"));
    let name = format!("{}/multi:1", registry.host());
    let w = |engine: &Engine, words: &[&str]| good(engine.wharf(words));
    w(&engine, &["pull", "-q", &name]);
    w(&engine, &["pull", "-q", "--platform", "linux/arm64", &name]);
    let none = engine.wharf(&["image", "inspect", "--platform", "linux/s390x", &name]);
    assert!(
        none.stderr.contains(&format!(
            "image with reference {name} was found but does not provide the specified platform (linux/s390x)"
        )),
        "{none:?}"
    );
    let history = w(&engine, &["history", "-q", "--no-trunc", "--platform", "linux/arm64", &name]);
    let id = ["image", "inspect", "--platform", "linux/arm64", "-f", "{{.Id}}", &name];
    // There is no history in these configs; but the image is the right one.
    assert_eq!(history, "");
    let arm = w(&engine, &id);
    assert_eq!(w(&engine, &["image", "inspect", "-f", "{{.Architecture}}", &arm]), "arm64");

    let tree = w(&engine, &["images", "--tree"]);
    let lines: Vec<&str> =
        tree.lines().map(|line| line.split_whitespace().nth(1).unwrap_or_default()).collect();
    assert_eq!(lines[2..4], ["linux/arm64", "linux/amd64"], "{tree}");

    // One platform is an image of its own in an archive, several are the index.
    let archive = directory.path().join("one.tar").display().to_string();
    let unpacked = |archive: &str| -> Value {
        let output = Command::new("tar").args(["-xOf", archive, "index.json"]).output().expect("run tar");
        serde_json::from_slice(&output.stdout).expect("an index")
    };
    w(&engine, &["save", "--platform", "linux/arm64", "-o", &archive, &name]);
    assert_eq!(unpacked(&archive)["manifests"][0]["digest"], parts["arm64"].to_string());
    w(&engine, &["save", "--platform", "linux/arm64,linux/amd64", "-o", &archive, &name]);
    assert_eq!(unpacked(&archive)["manifests"][0]["digest"], index.manifest.to_string());
    let wrong = engine.wharf(&["save", "--platform", "linux/s390x", "-o", &archive, &name]);
    assert_eq!(wrong.status, 1, "{wrong:?}");

    // A push of one platform is of that manifest.
    let pushed = format!("{}/arm:1", registry.host());
    w(&engine, &["tag", &name, &pushed]);
    w(&engine, &["push", "-q", "--platform", "linux/arm64", &pushed]);
    assert_eq!(digest_there(&registry, "arm:1"), parts["arm64"].to_string());
    w(&engine, &["rmi", &pushed]);

    // By its digest it goes as by its id.
    w(&engine, &["tag", &name, "more:1"]);
    let several = engine.wharf(&["rmi", index.manifest.as_ref()]);
    assert!(several.stderr.contains("must be forced"), "{several:?}");
    w(&engine, &["rmi", "more:1"]);

    // In use, it stays; then only the other is left, and all of it in the end.
    w(&engine, &["create", "--name", "held", "--platform", "linux/arm64", &name, "true"]);
    let used = engine.wharf(&["rmi", "--platform", "linux/arm64", &name]);
    assert!(used.stderr.contains("must be forced"), "{used:?}");
    w(&engine, &["rm", "held"]);
    let said = w(&engine, &["rmi", "--platform", "linux/arm64", &name]);
    assert!(said.starts_with(&format!("Deleted: {arm}\nDeleted: sha256:")), "{said}");
    let here = |engine: &Engine| -> Vec<bool> {
        manifests(engine, &name).into_iter().map(|(_, _, available)| available).collect()
    };
    assert_eq!(here(&engine), [false, true, false, true]);
    // The records say so, too.
    engine.kill();
    engine.run();
    assert_eq!(here(&engine), [false, true, false, true]);
    assert_eq!(digest_of(&engine, &name), index.manifest.to_string());
    let gone = engine.wharf(&["run", "--rm", "--pull", "never", "--platform", "linux/arm64", &name, "true"]);
    assert!(gone.stderr.contains("does not provide the specified platform (linux/arm64)"), "{gone:?}");
    assert_eq!(
        w(&engine, &["run", "--rm", "-q", "--platform", "linux/arm64", &name, "cat", "/arch"]),
        "arm64"
    );
    w(&engine, &["rmi", "--platform", "linux/amd64", &name]);
    assert_eq!(w(&engine, &["run", "--rm", &name, "cat", "/arch"]), "arm64");
    let last = w(&engine, &["rmi", "--platform", "linux/arm64", &name]);
    assert!(last.contains(&format!("Untagged: {name}")), "{last}");
    assert_eq!(w(&engine, &["images", "-aq"]), "");
    let left = std::fs::read_dir(engine.directory().join("data/content/blobs/sha256")).unwrap().count();
    assert_eq!(left, 0);
}
