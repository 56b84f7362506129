//! Black box: images between Wharf and what others make and read: Docker, skopeo and podman; and trees that containers
//! make, which nobody else would.

mod builders;
mod garbage;
mod import;
mod layout;
mod usage;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Engine, Output, busybox_image};

/// Long enough for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharf"))
}

#[track_caller]
fn good(output: Output) -> String {
    assert_eq!(output.status, 0, "{output:?}");
    output.stdout.trim_end().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

/// Debian's dockerd, in namespaces of its own.
struct Docker {
    daemon: Child,
    socket: PathBuf,
}

impl Docker {
    fn start(directory: &Path) -> Docker {
        std::fs::create_dir_all(directory).expect("make Docker's directory");
        let path = |name: &str| directory.join(name).display().to_string();
        std::fs::write(path("daemon.json"), "{}\n").expect("write Docker's configuration");
        let log = std::fs::File::create(path("log")).expect("make Docker's log");
        let command = format!(
            "ip link set lo up; exec dockerd --config-file {d}/daemon.json --data-root {d}/data --exec-root {d}/exec \
             --pidfile {d}/pid -H unix://{d}/sock --bridge=none --iptables=false --ip-forward=false --ip-masq=false",
            d = directory.display()
        );
        // A session of its own: dockerd's containerd ends with it.
        let daemon = Command::new("unshare")
            .args(["-n", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", &command])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("start dockerd (Debian: docker.io)");
        let docker = Docker { daemon, socket: directory.join("sock") };
        let deadline = Instant::now() + DEADLINE;
        while docker.ask(&["version"]).status != 0 {
            let said = || std::fs::read_to_string(path("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "dockerd does not answer: {}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
        docker
    }

    fn ask(&self, words: &[&str]) -> Output {
        Output::of(
            Command::new("/usr/bin/docker")
                .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
                .args(words)
                .stdin(Stdio::null()),
        )
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // The PID namespace goes with its first process, and all of Docker with it.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// `id` and the digests of the unpacked layers: what no copy may change.
fn identity(output: Output) -> String {
    good(output)
}

const IDENTITY: &str = "{{.Id}} {{json .RootFS.Layers}}";

#[test]
fn between_docker_skopeo_podman_and_wharf() {
    let directory = testkit::directory();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let base = busybox_image(directory.path());
    let docker = Docker::start(&directory.path().join("docker"));
    std::fs::write(path("hi"), "hi\n").expect("write a file");
    let d = |words: &[&str]| good(docker.ask(words));
    d(&["import", "--change", "CMD [\"sh\"]", "--change", "LABEL x=y", text(&base), "one:1"]);
    d(&["tag", "one:1", "one:2"]);
    d(&["tag", "one:1", "registry.example/a/b:c"]);
    for (from, to, file) in [("one:1", "two:1", "/etc/hi"), ("two:1", "three:1", "/etc/again")] {
        let container = d(&["create", from, "x"]);
        d(&["cp", &path("hi"), &format!("{container}:{file}")]);
        d(&["commit", "--change", "CMD [\"cat\",\"/etc/hi\"]", &container, to]);
        d(&["rm", &container]);
    }
    // Docker 20's archive: a directory per layer, and links between equal ones.
    let names = ["one:1", "one:2", "registry.example/a/b:c", "two:1", "three:1"];
    d(&[&["save", "-o", &path("docker.tar")], &names[..]].concat());
    let wanted: Vec<String> =
        names.iter().map(|name| identity(docker.ask(&["image", "inspect", "-f", IDENTITY, name]))).collect();

    let place = directory.path().join("wharf");
    std::fs::create_dir(&place).expect("make the engine's directory");
    let engine = Engine::start(binary(), &place);
    let w = |words: &[&str]| good(engine.wharf(words));
    let has = |name: &str| identity(engine.wharf(&["image", "inspect", "-f", IDENTITY, name]));
    let clear = || {
        let all = w(&["images", "-q", "--no-trunc"]);
        let mut ids: Vec<&str> = all.lines().collect();
        ids.dedup();
        ids.iter().for_each(|id| drop(w(&["rmi", "-f", id])));
        assert_eq!(w(&["images", "-aq"]), "");
    };
    for (how, packed) in
        [("", "docker.tar"), ("gzip", "docker.gz"), ("xz -1", "docker.xz"), ("zstd", "docker.zst")]
    {
        if !how.is_empty() {
            let line = format!("{how} -c < {} > {}", path("docker.tar"), path(packed));
            good(Output::of(Command::new("sh").args(["-c", &line])));
        }
        let told = w(&["load", "-i", &path(packed)]);
        assert!(names.iter().all(|name| told.contains(&format!("Loaded image: {name}"))), "{told}");
        for (name, wanted) in names.iter().zip(&wanted) {
            assert_eq!(&has(name), wanted, "{name} from {packed}");
        }
        assert_eq!(w(&["run", "--rm", "three:1"]), "hi");
        if packed != "docker.zst" {
            clear();
        }
    }

    // And back, to each of them.
    w(&["save", "-o", &path("wharf.tar"), "one:1", "two:1", "three:1"]);
    d(&["rmi", "-f", "one:1", "one:2", "registry.example/a/b:c", "two:1", "three:1"]);
    d(&["load", "-i", &path("wharf.tar")]);
    for name in ["one:1", "two:1", "three:1"] {
        let again = identity(docker.ask(&["image", "inspect", "-f", IDENTITY, name]));
        assert_eq!(again, has(name), "{name} read by docker");
    }
    drop(docker);
    let skopeo =
        |words: &[&str]| good(Output::of(Command::new("skopeo").arg("--insecure-policy").args(words)));
    let podman = |words: &[&str]| {
        let (root, run) = (path("podman"), path("podman-run"));
        let flags =
            ["--root", &root, "--runroot", &run, "--storage-driver", "vfs", "--events-backend", "file"];
        good(Output::of(
            Command::new("podman").args(flags).args(["--cgroup-manager", "cgroupfs"]).args(words),
        ))
    };
    let ours = format!("docker-archive:{}:three:1", path("wharf.tar"));
    podman(&["load", "-i", &path("wharf.tar")]);
    let read =
        podman(&["image", "inspect", "-f", "sha256:{{.Id}} {{json .RootFS.Layers}}", "localhost/three:1"]);
    assert_eq!(read, has("three:1"), "read by podman");

    // What they make of it, they make with configs of their own; the layers are the same.
    let layers = w(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", "three:1"]);
    skopeo(&["copy", "-q", &ours, &format!("docker-archive:{}:s/docker:1", path("skopeo.tar"))]);
    skopeo(&["copy", "-q", &ours, &format!("oci-archive:{}:docker.io/s/archive:1", path("skopeo-oci.tar"))]);
    skopeo(&["copy", "-q", &ours, &format!("oci:{}:plain", path("layout"))]);
    good(Output::of(Command::new("tar").args(["-C", &path("layout"), "-cf", &path("layout.tar"), "."])));
    podman(&["save", "-q", "-o", &path("podman.tar"), "localhost/three:1"]);
    podman(&["save", "-q", "--format", "oci-archive", "-o", &path("podman-oci.tar"), "localhost/three:1"]);
    podman(&["save", "-q", "-m", "-o", &path("podman-two.tar"), "localhost/one:1", "localhost/two:1"]);
    clear();
    for (archive, name) in [
        ("skopeo.tar", "s/docker:1"),
        ("skopeo-oci.tar", "s/archive:1"),
        ("podman.tar", "localhost/three:1"),
        ("podman-oci.tar", "localhost/three:1"),
    ] {
        let told = w(&["load", "-i", &path(archive)]);
        assert!(told.contains(&format!("Loaded image: {name}")), "{archive}: {told}");
        assert_eq!(w(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", name]), layers, "{archive}");
        assert_eq!(w(&["run", "--rm", name]), "hi", "{archive}");
    }
    let told = w(&["load", "-i", &path("layout.tar")]);
    assert!(told.contains("Loaded image ID: sha256:"), "a bare tag is no name: {told}");
    w(&["load", "-i", &path("podman-two.tar")]);
    assert_eq!(w(&["run", "--rm", "localhost/two:1"]), "hi");
    clear();
    for place in ["content/blobs/sha256", "content/ingest", "snapshots/overlay/layers"] {
        let left = std::fs::read_dir(engine.directory().join("data").join(place)).expect("list it").count();
        assert_eq!(left, 0, "{place}");
    }
}

fn imported(directory: &Path) -> Engine {
    let tar = busybox_image(directory);
    let place = directory.join("engine");
    std::fs::create_dir(&place).expect("make the engine's directory");
    let engine = Engine::start(binary(), &place);
    good(engine.wharf(&["import", text(&tar), "bb"]));
    engine
}

/// A container makes a tree deeper than any path may be long: it is measured and removed, and the engine goes on.
#[test]
fn a_containers_tree_may_be_deeper_than_a_path() {
    let directory = testkit::directory();
    let engine = imported(directory.path());
    let line = "n=0; while [ $n -lt 3000 ]; do mkdir d && cd -P d 2>/dev/null || exit 3; : > f; n=$((n+1)); done; echo made";
    let made = engine.wharf(&["run", "--name", "deep", "-w", "/", "bb", "sh", "-c", line]);
    assert!(made.stdout.contains("made"), "{made:?}");
    good(engine.wharf(&["ps", "-as"]));
    good(engine.wharf(&["rm", "deep"]));
    let containers = engine.directory().join("data/snapshots/overlay");
    let empty = |name: &str| std::fs::read_dir(containers.join(name)).expect("list it").next().is_none();
    let deadline = Instant::now() + DEADLINE;
    while !(empty("containers") && empty("tmp")) {
        assert!(Instant::now() < deadline, "the tree is still there\n{}", engine.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(good(engine.wharf(&["run", "--rm", "bb", "echo", "fine"])), "fine");
}

/// Events name the image, not its name; a layer is no image.
#[test]
fn what_happens_to_an_image_is_told() {
    let directory = testkit::directory();
    let engine = imported(directory.path());
    let id = good(engine.wharf(&["image", "inspect", "-f", "{{.Id}}", "bb"]));
    good(engine.wharf(&["tag", "bb", "more:1"]));
    good(engine.wharf(&["rmi", "more:1"]));
    let removed = good(engine.wharf(&["rmi", "bb"]));
    assert_eq!(
        removed.lines().filter(|line| line.starts_with("Deleted: ")).count(),
        2,
        "image and layer: {removed}"
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let until = (now.as_secs() + 1).to_string();
    let format = "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}";
    let events = good(engine.wharf(&[
        "events",
        "--since",
        "1",
        "--until",
        &until,
        "--filter",
        "type=image",
        "--format",
        format,
    ]));
    let wanted = [
        format!("tag {id} more:1"),
        format!("untag {id} more:1"),
        format!("untag {id} bb:latest"),
        format!("delete {id} {id}"),
    ];
    let seen: Vec<&str> = events.lines().filter(|line| !line.starts_with("import")).collect();
    assert_eq!(seen, wanted);
}
