//! OCI layouts that say no name, as BuildKit and skopeo leave them.

use std::path::Path;
use std::process::Command;

use oci::Digest;
use serde_json::{Value, json};

use super::{good, imported, text};

fn keep(directory: &Path, content: &[u8]) -> Value {
    let digest = Digest::of(content);
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("make a layout");
    std::fs::write(blobs.join(digest.hex()), content).expect("write a blob");
    json!({ "digest": digest, "size": content.len() })
}

fn typed(kind: &str, mut descriptor: Value) -> Value {
    descriptor["mediaType"] = format!("application/vnd.oci.image.{kind}+json").into();
    descriptor
}

/// A manifest of one file that says the word.
fn image(directory: &Path, architecture: &str, word: &str) -> Value {
    let place = directory.join("files");
    std::fs::create_dir_all(&place).expect("make a directory");
    std::fs::write(place.join("word"), word).expect("write a file");
    let tar = Command::new("tar").arg("-C").arg(&place).args(["-cf", "-", "word"]).output().expect("run tar");
    let config = json!({ "architecture": architecture, "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&tar.stdout)] } });
    let mut layer = keep(directory, &tar.stdout);
    layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
    let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": typed("config.v1", keep(directory, config.to_string().as_bytes())), "layers": [layer] });
    let mut descriptor = typed("manifest.v1", keep(directory, manifest.to_string().as_bytes()));
    descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
    descriptor
}

fn archive(directory: &Path, descriptors: &[Value]) -> String {
    let index = json!({ "schemaVersion": 2, "manifests": descriptors });
    std::fs::write(directory.join("index.json"), index.to_string()).expect("write index.json");
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("write oci-layout");
    let tar = directory.join("layout.tar");
    let mut command = Command::new("tar");
    command.arg("-C").arg(directory).arg("-cf").arg(&tar).args(["blobs", "index.json", "oci-layout"]);
    assert!(command.status().expect("run tar").success());
    text(&tar).to_owned()
}

#[test]
fn an_index_without_a_name_is_kept_whole_until_it_has_one() {
    let directory = testkit::directory();
    let mut engine = imported(directory.path());
    let place = directory.path().join("layout");
    let members = [image(&place, "arm64", "of arm"), image(&place, "amd64", "of amd")];
    let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": members });
    let index = typed("index.v1", keep(&place, index.to_string().as_bytes()));
    let digest = index["digest"].as_str().expect("a digest").to_owned();
    let tar = archive(&place, &[index]);

    let told = good(engine.wharf(&["load", "-i", &tar]));
    let id = told.strip_prefix("Loaded image ID: ").unwrap_or_else(|| panic!("{told}")).to_owned();
    assert!(!id.contains('\n'), "{told}");
    let inspect = |engine: &testkit::Engine, what: &str, name: &str| {
        good(engine.wharf(&["image", "inspect", "-f", what, name]))
    };
    let seen = "{{.Architecture}} {{.Descriptor.digest}} {{.RepoTags}} {{.RepoDigests}}";
    assert_eq!(inspect(&engine, seen, &id), format!("amd64 {digest} [] []"));
    let dangling = good(engine.wharf(&["images", "-q", "--no-trunc", "-f", "dangling=true"]));
    assert_eq!(dangling, id, "one image, not two");
    // It is there when the engine comes back, and in an archive by its id.
    engine.kill();
    engine.run();
    assert_eq!(inspect(&engine, seen, &id), format!("amd64 {digest} [] []"));
    let saved = directory.path().join("saved.tar");
    good(engine.wharf(&["save", "-o", text(&saved), &id]));
    // With a name it is the same, and goes with the name.
    good(engine.wharf(&["tag", &id, "multi:1"]));
    assert_eq!(inspect(&engine, "{{.Descriptor.digest}}", "multi:1"), digest);
    let word = ["image", "inspect", "--platform", "linux/arm64", "-f", "{{.Architecture}}", "multi:1"];
    assert_eq!(good(engine.wharf(&word)), "arm64");
    // What has a name gets no other.
    good(engine.wharf(&["load", "-q", "-i", &tar]));
    let gone = good(engine.wharf(&["rmi", "multi:1"]));
    assert!(gone.starts_with("Untagged: multi:1\nDeleted: ") && !gone.contains("invalid"), "{gone}");
    assert_eq!(good(engine.wharf(&["images", "-q", "-f", "dangling=true"])), "");

    good(engine.wharf(&["load", "-q", "-i", &tar]));
    let gone = good(engine.wharf(&["rmi", &id]));
    assert!(gone.starts_with("Deleted: ") && !gone.contains("Untagged"), "{gone}");
    good(engine.wharf(&["load", "-q", "-i", &tar]));
    good(engine.wharf(&["image", "prune", "-f"]));
    assert_eq!(good(engine.wharf(&["images", "-q", "-f", "dangling=true"])), "");
}

#[test]
fn images_without_names_are_in_nobodys_way() {
    let directory = testkit::directory();
    let engine = imported(directory.path());
    let place = directory.path().join("layout");
    let members =
        [image(&place, "arm64", "one"), image(&place, "amd64", "two"), image(&place, "amd64", "three")];
    let tar = archive(&place, &members);
    let told = good(engine.wharf(&["load", "-i", &tar]));
    assert_eq!(told.matches("Loaded image ID: sha256:").count(), 3, "{told}");
    let listed = good(engine.wharf(&["images", "-q", "-f", "dangling=true"]));
    assert_eq!(listed.lines().count(), 3, "{listed}");
    good(engine.wharf(&["image", "prune", "-f"]));
    good(engine.wharf(&["load", "--platform", "linux/arm64", "-i", &tar]));
    assert_eq!(good(engine.wharf(&["images", "-q", "-f", "dangling=true"])).lines().count(), 1);
}
