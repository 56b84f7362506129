//! The clients that people have: what one pushes, each pulls, under the same digest.

use std::path::Path;
use std::process::Command;

use testkit::{Engine, Output};

use crate::kit::{Served, binary, digest_of, good, layout, put, skopeo, tar_of};

fn configuration(root: &Path) -> String {
    format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n",
        root.display()
    )
}

#[test]
fn docker_skopeo_and_podman_push_and_pull() {
    let directory = testkit::directory();
    let home = directory.path();
    let served = Served::start(binary(), &home.join("served"), &configuration(&home.join("data")));
    let host = served.host();
    let image = home.join("image");
    let digest = layout(&image, &tar_of("a", b"of skopeo"));
    put(home, &image, &format!("{host}/app:skopeo"));

    let place = home.join("engine");
    std::fs::create_dir_all(&place).unwrap();
    let engine = Engine::start(binary(), &place);
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
}
