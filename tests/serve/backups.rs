//! Volumes in a registry of ours, and back: the artifact, what is in it, and what is left when somebody ends in the middle.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use testkit::{Engine, Output, busybox_image};

use crate::kit::{Served, binary, good, wait_until};

fn configuration(root: &Path) -> String {
    format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n",
        root.display()
    )
}

/// What does not get smaller.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_ne_bytes()
    };
    (0..length / 8).flat_map(|_| next()).collect()
}

struct House {
    engine: Engine,
    served: Served,
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let directory = testkit::directory();
        let home = directory.path();
        let served = Served::start(binary(), &home.join("served"), &configuration(&home.join("registry")));
        let place = home.join("engine");
        std::fs::create_dir_all(&place).expect("make a directory");
        let engine = Engine::start(binary(), &place);
        let house = Self { engine, served, directory };
        let tar = busybox_image(house.directory.path()).display().to_string();
        house.ok(&["import", &tar, "bb"]);
        house
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        good(self.engine.wharf(words))
    }

    #[track_caller]
    fn fails(&self, words: &[&str]) -> String {
        let got = self.engine.wharf(words);
        assert_ne!(got.status, 0, "{words:?}: {got:?}");
        got.stderr
    }

    fn sh(&self, volume: &str, line: &str) -> String {
        self.ok(&["run", "--rm", "-v", &format!("{volume}:/x"), "bb", "sh", "-c", line])
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.served.host())
    }

    fn data(&self, volume: &str) -> PathBuf {
        PathBuf::from(self.ok(&["volume", "inspect", "-f", "{{.Mountpoint}}", volume]))
    }

    /// Uploads that the registry has begun and not finished.
    fn uploads(&self) -> usize {
        let repositories = self.directory.path().join("registry/docker/registry/v2/repositories");
        let mut found = 0;
        let mut open = vec![repositories];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.file_name() == "_uploads" {
                    found += std::fs::read_dir(entry.path()).into_iter().flatten().count();
                } else if entry.path().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        found
    }
}

const MAKE: &str = "mkdir /x/d; echo kept > /x/d/f; ln /x/d/f /x/hard; ln -s d/f /x/link; chown -R 5:6 /x; chmod 4750 /x/hard; \
                    truncate -s 300M /x/sparse; echo end >> /x/sparse";
const LOOK: &str = "cat /x/link; stat -c '%u %g %a %h' /x/d/f; stat -c '%u' /x; stat -c %s /x/sparse; tail -c 4 /x/sparse; \
                    [ $(du -k /x/sparse | cut -f1) -lt 1000 ] && echo holes";
const SEEN: &str = "kept\n5 6 4750 2\n5\n314572804\nend\nholes";

#[test]
fn a_volume_goes_to_a_registry_and_comes_back() {
    let house = House::new();
    house.ok(&["volume", "create", "--label", "tier=gold", "--label", "com.example/a=b=c", "data"]);
    house.sh("data", MAKE);
    // What only a faithful archive has: an attribute, and an access list.
    let file = house.data("data").join("d/f");
    rustix::fs::setxattr(&file, "user.note", b"kept", rustix::fs::XattrFlags::empty()).expect("an attribute");
    let list = [
        2u8, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
        16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
    ];
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&file, "system.posix_acl_access", &list, flags).expect("an access list");
    // The list says what the file's permissions are.
    let seen = SEEN.replace("4750", "4640");
    assert_eq!(house.sh("data", LOOK), seen);

    let to = house.at("backups/data:monday");
    let said = house.ok(&["volume", "backup", "data", "--to", &to]);
    let last = said.lines().last().expect("a line");
    let digest = last.strip_prefix("monday: digest: ").and_then(|rest| rest.split(' ').next()).expect(last);
    let (status, head, manifest) = house.served.ask("GET", "/v2/backups/data/manifests/monday", b"");
    assert!(status == 200 && head.contains(digest), "{head}");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("a manifest");
    assert_eq!(manifest["artifactType"], "application/vnd.wharf.volume.v1");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.wharf.volume.data.v1.tar+zstd");
    assert!(manifest["layers"][0]["size"].as_u64().expect("a size") < 1 << 20, "{manifest}");
    assert_eq!(manifest["annotations"]["vnd.wharf.volume.name"], "data");
    assert_eq!(manifest["annotations"]["vnd.wharf.volume.label.com.example/a"], "b=c");
    assert_eq!(house.uploads(), 0);

    // As it was called, where that is free; by its digest, under another name, with a label more.
    let said = house.fails(&["volume", "restore", "--from", &to]);
    assert!(said.contains("volume name data is already in use"), "{said}");
    let by_digest = house.at(&format!("backups/data@{digest}"));
    let said = house.ok(&["volume", "restore", "--from", &by_digest, "--label", "tier=silver", "copy"]);
    assert_eq!(said.lines().last(), Some("copy"), "{said}");
    house.ok(&["volume", "rm", "data"]);
    house.ok(&["volume", "restore", "-q", "--from", &to]);
    for (name, tier) in [("data", "gold"), ("copy", "silver")] {
        assert_eq!(house.sh(name, LOOK), seen, "{name}");
        let labels = house.ok(&["volume", "inspect", "-f", "{{json .Labels}}", name]);
        assert_eq!(labels, format!(r#"{{"com.example/a":"b=c","tier":"{tier}"}}"#));
        let file = house.data(name).join("d/f");
        let mut value = [0; 64];
        let length = rustix::fs::getxattr(&file, "user.note", &mut value[..]).expect("the attribute");
        assert_eq!(&value[..length], b"kept");
        let length =
            rustix::fs::getxattr(&file, "system.posix_acl_access", &mut value[..]).expect("the list");
        assert_eq!(value[..length], list);
    }
    // Until the second is over in which the backup may have been.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let until = (now.as_secs() + 1).to_string();
    let wanted = ["--filter", "event=backup", "--format", "{{json .Actor}}"];
    let events = house.ok(&[&["events", "--since", "1", "--until", &until], &wanted[..]].concat());
    assert!(events.contains(digest) && events.contains("backups/data:monday"), "{events}");
    // Quiet, and again: what comes of it is the same data.
    let again = house.ok(&["volume", "backup", "-q", "data", "--to", &house.at("backups/data")]);
    assert!(again.starts_with(&house.at("backups/data@sha256:")), "{again}");

    // What is not there, and what is no backup.
    let said = house.fails(&["volume", "backup", "nosuch", "--to", &to]);
    assert!(said.contains("get nosuch: no such volume"), "{said}");
    let said = house.fails(&["volume", "restore", "--from", &house.at("backups/none:1"), "other"]);
    assert!(said.contains("restore ") && said.contains("backups/none:1: "), "{said}");
    let image = house.at("image:1");
    house.ok(&["tag", "bb", &image]);
    house.ok(&["push", "-q", &image]);
    let said = house.fails(&["volume", "restore", "--from", &image, "other"]);
    assert!(said.contains("it is no backup of a volume but application/vnd."), "{said}");
    let said = house.fails(&["volume", "backup", "data"]);
    assert!(said.contains("--to is missing"), "{said}");
    assert_eq!(house.ok(&["volume", "ls", "-q"]), "copy\ndata");
}

#[test]
fn a_file_has_name_and_labels_as_well() {
    let house = House::new();
    house.ok(&["volume", "create", "--label", "tier=gold", "data"]);
    house.sh("data", MAKE);
    let path = house.directory.path().join("data.tar");
    let place = path.display().to_string();
    assert_eq!(house.ok(&["volume", "backup", "data", "--to", &place]), place);
    // Everybody's tar reads it.
    let listed = good(Output::of(std::process::Command::new("tar").args(["-tf", &place])));
    assert!(listed.lines().any(|line| line.ends_with("d/f")), "{listed}");
    house.ok(&["volume", "rm", "data"]);
    assert_eq!(house.ok(&["volume", "restore", "--from", &place]), "data");
    assert_eq!(house.sh("data", LOOK), SEEN);
    assert_eq!(house.ok(&["volume", "inspect", "-f", "{{json .Labels}}", "data"]), r#"{"tier":"gold"}"#);
    // An archive of somebody's says nothing, and needs a name.
    let plain = house.directory.path().join("plain.tar").display().to_string();
    house.ok(&["volume", "export", "-o", &plain, "data"]);
    let said = house.fails(&["volume", "restore", "--from", &plain]);
    assert!(said.contains("does not say what the volume was called"), "{said}");
    assert_eq!(house.ok(&["volume", "restore", "--from", &plain, "other"]), "other");
}

#[test]
fn who_ends_in_the_middle_leaves_nothing() {
    let mut house = House::new();
    house.ok(&["volume", "create", "data"]);
    let data = house.data("data");
    for n in 0..6 {
        std::fs::write(data.join(format!("noise{n}")), noise(n, 32 << 20)).expect("write much");
    }
    let to = house.at("backups/data:1");
    let begin = |house: &House, words: &[&str]| {
        let mut client = house.engine.client("wharf");
        client.args(words).stdout(Stdio::null()).stderr(Stdio::null());
        client.spawn().expect("start a client")
    };
    // The client: the registry is told, and the volume is let go.
    let mut client = begin(&house, &["volume", "backup", "data", "--to", &to]);
    wait_until("it is on its way", || house.uploads() > 0);
    client.kill().expect("kill the client");
    client.wait().expect("wait for it");
    wait_until("the registry has nothing of it", || house.uploads() == 0);
    let (status, ..) = house.served.ask("GET", "/v2/backups/data/manifests/1", b"");
    assert_eq!(status, 404);
    wait_until("nobody holds the volume", || {
        house.engine.wharf(&["volume", "rename", "data", "data2"]).status == 0
    });
    house.ok(&["volume", "rename", "data2", "data"]);

    // The engine: the next one has nothing of it either.
    let mut client = begin(&house, &["volume", "backup", "data", "--to", &to]);
    wait_until("it is on its way", || house.uploads() > 0);
    house.engine.kill();
    client.wait().expect("the client ends");
    house.engine.run();
    house.ok(&["volume", "backup", "-q", "data", "--to", &to]);

    // And a restore: of the client, and of the engine.
    for engine in [false, true] {
        let mut client = begin(&house, &["volume", "restore", "--from", &to, "half"]);
        let volumes = house.engine.directory().join("data/volumes");
        let begun = || std::fs::read_dir(&volumes).into_iter().flatten().flatten().count() > 1;
        wait_until("it is on its way", || {
            begun() || house.engine.wharf(&["volume", "inspect", "half"]).status == 0
        });
        if engine {
            house.engine.kill();
        } else {
            client.kill().expect("kill the client");
        }
        client.wait().expect("the client ends");
        if engine {
            house.engine.run();
        }
        // It may have been done before; half of it is never there.
        wait_until("all or nothing", || {
            let names = house.engine.wharf(&["volume", "ls", "-q"]).stdout;
            let entries = std::fs::read_dir(&volumes).into_iter().flatten().flatten().count();
            entries == names.lines().count()
        });
        if house.engine.wharf(&["volume", "inspect", "half"]).status == 0 {
            assert_eq!(house.sh("half", "cat /x/noise* | wc -c"), (6 * (32 << 20)).to_string());
            house.ok(&["volume", "rm", "half"]);
        }
    }

    // A registry that lies is found out.
    let blobs = house.directory.path().join("registry/docker/registry/v2/blobs/sha256");
    let largest = good(Output::of(
        std::process::Command::new("find").arg(&blobs).args(["-name", "data", "-size", "+1M"]),
    ));
    let largest = largest.lines().next().expect("the data");
    let mut bytes = std::fs::read(largest).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(largest, bytes).expect("spoil");
    let said = house.fails(&["volume", "restore", "--from", &to, "spoiled"]);
    assert!(said.contains("restore "), "{said}");
    assert!(house.fails(&["volume", "inspect", "spoiled"]).contains("no such volume"));
}
