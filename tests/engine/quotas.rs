//! What may take so much of the disk and no more, on btrfs. ext4 and xfs are in `tests/v2`: the kernel that tests run on
//! may lack their quotas.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Engine;

use crate::{House, binary, eventually};

/// Its data root is a btrfs of its own, in the engine's mount namespace.
struct OnBtrfs {
    house: House,
    _disk: tempfile::TempDir,
}

impl OnBtrfs {
    fn start(flags: &[&str]) -> Self {
        let disk = testkit::directory();
        let image = disk.path().join("disk");
        std::fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        assert!(Command::new("mkfs.btrfs").arg("-q").arg(&image).status().unwrap().success());
        let house = house_on(disk.path(), &format!("-o loop {}", image.display()), flags);
        Self { house, _disk: disk }
    }

    /// The data root, as the engine sees it.
    fn data(&self) -> PathBuf {
        let data = self.house.engine.directory().join("data");
        format!("/proc/{}/root{}", self.house.engine.pid().unwrap(), data.display()).into()
    }

    /// How many quota groups have a limit.
    fn limits(&self) -> usize {
        // The file system cleans up twice a minute, or when it is told to.
        assert!(
            Command::new("btrfs").args(["filesystem", "sync"]).arg(self.data()).status().unwrap().success()
        );
        let shown = Command::new("btrfs").args(["qgroup", "show", "-e", "--raw"]).arg(self.data()).output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        let limited =
            |line: &&str| line.starts_with("0/") && !line.split_whitespace().any(|word| word == "none");
        shown.lines().filter(limited).count()
    }

    /// A container or volume takes 10 MB, and not 40.
    #[track_caller]
    fn is_limited(&self, options: &[&str], directory: &str) {
        let line = format!(
            "cd {directory} && head -c 10m /dev/zero > a && sync -f a; dd if=/dev/zero of=b bs=1M count=40; echo $?; rm b; echo ok > c; cat c"
        );
        let mut words = vec!["run", "--rm"];
        words.extend(options);
        words.extend(["bb", "sh", "-c", &line]);
        let got = self.house.run(&words);
        assert_eq!(got.stdout, "1\nok\n", "{got:?}");
        assert!(got.stderr.contains("quota exceeded") || got.stderr.contains("No space left"), "{got:?}");
    }
}

/// An engine whose data root is mounted in its own mount namespace. `place` is for its program.
fn house_on(place: &Path, mount: &str, flags: &[&str]) -> House {
    // A loop device that a former engine had may still be on its way.
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = daemon ] || exec {wharf} \"$@\"\nexec unshare -m sh -ec '\
         D=$WHARF_TEST_DIRECTORY/data; mkdir -p $D; \
         until mount {mount} $D 2>/dev/null; do sleep 0.1; done; exec {wharf} \"$@\"' sh \"$@\"\n",
        wharf = binary().display(),
    );
    let wharf = place.join("wharf");
    std::fs::write(&wharf, text).unwrap();
    std::fs::set_permissions(&wharf, std::fs::Permissions::from_mode(0o755)).unwrap();
    let directory = testkit::directory();
    let engine = Engine::start_with(&wharf, directory.path(), flags);
    let house = House { engine, directory };
    house.import(&[]);
    house
}

fn limits_hold(driver: &str) {
    let mut on = OnBtrfs::start(&["--storage-driver", driver]);
    assert_eq!(on.house.ok(&["info", "--format", "{{.Driver}}"]), driver);
    let keep = on.house.sh(&[], "head -c 40m /dev/zero | tee /f | wc -c");
    assert_eq!(keep, (40 << 20).to_string(), "who asks for no limit has none");
    on.is_limited(&["--storage-opt", "size=30m"], "/");
    assert!(eventually(|| on.limits() == 0), "the limit goes with the container");

    on.house.ok(&[
        "create",
        "--name",
        "kept",
        "--storage-opt",
        "size=30m",
        "bb",
        "sh",
        "-c",
        "head -c 40m /dev/zero > /f",
    ]);
    assert_eq!(on.house.inspect("kept", "{{json .HostConfig.StorageOpt}}"), r#"{"size":"30m"}"#);
    on.house.ok(&["volume", "create", "-o", "size=30m", "limited"]);
    assert_eq!(on.house.inspect("limited", "{{json .Options}}"), r#"{"size":"30m"}"#);
    on.is_limited(&["-v", "limited:/v"], "/v");
    on.is_limited(&["--mount", "type=volume,src=other,dst=/v,size=30m"], "/v");
    assert_eq!(on.limits(), 3);

    // The next engine knows of them, and they are where they were.
    on.house.engine.terminate();
    on.house.engine.run();
    assert_eq!(on.limits(), 3);
    assert_eq!(on.house.inspect("kept", "{{json .HostConfig.StorageOpt}}"), r#"{"size":"30m"}"#);
    assert_eq!(on.house.run(&["start", "-a", "kept"]).status, 1);
    on.house.sh(&["-v", "limited:/v"], "test $(cat /v/c) = ok && rm /v/*");
    on.is_limited(&["-v", "limited:/v"], "/v");
    let (status, said) = on.house.fails(&["volume", "create", "-o", "size=1g", "limited"]);
    assert_eq!(
        (status, said.as_str()),
        (1, "Error response from daemon: create limited: there is a volume limited already, with size=30m\n")
    );
    on.house.ok(&["volume", "create", "-o", "size=30m", "limited"]);
    on.house.ok(&["volume", "rename", "limited", "renamed"]);
    on.house.sh(&["-v", "renamed:/v"], "rm /v/*");
    on.is_limited(&["-v", "renamed:/v"], "/v");

    // Copies have it as well, and what is imported has the one that is asked for.
    on.house.ok(&["volume", "clone", "renamed", "copy"]);
    assert_eq!(on.house.inspect("copy", "{{json .Options}}"), r#"{"size":"30m"}"#);
    let archive = on.house.engine.directory().join("data.tar");
    on.house.ok(&["volume", "export", "-o", &archive.display().to_string(), "renamed"]);
    on.house.ok(&["volume", "import", "--opt", "size=30m", "in", &archive.display().to_string()]);
    for name in ["copy", "in"] {
        on.house.sh(&["-v", &format!("{name}:/v")], "rm /v/*");
        on.is_limited(&["-v", &format!("{name}:/v")], "/v");
    }
    // More than fits is no volume at all.
    let (status, said) =
        on.house.fails(&["volume", "import", "--opt", "size=1m", "little", &archive.display().to_string()]);
    assert!(status == 1 && said.contains("disk quota exceeded"), "{said}");
    let (_, said) =
        on.house.fails(&["volume", "import", "--opt", "type=nfs", "nfs", &archive.display().to_string()]);
    assert!(said.contains("only a size can be given to an import"), "{said}");
    assert_eq!(
        on.house.ok(&["volume", "ls", "-q"]).lines().filter(|name| ["little", "nfs"].contains(name)).count(),
        0
    );
    on.house.ok(&["volume", "rm", "copy", "in"]);
    // Nor is half of what an image has at its place.
    on.house.ok(&[
        "run",
        "--name",
        "source",
        "bb",
        "sh",
        "-c",
        "mkdir /data; head -c 4m /dev/urandom | tee /data/a > /data/b",
    ]);
    on.house.ok(&["commit", "source", "filled"]);
    on.house.ok(&["volume", "create", "-o", "size=5m", "tight"]);
    for mount in ["src=tight,dst=/data", "src=fresh,dst=/data,size=5m"] {
        let mount = format!("type=volume,{mount}");
        for _ in 0..2 {
            let (_, said) = on.house.fails(&["run", "--rm", "--mount", &mount, "filled", "true"]);
            assert!(said.contains("disk quota exceeded"), "{mount}: {said}");
        }
        let emptied = mount.replace("dst=/data", "dst=/v");
        assert_eq!(on.house.sh(&["--mount", &emptied], "ls -A /v"), "", "{mount}");
    }
    on.house.ok(&["rm", "source"]);
    on.house.ok(&["volume", "rm", "tight", "fresh"]);

    on.house.ok(&["rm", "kept"]);
    on.house.ok(&["volume", "rm", "renamed", "other"]);
    on.house.sh(&["--mount", "type=volume,dst=/v,size=30m"], "touch /v/a");
    assert!(eventually(|| on.limits() == 0), "all limits go: {} are left", on.limits());
}

#[test]
fn limits_of_the_btrfs_driver() {
    limits_hold("btrfs");
}

#[test]
fn limits_of_overlay2_on_btrfs() {
    limits_hold("overlay2");
}

#[test]
fn the_engine_may_say_how_much_all_have() {
    let on = OnBtrfs::start(&["--storage-driver", "overlay2", "--storage-opt", "overlay2.size=30m"]);
    on.is_limited(&[], "/");
    assert_eq!(on.house.sh(&["--storage-opt", "size=1g"], "head -c 40m /dev/zero > /f; echo $?"), "0");
}

/// In memory there are no quotas, whatever the kernel can.
#[test]
fn where_nothing_limits_it_is_said() {
    let program = testkit::directory();
    let house = house_on(program.path(), "-t tmpfs none", &[]);
    let data = house.engine.directory().join("data");
    let place = format!("/proc/{}/root{}", house.engine.pid().unwrap(), data.display());
    let place = Path::new(&place);
    let (status, said) = house.fails(&["run", "--storage-opt", "size=1g", "bb", "true"]);
    assert_eq!(status, 125);
    let text = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option: ";
    assert!(
        said.contains(text) && said.contains(" is on tmpfs, which has no quotas of directories"),
        "{said}"
    );
    let (status, said) = house.fails(&["volume", "create", "-o", "size=1g", "vol"]);
    assert_eq!(status, 1);
    assert!(said.contains("create vol: quota size requested but no quota support: "), "{said}");
    for (option, text) in [("size=much", "invalid size: 'much'"), ("color=red", "Unknown option color")] {
        let (_, said) = house.fails(&["create", "--storage-opt", option, "bb", "true"]);
        assert!(said.contains(text), "{said}");
    }
    // Nothing of them is left.
    assert_eq!(house.ok(&["ps", "-aq"]) + &house.ok(&["volume", "ls", "-q"]), "");
    assert_eq!(std::fs::read_dir(place.join("snapshots/overlay/containers")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(place.join("volumes")).map_or(0, Iterator::count), 0);
}

#[test]
fn an_engine_that_cannot_limit_does_not_start() {
    let program = testkit::directory();
    let mut house = house_on(program.path(), "-t tmpfs none", &[]);
    house.engine.terminate();
    for (option, text) in [
        (
            "overlay2.size=1g",
            "Storage option overlay2.size not supported. Filesystem does not support Project Quota: ",
        ),
        ("dm.basesize=1g", "error initializing graphdriver: overlay2: unknown option dm.basesize"),
    ] {
        let output = house.engine.daemon().args(["--storage-opt", option]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(text), "{said}");
    }
    house.engine.run();
}
