//! What a push sends, what it says, and that digests stay what they are.

use std::process::Command;

use testkit::Output;

use crate::kit::{Layout, Registry, busybox_tar, engine, good, noise, tar_of};

#[test]
fn what_was_pulled_is_pushed_under_the_same_digest() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let tars = [busybox_tar(), tar_of(&[("big", &noise(3, 5 << 20))])];
    let image = Layout::make(&directory.path().join("image"), "amd64", &tars);
    registry.put(&image, "from/bb:1");
    let engine = engine(&directory.path().join("engine"));
    let host = registry.host();
    let (from, to) = (format!("{host}/from/bb:1"), format!("{host}/to/bb:2"));
    good(engine.wharf(&["pull", "-q", &from]));
    good(engine.wharf(&["tag", &from, &to]));

    let said = good(engine.wharf(&["push", &to]));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("The push refers to repository [{host}/to/bb]"), "{said}");
    for layer in &image.layers {
        // The registry had them, in the repository that they came from.
        assert!(lines.contains(&&*format!("{}: Mounted from from/bb", layer.short())), "{said}");
    }
    let size = std::fs::metadata(directory.path().join("image/blobs/sha256").join(image.manifest.hex()))
        .unwrap()
        .len();
    let end = format!("2: digest: {} size: {size}", image.manifest);
    assert_eq!(*lines.last().unwrap(), end, "{said}");
    assert!(!registry.log().contains("\"PATCH /v2/to/"), "{}", registry.log());

    let requests = registry.log().lines().count();
    let again = good(engine.wharf(&["push", &to]));
    assert!(again.contains("Layer already exists") && again.ends_with(&end), "{again}");
    // One question, and the answer to it.
    assert!(registry.log().lines().count() <= requests + 4, "{}", registry.log());

    // Another registry has nothing of it; Docker's own client asks.
    let other = Registry::start();
    let elsewhere = format!("{}/bb:3", other.host());
    good(engine.wharf(&["tag", &from, &elsewhere]));
    let mut docker = engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    let said = good(Output::of(docker.args(["push", &elsewhere])));
    for layer in &image.layers {
        assert!(said.contains(&format!("{}: Pushed", layer.short())), "{said}");
    }
    assert!(said.ends_with(&format!("3: digest: {} size: {size}", image.manifest)), "{said}");
    let source = format!("docker://{elsewhere}");
    let inspected = Output::of(
        Command::new("skopeo")
            .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}} {{.Layers}}", &source])
            .env("HOME", directory.path()),
    );
    let layers: Vec<String> = image.layers.iter().map(ToString::to_string).collect();
    assert_eq!(good(inspected), format!("{} [{}]", image.manifest, layers.join(" ")));
    let digests = good(engine.wharf(&["image", "inspect", "-f", "{{len .RepoDigests}}", &from]));
    assert_eq!(digests, "3");
}

#[test]
fn an_import_is_pushed_and_comes_back_and_all_tags_go() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let engine = engine(&directory.path().join("engine"));
    let tar = testkit::busybox_image(directory.path());
    let repository = format!("{}/own", registry.host());
    let id = good(engine.wharf(&[
        "import",
        "-c",
        "CMD [\"sh\"]",
        tar.to_str().unwrap(),
        &format!("{repository}:a"),
    ]));
    good(engine.wharf(&["tag", &format!("{repository}:a"), &format!("{repository}:b")]));
    let said = good(engine.wharf(&["push", "-a", &repository]));
    assert!(said.contains("\na: digest: ") && said.contains("\nb: digest: "), "{said}");
    assert_eq!(good(engine.wharf(&["push", "-q", &format!("{repository}:a")])), format!("{repository}:a"));
    good(engine.wharf(&["rmi", "-f", &id]));
    good(engine.wharf(&["pull", "-q", &format!("{repository}:b")]));
    assert_eq!(good(engine.wharf(&["image", "inspect", "-f", "{{.Id}}", &format!("{repository}:b")])), id);
    good(engine.wharf(&["run", "--rm", &format!("{repository}:b"), "true"]));
}

#[test]
fn what_cannot_be_pushed_is_named_in_dockers_words() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let engine = engine(&directory.path().join("engine"));
    let tar = testkit::busybox_image(directory.path());
    let name = format!("{}/own:a", registry.host());
    good(engine.wharf(&["import", tar.to_str().unwrap(), &name]));
    let host = registry.host();
    let says = |what: &str, expected: &str| {
        let said = engine.wharf(&["push", what]);
        assert_eq!((said.status, said.stderr.as_str()), (1, expected), "{what}");
    };
    says(
        &format!("{host}/nosuch"),
        &format!("An image does not exist locally with the tag: {host}/nosuch\n"),
    );
    says(&format!("{host}/own:nosuch"), &format!("tag does not exist: {host}/own:nosuch\n"));
    says(&format!("{name}@sha256:{}", "0".repeat(64)), "cannot push a digest reference\n");
    good(engine.wharf(&["tag", &name, "127.0.0.1:1/own"]));
    says(
        "127.0.0.1:1/own",
        "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused\n",
    );
    let wrong = engine.wharf(&["push", "--platform", "linux/arm64", &name]);
    assert!(wrong.stderr.contains("does not match the specified platform"), "{wrong:?}");
}
