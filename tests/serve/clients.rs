//! The clients that people have: what one pushes, each pulls, under the same digest.

use std::path::Path;
use std::process::Command;

use testkit::{Engine, Moto, Output};

use crate::kit::{Served, binary, digest_of, good, layout, put, skopeo, tar_of};

/// What a registry keeps its things on.
fn on_files(root: &Path, more: &str) -> String {
    format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n{more}",
        root.display()
    )
}

fn in_bucket(moto: &Moto) -> String {
    format!(
        "version: 0.1\nstorage:\n  s3: {{region: us-east-1, bucket: bucket, regionendpoint: '{}', accesskey: a, secretkey: s}}\n  \
         delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n",
        moto.endpoint()
    )
}

fn engine(home: &Path) -> Engine {
    let place = home.join("engine");
    std::fs::create_dir_all(&place).unwrap();
    Engine::start(binary(), &place)
}

#[test]
fn all_push_and_pull_on_a_file_system() {
    let directory = testkit::directory();
    let home = directory.path();
    let served = Served::start(binary(), &home.join("served"), &on_files(&home.join("data"), ""));
    all(home, &served, &engine(home));
}

/// Blobs come from the bucket itself, where the registry sends all of them.
#[test]
fn all_push_and_pull_in_a_bucket() {
    if testkit::is_out_of_reach("moto") {
        return;
    }
    let directory = testkit::directory();
    let home = directory.path();
    let moto = Moto::start(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let served = Served::start(binary(), &home.join("served"), &in_bucket(&moto));
    all(home, &served, &engine(home));
}

#[test]
fn all_push_and_pull_beside_an_engine() {
    let directory = testkit::directory();
    let home = directory.path();
    let engine = engine(home);
    let share = format!("wharf: {{share: {}}}\n", engine.directory().join("data").display());
    let served = Served::start(binary(), &home.join("served"), &on_files(&home.join("data"), &share));
    all(home, &served, &engine);
}

/// What the engine has is not sent, and is one file with two names.
#[test]
fn a_push_to_a_registry_that_shares_with_the_engine_moves_nothing() {
    let directory = testkit::directory();
    let home = directory.path();
    let engine = engine(home);
    let share = format!("wharf: {{share: {}}}\n", engine.directory().join("data").display());
    let served = Served::start(binary(), &home.join("served"), &on_files(&home.join("data"), &share));
    let tar = home.join("layer.tar");
    std::fs::write(&tar, tar_of("large", &vec![b'x'; 3 << 20])).unwrap();
    good(engine.wharf(&["import", tar.to_str().unwrap(), "large:1"]));
    let name = format!("{}/team/large:1", served.host());
    good(engine.wharf(&["tag", "large:1", &name]));
    good(engine.wharf(&["push", "-q", &name]));
    let log = served.log();
    assert!(!log.contains("/blobs/uploads/"), "a blob was sent: {log}");
    let layer = oci::Digest::of(&std::fs::read(&tar).unwrap());
    let inode = |path: std::path::PathBuf| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).ino()
    };
    let hex = layer.hex();
    let here = engine.directory().join("data/content/blobs/sha256").join(hex);
    let there = home.join("data/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
    assert_eq!(inode(here.clone()), inode(there.clone()));
    // Who removes its own leaves the other's.
    good(engine.wharf(&["rmi", "-f", "large:1", &name]));
    assert!(!here.exists() && there.exists());
    good(engine.wharf(&["pull", "-q", &name]));
    good(engine.wharf(&["rmi", "-f", &name]));
    // Who only reads gets nothing of the engine's: it is asked for, and not here.
    good(engine.wharf(&["import", tar.to_str().unwrap(), "large:1"]));
    let (status, ..) = served.ask("GET", &format!("/v2/other/blobs/{layer}"), b"");
    assert_eq!(status, 404);
    // On another file system it cannot be.
    let elsewhere = home.join("elsewhere.yml");
    let share = "wharf: {share: /proc/self/root/sys}\n";
    std::fs::write(&elsewhere, on_files(&home.join("data"), share).replace("{port}", "0")).unwrap();
    let refused = Output::of(Command::new(binary()).args(["registry", "serve"]).arg(&elsewhere));
    assert!(refused.status == 1 && refused.stderr.contains("/sys/content/blobs"), "{refused:?}");
}

/// Each pushes, and each pulls what another pushed, under the same digest.
fn all(home: &Path, served: &Served, engine: &Engine) {
    let host = served.host();
    let image = home.join("image");
    let digest = layout(&image, &tar_of("a", b"of skopeo"));
    put(home, &image, &format!("{host}/app:skopeo"));

    let docker = |args: &[&str]| {
        let mut docker =
            engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
        good(Output::of(docker.args(args)))
    };
    let (from, to) = (format!("{host}/app:skopeo"), format!("{host}/other:docker"));
    docker(&["pull", "-q", &from]);
    docker(&["tag", &from, &to]);
    docker(&["push", "-q", &to]);
    assert_eq!(digest_of(home, &to), digest.as_str());

    let podman = |args: &[&str]| {
        let storage = home.join("podman");
        let mut command = Command::new("podman");
        command
            .args(["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none"])
            .arg(format!("--root={}", storage.join("root").display()))
            .arg(format!("--runroot={}", storage.join("run").display()))
            .args(args)
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home);
        good(Output::of(&mut command))
    };
    let last = format!("{host}/team/last:podman");
    podman(&["pull", "-q", "--tls-verify=false", &to]);
    podman(&["push", "-q", "--tls-verify=false", &to, &last]);
    // podman compresses anew; what it pushed is an image with the same config.
    let config = |name: &str| {
        let source = format!("docker://{name}");
        good(skopeo(home, &["inspect", "--config", "--raw", "--tls-verify=false", &source]))
    };
    assert_eq!(config(&last), config(&from));
    docker(&["pull", "-q", &last]);
    // Its way back, by ours and by skopeo.
    let ours = format!("{host}/ours:1");
    good(engine.wharf(&["tag", &from, &ours]));
    good(engine.wharf(&["push", "-q", &ours]));
    assert_eq!(digest_of(home, &ours), digest.as_str());
    let back = home.join("back");
    let (source, target) = (format!("docker://{ours}"), format!("oci:{}:it", back.display()));
    good(skopeo(home, &["copy", "--preserve-digests", "--src-tls-verify=false", &source, &target]));
    let index = std::fs::read_to_string(back.join("index.json")).unwrap();
    assert!(index.contains(digest.as_str()), "{index}");
    oras(&host);
}

/// Artifacts that are no images, with its own client.
fn oras(host: &str) {
    if testkit::is_out_of_reach("oras") {
        return;
    }
    let packages = testkit::python_package(Path::new(env!("CARGO_TARGET_TMPDIR")), "oras==0.2.43", &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/exams/registry-oras.py");
    let mut python = Command::new("python3");
    assert_eq!(good(Output::of(python.arg(script).arg(host).env("PYTHONPATH", packages))), "oras: good");
}
