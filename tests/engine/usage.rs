//! `system df`: by name of a container's log, and of engines that answer as older ones did.

use testkit::Output;

use crate::House;

#[test]
fn what_is_logged_is_counted() {
    let house = House::new();
    let line = "head -c 100000 /dev/zero | tr '\\0' x | fold -w 99";
    for (name, options) in [
        ("plain", &[][..]),
        ("turned", &["--log-opt", "max-size=20k", "--log-opt", "max-file=10"]),
        ("local", &["--log-driver", "local"]),
        ("none", &["--log-driver", "none"]),
    ] {
        house.ok(&[&["run", "--name", name], options, &["bb", "sh", "-c", line]].concat());
    }
    let template = "{{range .Containers}}{{.Names}} {{.LogSize}}\n{{end}}";
    let sizes = house.ok(&["system", "df", "-v", "--format", template]);
    let size = |name: &str| {
        let line = sizes.lines().find_map(|line| line.strip_prefix(name)).expect("each has a line");
        line.trim().to_owned()
    };
    assert!(size("plain").ends_with("kB") && size("local").ends_with("kB"), "{sizes}");
    // More than one file of it: what was rotated away counts.
    let turned: f64 = size("turned").trim_end_matches("kB").parse().expect("a size in kB");
    assert!(turned > 40.0, "{sizes}");
    assert_eq!(size("none"), "0B");
    let table = house.ok(&["system", "df", "-v"]);
    assert!(table.contains("LOG SIZE") && table.contains(&size("plain")), "{table}");
    // Docker's table is as Docker's.
    let docker = Output::of(house.engine.client("docker").args(["system", "df", "-v"]));
    assert!(docker.status == 0 && !docker.stdout.contains("LOG SIZE"), "{docker:?}");
}

/// Which answer with the lists alone.
#[test]
fn an_older_engine_s_lists_are_counted() {
    let house = House::new();
    house.ok(&[
        "run",
        "-d",
        "--name",
        "up",
        "-v",
        "held:/v",
        "bb",
        "sh",
        "-c",
        "echo x > /v/x; echo y > /y; sleep 1000",
    ]);
    house.ok(&["run", "--name", "down", "bb", "sh", "-c", "echo some text > /file"]);
    house.ok(&["volume", "create", "free"]);
    let rows = |version: &str| {
        let mut client = house.engine.client("wharf");
        let line =
            ["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}"];
        let got = Output::of(client.args(line).env("DOCKER_API_VERSION", version));
        assert_eq!(got.status, 0, "{got:?}");
        got.stdout
    };
    let newest = rows("1.52");
    assert!(newest.contains("Containers 2 1 ") && newest.contains("Local Volumes 2 1 "), "{newest}");
    assert!(newest.contains("Images 1 1 ") && !newest.contains("Images 1 1 0B"), "{newest}");
    assert_eq!(rows("1.45"), newest);
}
