//! What a pull brings in, what it says, and how it fails.

use testkit::Output;

use crate::kit::{Layout, Registry, busybox_tar, engine, good, noise, tar_of};

fn three_layers(directory: &std::path::Path) -> Layout {
    let tars = [
        busybox_tar(),
        tar_of(&[("one", b"1\n"), ("etc/both", b"lower\n")]),
        tar_of(&[("two", b"2\n"), ("etc/both", b"upper\n"), (".wh.one", b"")]),
    ];
    Layout::make(directory, "amd64", &tars)
}

#[test]
fn an_image_is_pulled_runs_and_is_up_to_date() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let image = three_layers(&directory.path().join("image"));
    registry.put(&image, "team/bb:1");
    let engine = engine(&directory.path().join("engine"));
    let name = format!("{}/team/bb:1", registry.host());

    let said = good(engine.wharf(&["pull", &name]));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "1: Pulling from team/bb", "{said}");
    for layer in &image.layers {
        for status in ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"] {
            assert!(lines.contains(&&*format!("{}: {status}", layer.short())), "{status}: {said}");
        }
    }
    let end = [
        format!("Digest: {}", image.manifest),
        format!("Status: Downloaded newer image for {name}"),
        name.clone(),
    ];
    assert_eq!(lines[lines.len() - 3..], end, "{said}");

    let digests = good(engine.wharf(&["image", "inspect", "-f", "{{json .RepoDigests}} {{.Id}}", &name]));
    let repository = format!("{}/team/bb", registry.host());
    assert_eq!(digests, format!("[\"{repository}@{}\"] {}", image.manifest, image.config));
    let read = good(engine.wharf(&[
        "run",
        "--rm",
        &name,
        "sh",
        "-c",
        "cat two etc/both; ls one 2>&1; stat -c %a /",
    ]));
    assert_eq!(read, "2\nupper\nls: one: No such file or directory\n755");
    good(engine.wharf(&["run", "--rm", &format!("{repository}@{}", image.manifest), "true"]));

    let before = registry.log().matches("GET /v2/team/bb/").count();
    let again = good(engine.wharf(&["pull", &name]));
    let expected = format!(
        "1: Pulling from team/bb\nDigest: {}\nStatus: Image is up to date for {name}\n{name}",
        image.manifest
    );
    assert_eq!(again, expected);
    // Its digest is asked for, and nothing else.
    assert_eq!(registry.log().matches("GET /v2/team/bb/").count(), before);
    assert_eq!(good(engine.wharf(&["pull", "-q", &name])), name);

    // Pulled by its digest, it is the same image.
    let by_digest = format!("{repository}@{}", image.manifest);
    let said = good(engine.wharf(&["pull", &by_digest]));
    assert!(said.ends_with(&format!("Status: Image is up to date for {by_digest}\n{by_digest}")), "{said}");

    // Gone, it comes again, for Docker's own client.
    good(engine.wharf(&["rmi", "-f", image.config.as_ref()]));
    assert_eq!(good(engine.wharf(&["images", "-q"])), "");
    let mut docker = engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    let said = good(Output::of(docker.args(["pull", &name])));
    assert!(said.ends_with(&format!("Status: Downloaded newer image for {name}\n{name}")), "{said}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let until = (now + 1).to_string();
    let events = good(engine.wharf(&[
        "events",
        "--since",
        "1",
        "--until",
        &until,
        "-f",
        "event=pull",
        "--format",
        "{{.Actor.ID}} {{json .Actor.Attributes}}",
    ]));
    let last = events.lines().last().unwrap_or_default();
    assert_eq!(last, format!("{name} {{\"name\":\"{repository}\"}}"), "{events}");
}

#[test]
fn a_platform_is_chosen_and_all_tags_come() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let layers = |word: &str| vec![busybox_tar(), tar_of(&[("arch", word.as_bytes())])];
    let platforms = [("arm64", layers("arm64")), ("amd64", layers("amd64"))];
    let (index, manifests) = Layout::make_index(&directory.path().join("image"), &platforms);
    registry.put(&index, "multi:1");
    registry.put(&index, "multi:2");
    let engine = engine(&directory.path().join("engine"));
    let name = format!("{}/multi", registry.host());

    let said = good(engine.wharf(&["pull", "-a", &name]));
    assert!(said.ends_with(&format!("Status: Downloaded newer image for {name}\n{name}")), "{said}");
    let tags = good(engine.wharf(&["images", "--digests", "--format", "{{.Tag}} {{.Digest}}", &name]));
    let mut tags: Vec<&str> = tags.lines().collect();
    tags.sort_unstable();
    // The digest is the index's, whatever platform was taken of it.
    assert_eq!(tags, [format!("1 {}", index.manifest), format!("2 {}", index.manifest)]);
    assert_eq!(good(engine.wharf(&["run", "--rm", &format!("{name}:1"), "cat", "/arch"])), "amd64");

    let one = format!("{name}:1");
    good(engine.wharf(&["pull", "--platform", "linux/arm64", &one]));
    // This machine's has the name, where both are here.
    assert_eq!(good(engine.wharf(&["image", "inspect", "-f", "{{.Architecture}}", &one])), "amd64");
    let other =
        ["image", "inspect", "--platform", "linux/arm64", "-f", "{{.Architecture}} {{json .RepoTags}}", &one];
    assert_eq!(good(engine.wharf(&other)), format!("arm64 [\"{name}:1\",\"{name}:2\"]"));
    let wrong = engine.wharf(&["pull", "--platform", "linux/s390x", &one]);
    assert_eq!(wrong.status, 1);
    assert_eq!(
        wrong.stderr,
        "Error response from daemon: no matching manifest for linux/s390x in the manifest list entries\n"
    );
    // One that is for a single platform comes all the same, with a warning.
    let by_digest = format!("{name}@{}", manifests["amd64"]);
    let said = good(engine.wharf(&["pull", "--platform", "linux/arm64", &by_digest]));
    assert!(said.contains("WARNING: image with reference"), "{said}");
}

#[test]
fn what_is_missing_is_named_in_dockers_words() {
    let directory = testkit::directory();
    let registry = Registry::start();
    registry.put(&Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]), "bb:1");
    let engine = engine(&directory.path().join("engine"));
    let host = registry.host();
    let says = |args: &[&str], expected: String| {
        let said = engine.wharf(args);
        assert_eq!((said.status, said.stderr), (1, expected));
    };
    says(
        &["pull", &format!("{host}/bb:2")],
        format!(
            "Error response from daemon: manifest for {host}/bb:2 not found: manifest unknown: manifest unknown\n"
        ),
    );
    says(
        &["pull", "-a", &format!("{host}/nosuch")],
        format!(
            "Error response from daemon: repository {host}/nosuch not found: name unknown: repository name not known to \
             registry\n"
        ),
    );
    says(
        &["pull", "127.0.0.1:1/x"],
        "Error response from daemon: Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused\n"
            .to_owned(),
    );
    let foreign = engine.wharf(&["pull", "no-such-host.invalid/x"]).stderr;
    let expected = "Error response from daemon: Get \"https://no-such-host.invalid/v2/\": dial tcp: lookup no-such-host.invalid";
    assert!(foreign.starts_with(expected), "{foreign}");
    assert_eq!(good(engine.wharf(&["images", "-aq"])), "");
}

#[test]
fn run_pulls_what_is_missing_and_asks_nobody_for_what_is_there() {
    let directory = testkit::directory();
    let registry = Registry::start();
    registry.put(&Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]), "bb:1");
    let engine = engine(&directory.path().join("engine"));
    let name = format!("{}/bb:1", registry.host());
    let never = engine.wharf(&["run", "--rm", "--pull", "never", &name, "true"]);
    assert_eq!(never.status, 125);
    assert!(never.stderr.contains(&format!("No such image: {name}")), "{never:?}");
    let first = engine.wharf(&["run", "--rm", &name, "echo", "hi"]);
    assert_eq!((first.status, &*first.stdout), (0, "hi\n"), "{first:?}");
    let expected = format!("Unable to find image '{name}' locally\n1: Pulling from bb\n");
    assert!(first.stderr.starts_with(&expected), "{first:?}");
    let requests = registry.log();
    let second = engine.wharf(&["run", "--rm", &name, "echo", "hi"]);
    assert_eq!((second.status, &*second.stderr), (0, ""));
    assert_eq!(registry.log(), requests);
    let always = engine.wharf(&["run", "--rm", "--pull", "always", &name, "echo", "hi"]);
    assert!(always.stderr.contains("Status: Image is up to date for"), "{always:?}");
    let missing = engine.wharf(&["run", "--rm", &format!("{}/bb:nosuch", registry.host())]);
    assert_eq!(missing.status, 125);
    assert!(missing.stderr.contains("not found: manifest unknown: manifest unknown"), "{missing:?}");
}

#[test]
fn pulls_at_the_same_time_share_what_they_have_in_common() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let (bottom, shared) = (busybox_tar(), tar_of(&[("shared", &noise(1, 4 << 20))]));
    let mut layers = std::collections::BTreeSet::new();
    let names: Vec<String> = (0..3)
        .map(|number| {
            let own = tar_of(&[("own", &noise(10 + number, 1 << 20))]);
            let place = directory.path().join(format!("image{number}"));
            let image = Layout::make(&place, "amd64", &[bottom.clone(), shared.clone(), own]);
            registry.put(&image, &format!("app:{number}"));
            layers.extend(image.layers);
            format!("{}/app:{number}", registry.host())
        })
        .collect();
    let engine = engine(&directory.path().join("engine"));
    std::thread::scope(|scope| {
        for name in names.iter().chain(&names) {
            let engine = &engine;
            scope.spawn(move || good(engine.wharf(&["pull", name])));
        }
    });
    for name in &names {
        good(engine.wharf(&["run", "--rm", name, "test", "-s", "/shared"]));
    }
    // Each layer was asked for once, by whoever came first.
    let log = registry.log();
    for layer in &layers {
        let fetched = log.matches(&format!("\"GET /v2/app/blobs/{layer} ")).count();
        assert_eq!(fetched, 1, "{layer}:\n{log}");
    }
}

#[test]
fn mirrors_are_asked_first_for_any_registry() {
    let directory = testkit::directory();
    let mirror = Registry::start();
    let image = Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]);
    mirror.put(&image, "library/bb:1");
    mirror.put(&image, "team/bb:1");
    let place = directory.path().join("engine");
    std::fs::create_dir_all(&place).unwrap();
    let (url, dead) = (format!("http://{}", mirror.host()), "http://127.0.0.1:1");
    let other = format!("example.invalid={url}");
    let flags = ["--registry-mirror", dead, "--registry-mirror", &url, "--registry-mirror", &other];
    let engine = testkit::Engine::start_with(crate::kit::binary(), &place, &flags);
    let said = good(engine.wharf(&["pull", "bb:1"]));
    assert!(said.ends_with("Status: Downloaded newer image for bb:1\ndocker.io/library/bb:1"), "{said}");
    assert!(mirror.log().contains("/v2/library/bb/manifests/"), "{}", mirror.log());
    good(engine.wharf(&["pull", "example.invalid/team/bb:1"]));
    assert!(mirror.log().contains("/v2/team/bb/manifests/"), "{}", mirror.log());
    let told = good(engine.wharf(&["info", "-f", "{{json .RegistryConfig.Mirrors}}"]));
    assert_eq!(told, format!("[\"{dead}\",\"{url}\"]"));
}
