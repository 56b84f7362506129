//! Images to put into a registry.

use std::path::Path;
use std::process::Command;

use oci::Digest;
use testkit::Output;
pub(crate) use testkit::{DEADLINE, Served, good, wait_until};

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharf"))
}

/// An image as an OCI layout on disk, with one layer of these bytes; its tag there is `it`.
pub(crate) fn layout(directory: &Path, layer: &[u8]) -> Digest {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("make a layout");
    let keep = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).expect("write a blob");
        serde_json::json!({ "digest": digest.as_str(), "size": bytes.len() })
    };
    let typed = |kind: &str, mut descriptor: serde_json::Value| {
        descriptor["mediaType"] = format!("application/vnd.oci.image.{kind}").into();
        descriptor
    };
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(layer).as_str()] } });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": typed("config.v1+json", keep(config.to_string().as_bytes())),
        "layers": [typed("layer.v1.tar", keep(layer))],
    });
    let manifest = manifest.to_string();
    let mut descriptor = typed("manifest.v1+json", keep(manifest.as_bytes()));
    descriptor["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "it" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [descriptor] });
    std::fs::write(directory.join("index.json"), index.to_string()).expect("write index.json");
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("write oci-layout");
    Digest::of(manifest.as_bytes())
}

/// A tar of one file.
pub(crate) fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let directory = testkit::directory();
    std::fs::write(directory.path().join(name), content).expect("write a file");
    let tar = Command::new("tar").arg("-C").arg(directory.path()).args(["-cf", "-", name]).output();
    tar.expect("run tar").stdout
}

/// skopeo, without certificates.
pub(crate) fn skopeo(home: &Path, args: &[&str]) -> Output {
    Output::of(Command::new("skopeo").arg("--insecure-policy").args(args).env("HOME", home))
}

/// Copies the image of a layout to `host/name:tag`.
pub(crate) fn put(home: &Path, layout: &Path, target: &str) {
    let (source, target) = (format!("oci:{}:it", layout.display()), format!("docker://{target}"));
    good(skopeo(home, &["copy", "--preserve-digests", "--dest-tls-verify=false", &source, &target]));
}

/// The digest that a registry has under a name.
pub(crate) fn digest_of(home: &Path, name: &str) -> String {
    let source = format!("docker://{name}");
    good(skopeo(home, &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source]))
}
