//! Images that others build, of Debian's busybox: umoci, buildah, and skopeo, which makes them anew on the way. They load, they come
//! from a registry, and they run: what a layer removed is gone, and what it made is as it was made.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use testkit::{Engine, Output, Served};

use super::{binary, good, text};

/// What the second layer of each does to the first.
const CHANGES: &str = "echo $BUILDER > /etc/made && ln /etc/made /etc/linked && chown 7:8 /etc/made && chmod 4750 /etc/made && \
                       rm -r /etc/gone && rm -r /etc/old && mkdir /etc/old && echo new > /etc/old/new && mkfifo /etc/pipe";
/// How a container sees that.
const LOOK: &str = "pwd; echo $A; cat /etc/made; stat -c '%h %u %g %a' /etc/linked; ls /etc/old; test -p /etc/pipe; test ! -e /etc/gone";

struct Workshop {
    directory: TempDir,
    engine: Engine,
    registry: Served,
}

impl Workshop {
    fn open() -> Workshop {
        let directory = testkit::directory();
        let path = |name: &str| directory.path().join(name);
        // Its contents below one that is empty otherwise, for builders that take a directory.
        let root = path("root");
        for below in ["", "etc", "etc/gone", "etc/old"] {
            std::fs::create_dir_all(root.join(below)).unwrap();
            std::fs::write(root.join(below).join("file"), "old\n").unwrap();
        }
        let tar = super::busybox_image(directory.path());
        run(Command::new("tar").args(["-C", text(&root), "-xf", text(&tar)]));
        std::fs::write(path("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
        std::fs::write(path("registries.conf"), "").unwrap();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            path("storage").display(),
            path("storage-run").display()
        );
        std::fs::write(path("storage.conf"), storage).unwrap();
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{{port}}\n",
            path("registry-data").display()
        );
        let registry = Served::start(Path::new("docker-registry"), &path("registry"), &text);
        std::fs::create_dir(path("wharf")).unwrap();
        let engine = Engine::start(binary(), &path("wharf"));
        Workshop { directory, engine, registry }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// One of their programs, which looks at nothing of this machine's.
    fn tool(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .env("HOME", self.directory.path())
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .env("CONTAINERS_STORAGE_CONF", self.path("storage.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"))
            .current_dir(self.directory.path());
        match program {
            "buildah" => {
                command.args([
                    "--root",
                    text(&self.path("storage")),
                    "--runroot",
                    text(&self.path("storage-run")),
                ]);
                command.args(["--storage-driver", "vfs"]);
            }
            "skopeo" => _ = command.args(["--policy", text(&self.path("policy.json"))]),
            _ => {}
        }
        run(command.args(args))
    }

    fn wharf(&self, words: &[&str]) -> String {
        good(self.engine.wharf(words))
    }

    /// It is here: with these layers, it does what it should, and goes without a trace.
    #[track_caller]
    fn check(&self, name: &str, builder: &str, layers: &str) {
        let here = self.wharf(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", name]);
        assert_eq!(here, layers, "{name} of {builder}");
        assert_eq!(self.wharf(&["run", "--rm", name]), builder);
        let seen = self.wharf(&["run", "--rm", name, "sh", "-c", LOOK]);
        assert_eq!(seen, format!("/tmp\nb\n{builder}\n2 7 8 4750\nnew"), "{name} of {builder}");
        self.wharf(&["rmi", "-f", name]);
        let left: Vec<_> = ["content/blobs/sha256", "content/partial", "snapshots/overlay/layers"]
            .iter()
            .flat_map(|place| std::fs::read_dir(self.engine.directory().join("data").join(place)).unwrap())
            .flatten()
            .map(|entry| entry.path())
            .collect();
        let listed = self.wharf(&["images", "-a"]);
        assert_eq!(left, [] as [PathBuf; 0], "{name} of {builder}: {listed}");
    }

    /// As [`Workshop::check`], of what is in the registry.
    #[track_caller]
    fn check_pull(&self, name: &str, builder: &str, layers: &str) {
        let name = format!("{}/{name}", self.registry.host());
        self.wharf(&["pull", "-q", &name]);
        self.check(&name, builder, layers);
    }
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = Output::of(command);
    assert_eq!(output.status, 0, "{program} (a Debian package): {output:?}");
    output.stdout.trim_end().to_owned()
}

#[test]
fn umoci_and_skopeo() {
    let shop = Workshop::open();
    let (layout, bundle) = (shop.path("layout"), shop.path("bundle"));
    let layout = text(&layout);
    let image = |tag: &str| format!("{layout}:{tag}");
    let rootfs = bundle.join("rootfs");
    let umoci = |args: &[&str]| shop.tool("umoci", args);
    umoci(&["init", "--layout", layout]);
    umoci(&["new", "--image", &image("one")]);
    let again = || {
        let _ = std::fs::remove_dir_all(&bundle);
        umoci(&["unpack", "--image", &image("one"), text(&bundle)]);
    };
    again();
    run(Command::new("cp").args(["-a", &format!("{}/.", shop.path("root").display()), text(&rootfs)]));
    umoci(&["repack", "--image", &image("one"), text(&bundle)]);
    again();
    run(Command::new("chroot").args([text(&rootfs), "sh", "-c", CHANGES]).env("BUILDER", "umoci"));
    umoci(&["repack", "--image", &image("two"), text(&bundle)]);
    let config = ["--config.cmd", "cat", "--config.cmd", "/etc/made", "--config.workingdir", "/tmp"];
    let more = ["--config.env", "PATH=/bin", "--config.env", "A=b"];
    umoci(&[&["config", "--image", &image("two")][..], &config, &more].concat());
    let layers = {
        let said = shop.tool("skopeo", &["inspect", "--config", &format!("oci:{}", image("two"))]);
        let config: serde_json::Value = serde_json::from_str(&said).unwrap();
        config["rootfs"]["diff_ids"].to_string()
    };

    // The layout as it is has only tags, which are no names.
    let tar = shop.path("layout.tar");
    run(Command::new("tar").args(["-C", layout, "-cf", text(&tar), "."]));
    let told = shop.wharf(&["load", "-i", text(&tar)]);
    let ids: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("Loaded image ID: ")).collect();
    let [one, two] = ids[..] else { panic!("two images: {told}") };
    shop.wharf(&["rmi", one]);
    shop.check(two, "umoci", &layers);

    let from = format!("oci:{}", image("two"));
    let skopeo = |args: &[&str]| {
        let fixed = ["copy", "-q", "--dest-tls-verify=false"];
        shop.tool("skopeo", &[&fixed[..], args].concat())
    };
    for kind in ["docker-archive", "oci-archive"] {
        let tar = shop.path(&format!("{kind}.tar"));
        skopeo(&[&from, &format!("{kind}:{}:localhost/umoci:1", text(&tar))]);
        let told = shop.wharf(&["load", "-i", text(&tar)]);
        assert_eq!(told, "Loaded image: localhost/umoci:1", "{kind}");
        shop.check("localhost/umoci:1", "umoci", &layers);
    }
    for (tag, flags) in [
        ("oci", &["--format", "oci"][..]),
        ("v2s2", &["--format", "v2s2"]),
        ("zstd", &["--format", "oci", "--dest-compress-format", "zstd"]),
    ] {
        let name = format!("umoci:{tag}");
        let target = format!("docker://{}/{name}", shop.registry.host());
        skopeo(&[flags, &[&from, &target]].concat());
        shop.check_pull(&name, "umoci", &layers);
    }
}

#[test]
fn buildah() {
    let shop = Workshop::open();
    let file = format!(
        "FROM scratch\nADD root /\nENV PATH=/bin A=b BUILDER=buildah\nRUN {CHANGES}\nWORKDIR /tmp\nCMD [\"cat\",\"/etc/made\"]\n"
    );
    std::fs::write(shop.path("Containerfile"), file).unwrap();
    let policy = shop.path("policy.json");
    let policy = ["--signature-policy", text(&policy)];
    let buildah = |verb: &[&str], args: &[&str]| shop.tool("buildah", &[verb, &policy, args].concat());
    for format in ["oci", "docker"] {
        // An archive of Docker's has all names that the image has there.
        let name = format!("localhost/bud:{format}");
        let bud = ["--isolation", "chroot", "--layers", "--format", format, "-t", &name];
        buildah(&["bud", "-q"], &[&bud[..], &["."]].concat());
        let told = shop.tool("buildah", &["inspect", "--type", "image", &name]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let layers = told["OCIv1"]["rootfs"]["diff_ids"].to_string();
        let id = format!("sha256:{}", told["FromImageID"].as_str().unwrap());
        let tar = shop.path(&format!("{format}.tar"));
        buildah(&["push", "-q"], &[&name, &format!("{format}-archive:{}:{name}", text(&tar))]);
        shop.wharf(&["load", "-i", text(&tar)]);
        assert_eq!(shop.wharf(&["image", "inspect", "-f", "{{.Id}}", &name]), id);
        shop.check(&name, "buildah", &layers);

        let plain = format!("bud:{format}");
        let target = format!("docker://{}/{plain}", shop.registry.host());
        buildah(&["push", "-q", "--tls-verify=false"], &[&name, &target]);
        shop.check_pull(&plain, "buildah", &layers);
        // As one of an index.
        let list = format!("list-{format}");
        shop.tool("buildah", &["manifest", "create", &list, &name]);
        let target = format!("docker://{}/list:{format}", shop.registry.host());
        let flags = ["-q", "--all", "--tls-verify=false", "-f", if format == "oci" { "oci" } else { "v2s2" }];
        buildah(&["manifest", "push"], &[&flags[..], &[&list, &target]].concat());
        shop.check_pull(&format!("list:{format}"), "buildah", &layers);
    }
}
