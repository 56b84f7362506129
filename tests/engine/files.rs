//! Files in and out of containers, in every state.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::House;

/// A file below the house's directory.
fn put(house: &House, name: &str, text: &str) -> String {
    let path = house.directory.path().join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("make a directory");
    fs::write(&path, text).expect("write a file");
    path.display().to_string()
}

fn wharf(house: &House, words: &[&str]) -> Command {
    let mut command = house.engine.client("wharf");
    command.args(words);
    command
}

fn place(house: &House, name: &str) -> String {
    house.directory.path().join(name).display().to_string()
}

/// The names in the tar that `cp ... -` or `export` writes.
fn listed(house: &House, words: &[&str]) -> Vec<String> {
    let mut tar = Command::new("tar");
    let mut listing =
        tar.arg("-tf").arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run tar");
    let written = wharf(house, words).output().expect("run wharf");
    assert!(written.status.success(), "{words:?}: {}", String::from_utf8_lossy(&written.stderr));
    let mut stdin = listing.stdin.take().expect("its stdin");
    let writing = std::thread::spawn(move || stdin.write_all(&written.stdout));
    let output = listing.wait_with_output().expect("wait for tar");
    writing.join().expect("write to tar").expect("write to tar");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn running_stopped_and_new_containers_have_their_files_and_volumes() {
    let house = House::new();
    let bound = house.directory.path().join("bound");
    fs::create_dir(&bound).expect("make a directory");
    let bind = format!("{}:/bound", bound.display());
    let options = ["--name", "box", "-v", "data:/data", "-v", &bind, "--tmpfs", "/mem"];
    house
        .ok(&[&["create"], &options[..], &["bb", "sh", "-c", "echo run > /data/ran; exec sleep 100"]]
            .concat());
    let text = put(&house, "text", "from the host");
    let back = |name: &str| {
        let to = place(&house, "back");
        house.ok(&["cp", &format!("box:{name}"), &to]);
        fs::read_to_string(to).expect("what was copied")
    };

    // Never started: a volume is where it will be mounted.
    for directory in ["/root", "/data", "/bound"] {
        house.ok(&["cp", &text, &format!("box:{directory}/new")]);
        assert_eq!(back(&format!("{directory}/new")), "from the host");
    }
    assert_eq!(fs::read_to_string(bound.join("new")).expect("in the bound directory"), "from the host");

    house.ok(&["start", "box"]);
    assert_eq!(
        house.ok(&["exec", "box", "cat", "/root/new", "/data/new", "/bound/new"]),
        "from the host".repeat(3)
    );
    for directory in ["/root", "/data", "/bound", "/mem"] {
        house.ok(&["cp", &text, &format!("box:{directory}/running")]);
        let seen = house.ok(&["exec", "box", "cat", &format!("{directory}/running")]);
        assert_eq!(seen, "from the host", "{directory}");
        assert_eq!(back(&format!("{directory}/running")), "from the host");
    }
    assert_eq!(back("/data/ran"), "run\n");
    // What the machine has there is none of its files.
    assert_eq!(listed(&house, &["cp", "box:/proc", "-"]), ["proc/"]);
    house.ok(&["pause", "box"]);
    assert_eq!(back("/data/ran"), "run\n");
    house.ok(&["unpause", "box"]);

    house.ok(&["stop", "-t", "0", "box"]);
    assert_eq!(back("/data/running"), "from the host");
    assert_eq!(back("/root/running"), "from the host");
    house.ok(&["cp", &text, "box:/data/stopped"]);
    house.ok(&["start", "box"]);
    assert_eq!(house.ok(&["exec", "box", "cat", "/data/stopped"]), "from the host");
    house.ok(&["rm", "-f", "box"]);
    let events =
        house.events(&["--filter", "event=extract-to-dir"], "{{.Action}} {{.Actor.Attributes.name}}");
    assert_eq!(events.lines().count(), 8, "{events}");
}

#[test]
fn what_is_read_only_stays_as_it_is() {
    let house = House::new();
    let text = put(&house, "text", "x");
    for (state, name) in [("run", "running"), ("create", "created")] {
        let mut words = vec![state, "--name", name, "--read-only", "-v", "data:/data:ro", "-v", "open:/open"];
        words.extend(["--tmpfs", "/mem", "bb", "sleep", "100"]);
        if state == "run" {
            words.insert(1, "-d");
        }
        house.ok(&words);
        let refused = |path: &str| house.fails(&["cp", &text, &format!("{name}:{path}")]).1;
        assert_eq!(refused("/x"), "Error response from daemon: container rootfs is marked read-only\n");
        assert_eq!(refused("/data/x"), "Error response from daemon: mounted volume is marked read-only\n");
        house.ok(&["cp", &text, &format!("{name}:/open/x")]);
        assert_eq!(listed(&house, &["cp", &format!("{name}:/open"), "-"]), ["open/", "open/x"]);
    }
    house.ok(&["cp", &text, "running:/mem/x"]);
    assert_eq!(house.ok(&["exec", "running", "cat", "/mem/x"]), "x");
    house.ok(&["rm", "-f", "running", "created"]);
}

#[test]
fn owners_modes_links_and_odd_files_come_through() {
    let house = House::new();
    let tree = house.directory.path().join("tree");
    fs::create_dir_all(tree.join("deep/er")).expect("make directories");
    fs::write(tree.join("file"), "text").expect("write");
    fs::hard_link(tree.join("file"), tree.join("same")).expect("link");
    symlink("/etc/passwd", tree.join("link")).expect("link");
    std::os::unix::fs::chown(tree.join("file"), Some(7), Some(8)).expect("chown");
    fs::set_permissions(tree.join("file"), fs::Permissions::from_mode(0o4751)).expect("chmod");
    let big = vec![7; 3 << 20];
    fs::write(tree.join("deep/er/big"), &big).expect("write");
    house.ok(&["run", "-d", "--name", "box", "--user", "33:44", "bb", "sleep", "100"]);
    let tree = tree.display().to_string();
    house.ok(&["cp", &tree, "box:/tmp/all"]);
    let seen = house.ok(&["exec", "box", "stat", "-c", "%n %a %u:%g %h", "/tmp/all/file", "/tmp/all/same"]);
    assert_eq!(seen, "/tmp/all/file 4751 7:8 2\n/tmp/all/same 4751 7:8 2");
    assert_eq!(house.ok(&["exec", "box", "readlink", "/tmp/all/link"]), "/etc/passwd");
    house.ok(&["cp", "-a", &tree, "box:/tmp/mine"]);
    assert_eq!(house.ok(&["exec", "box", "stat", "-c", "%u:%g", "/tmp/mine/file"]), "33:44");

    let back = place(&house, "back");
    house.ok(&["cp", "box:/tmp/all/.", &back]);
    let of = |name: &str| fs::symlink_metadata(format!("{back}/{name}")).expect("what was copied");
    assert_eq!(fs::read(format!("{back}/deep/er/big")).expect("the large file"), big);
    assert_eq!((of("file").mode() & 0o7777, of("file").nlink()), (0o4751, 2));
    assert!(of("link").is_symlink());
    // A larger file takes the place of another in one step, also of one that is open.
    fs::write(format!("{tree}/deep/er/big"), vec![8; 2 << 20]).expect("write");
    house.ok(&["cp", &format!("{tree}/deep/er/big"), "box:/tmp/all/deep/er/big"]);
    assert_eq!(house.ok(&["exec", "box", "stat", "-c", "%s", "/tmp/all/deep/er/big"]), (2 << 20).to_string());
    assert_eq!(house.ok(&["exec", "box", "ls", "-A", "/tmp/all/deep/er"]), "big");
    house.ok(&["rm", "-f", "box"]);
}

/// A container that turns a directory into a link and back, as fast as it can, leads nobody out of itself.
#[test]
fn links_that_change_under_a_copy_stay_in_the_container() {
    let house = House::new();
    // As deep as on the host, where the link would lead to.
    let outside = house.directory.path().join("outside");
    fs::create_dir(&outside).expect("make a directory");
    fs::write(outside.join("secret"), "of the host").expect("write");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o751)).expect("chmod");
    let there = outside.display().to_string();
    let line = format!(
        "mkdir -p /real {there}; echo mine > {there}/secret; ln -s {there} /link; mkdir -p /swap/d; touch /ready
         while :; do mv /swap/d /swap/e; mv /link /swap/d; mv /swap/d /link; mv /swap/e /swap/d; done"
    );
    house.ok(&["run", "-d", "--name", "box", "bb", "sh", "-c", &line]);
    assert!(crate::eventually(|| house.run(&["exec", "box", "ls", "/ready"]).status == 0));
    let tree = house.directory.path().join("tree");
    fs::create_dir_all(tree.join("d/sub")).expect("make directories");
    fs::set_permissions(tree.join("d"), fs::Permissions::from_mode(0o777)).expect("chmod");
    fs::write(tree.join("d/secret"), "planted").expect("write");
    fs::write(tree.join("d/sub/planted"), "planted").expect("write");
    let tree = format!("{}/.", tree.display());
    for round in 0..60 {
        // Either may fail when something is moved away in that moment; nothing may leave the container.
        let _ = house.run(&["cp", &tree, "box:/swap"]);
        let back = house.directory.path().join("back");
        let _ = fs::remove_file(&back);
        let _ = house.run(&["cp", "box:/swap/d/secret", &back.display().to_string()]);
        if let Ok(text) = fs::read_to_string(&back) {
            assert!(text == "mine\n" || text == "planted", "round {round}: {text:?}");
        }
        assert_eq!(fs::read_to_string(outside.join("secret")).expect("the host's"), "of the host");
        assert_eq!(fs::metadata(&outside).expect("the host's").mode() & 0o7777, 0o751, "round {round}");
        assert_eq!(fs::read_dir(&outside).expect("the host's").count(), 1, "round {round}");
    }
    house.ok(&["rm", "-f", "box"]);
}

/// A start waits for a copy into a container that does not run: both would mount its files.
#[test]
fn a_start_comes_after_a_copy_into_a_stopped_container() {
    let house = House::new();
    house.ok(&["create", "--name", "box", "bb", "cat", "/root/late"]);
    let text = put(&house, "late", "all of it");
    let tar = Command::new("tar").args(["-cf", "-", "-C", &place(&house, ""), "late"]).output().expect("tar");
    assert!(std::path::Path::new(&text).exists() && tar.status.success());
    let mut copy = wharf(&house, &["cp", "-", "box:/root"]);
    let mut copying = copy.stdin(Stdio::piped()).spawn().expect("run wharf");
    let mut stdin = copying.stdin.take().expect("its stdin");
    stdin.write_all(&tar.stdout[..512]).expect("write the first block");
    stdin.flush().expect("write the first block");
    // The engine holds the files once it has the request, which nothing outside can see.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut start = wharf(&house, &["start", "-a", "box"]);
    let starting = start.stdout(Stdio::piped()).spawn().expect("run wharf");
    std::thread::sleep(std::time::Duration::from_millis(200));
    stdin.write_all(&tar.stdout[512..]).expect("write the rest");
    drop(stdin);
    assert!(copying.wait().expect("wait for the copy").success());
    let started = starting.wait_with_output().expect("wait for the container");
    assert_eq!(String::from_utf8_lossy(&started.stdout), "all of it");
}

/// Killed in the middle of a copy, an engine leaves a file whole or not there.
#[test]
fn a_killed_engine_leaves_no_half_file() {
    let mut house = House::new();
    house.ok(&["run", "-d", "--name", "box", "-v", "data:/data", "bb", "sleep", "100"]);
    let old = put(&house, "old/file", "the old one");
    house.ok(&["cp", &old, "box:/data/file"]);
    let big = house.directory.path().join("file");
    fs::write(&big, vec![1; 64 << 20]).expect("write a large file");
    let tar = Command::new("tar").args(["-cf", "-", "-C", &place(&house, ""), "file"]).output().expect("tar");
    let mut copy = wharf(&house, &["cp", "-", "box:/data"]);
    let mut copying = copy.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("run wharf");
    let mut stdin = copying.stdin.take().expect("its stdin");
    stdin.write_all(&tar.stdout[..32 << 20]).expect("write a half");
    house.engine.kill();
    drop(stdin);
    assert!(!copying.wait().expect("wait for the copy").success());
    house.engine.run();
    assert_eq!(house.ok(&["exec", "box", "cat", "/data/file"]), "the old one");
    assert_eq!(house.ok(&["exec", "box", "ls", "-A", "/data"]), "file");
    house.ok(&["rm", "-f", "box"]);
}
