//! Black box, by the door of programs: the libraries that other people's tools are made with, unmodified and from their
//! registries, against an engine of its own. Each lives a container's life in its own words.

mod bollard;

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Engine, Output, busybox_image};

const DOCKER_PY: &str = "docker==7.1.0";
const DOCKERODE: &str = "dockerode@4.0.12";

/// An engine and its directory, with the image `bb`.
struct House {
    // Dropped first: it checks what is left below the directory.
    engine: Engine,
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let directory = testkit::directory();
        let engine = Engine::start(Path::new(env!("CARGO_BIN_EXE_wharf")), directory.path());
        let house = Self { engine, directory };
        let tar = busybox_image(house.directory.path());
        let output = house.engine.wharf(&["import", &tar.display().to_string(), "bb"]);
        assert_eq!(output.status, 0, "{output:?}");
        house
    }

    /// Runs a scenario and compares which of its parts have said that they went well.
    #[track_caller]
    fn run(&self, command: &mut Command, parts: &[&str]) {
        let output = Output::of(command.env("DOCKER_HOST", self.engine.host()));
        let wanted: Vec<String> = parts.iter().map(|part| format!("@ok {part}")).collect();
        let said: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("@ok ")).collect();
        assert!(
            output.status == 0 && said == wanted,
            "{said:?}\n{}\n{}\n{}",
            output.stdout,
            output.stderr,
            self.engine.log()
        );
    }
}

/// The test script asks the registries first, and says in its end what it could not get; by hand it is an error.
fn is_out_of_reach(client: &str) -> bool {
    std::env::var("WHARF_TEST_WITHOUT").is_ok_and(|without| without.split(' ').any(|name| name == client))
}

/// Installs something once for all runs: whole, or not at all.
fn installed(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !place.exists() {
        let staging = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let begun = staging.path().join(name);
        std::fs::create_dir(&begun).unwrap();
        install(&begun);
        // Another run may have been faster.
        let _ = std::fs::rename(begun, &place);
    }
    place
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = Output::of(command);
    assert_eq!(output.status, 0, "{command:?}: {output:?}");
}

#[test]
fn docker_py() {
    if is_out_of_reach("docker-py") {
        return;
    }
    let packages = installed(&format!("pip-{DOCKER_PY}"), |place| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        succeeds(pip.arg(place).arg(DOCKER_PY));
    });
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    python.args(["-W", "ignore", "-c", include_str!("docker_py.py")]);
    let parts = [
        "runs_and_fails",
        "lives",
        "speaks",
        "carries_files",
        "has_volumes_and_networks",
        "is_healthy",
        "tells",
    ];
    House::new().run(&mut python, &parts);
}

#[test]
fn dockerode() {
    if is_out_of_reach("dockerode") {
        return;
    }
    let packages = installed(&format!("npm-{DOCKERODE}"), |place| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--silent"]);
        succeeds(npm.arg("--prefix").arg(place).arg(DOCKERODE));
    });
    let mut node = Command::new("node");
    node.env("NODE_PATH", packages.join("node_modules")).args(["-e", include_str!("dockerode.js")]);
    House::new().run(&mut node, &["runs", "lives", "executes", "attaches", "tells", "keeps"]);
}
