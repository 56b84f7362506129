//! The built-in `registry` image: started as people start Docker's, and good for the same.

use testkit::{Engine, Output};

use crate::kit::{binary, engine, good, wait_until};

/// The address on this host under which a container's registry answers.
pub(crate) fn address(engine: &Engine, container: &str) -> String {
    let address = good(engine.wharf(&["port", container, "5000/tcp"]));
    let address = address.lines().next().expect("a published port").to_owned();
    wait_until("the registry answers", || std::net::TcpStream::connect(&address).is_ok());
    address
}

#[test]
fn it_runs_without_a_network_and_takes_and_gives_images() {
    let directory = testkit::directory();
    let place = directory.path().join("engine");
    std::fs::create_dir_all(&place).unwrap();
    // Whoever asks the Hub fails.
    let engine = Engine::start_with(binary(), &place, &["--https-proxy", "http://127.0.0.1:1"]);
    let tar = testkit::busybox_image(directory.path());
    let id = good(engine.wharf(&["import", "-c", "CMD [\"sh\"]", tar.to_str().unwrap(), "bb"]));

    let run = engine.wharf(&[
        "run",
        "-d",
        "--name",
        "reg",
        "-p",
        "127.0.0.1::5000",
        "-v",
        "data:/var/lib/registry",
        "registry",
    ]);
    assert!(run.stderr.contains("Made registry:latest from this binary"), "{run:?}");
    good(run);
    let name = format!("{}/team/bb:1", address(&engine, "reg"));
    good(engine.wharf(&["tag", "bb", &name]));
    good(engine.wharf(&["push", &name]));
    good(engine.wharf(&["rmi", "bb", &name]));
    assert_eq!(good(engine.wharf(&["run", "--rm", &name, "echo", "hi"])), "hi");
    good(engine.wharf(&["rmi", &name]));
    let docker = |args: &[&str]| {
        let mut docker =
            engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
        good(Output::of(docker.args(args)))
    };
    docker(&["pull", &name]);
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", &name]), id);

    // In the container, as Docker's documentation says it.
    let swept = good(engine.wharf(&[
        "exec",
        "reg",
        "registry",
        "garbage-collect",
        "--dry-run",
        "/etc/docker/registry/config.yml",
    ]));
    assert!(swept.ends_with("0 blobs (0 bytes) and 0 uploads would be removed"), "{swept}");

    // Another one on the same data, by another name: what was pushed is there, and nothing may be added.
    good(engine.wharf(&["rm", "-f", "reg"]));
    docker(&[
        "run",
        "-d",
        "--name",
        "again",
        "-p",
        "127.0.0.1::5000",
        "-v",
        "data:/var/lib/registry",
        "-e",
        "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true",
        "registry:2",
    ]);
    let host = address(&engine, "again");
    let name = format!("{host}/team/bb:1");
    docker(&["pull", &name]);
    let other = format!("{host}/team/bb:2");
    docker(&["tag", &name, &other]);
    let refused = engine.wharf(&["push", &other]);
    assert!(refused.status != 0 && refused.stderr.contains("read-only"), "{refused:?}");
}

#[test]
fn its_config_is_dockers_and_what_it_cannot_do_is_told() {
    let directory = testkit::directory();
    let engine = engine(&directory.path().join("engine"));
    good(engine.wharf(&["pull", "-q", "-a", "registry"]));
    let of = |name: &str| {
        let format = "{{.Id}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.Volumes}} {{json .Config.ExposedPorts}}";
        good(engine.wharf(&["image", "inspect", "-f", format, name]))
    };
    let wanted = "[\"/entrypoint.sh\"] [\"/etc/docker/registry/config.yml\"] {\"/var/lib/registry\":{}} {\"5000/tcp\":{}}";
    for name in ["registry", "registry:2", "registry:3"] {
        assert_eq!(of(name), format!("{} {wanted}", of("registry").split(' ').next().unwrap()), "{name}");
    }
    let again = good(engine.wharf(&["pull", "registry"]));
    assert!(again.contains("Status: Image is up to date for registry:latest"), "{again}");

    let none = engine.wharf(&["run", "--rm", "registry", "sh", "-c", "true"]);
    assert_eq!(none.status, 127, "{none:?}");
    // Mounted at version 3's place, and found at version 2's.
    let config = directory.path().join("own.yml");
    std::fs::write(&config, "version: 0.1\nstorage:\n  gcs:\n    bucket: b\n").unwrap();
    let mount = format!("{}:/etc/distribution/config.yml", config.display());
    let refused = engine.wharf(&["run", "--rm", "-v", &mount, "registry:3"]);
    assert!(refused.status != 0 && refused.stderr.contains("storage.gcs is not supported"), "{refused:?}");
}
