//! Volumes: named, anonymous, of the image.

use crate::{House, eventually};

#[test]
fn named_volumes_stay_and_are_shared() {
    let house = House::new();
    house.sh(&["-v", "data:/data"], "echo kept > /data/f");
    assert_eq!(house.sh(&["-v", "data:/other:ro"], "cat /other/f"), "kept");
    let got = house.run(&["run", "--rm", "-v", "data:/d:ro", "bb", "touch", "/d/x"]);
    assert!(got.stderr.contains("Read-only file system"), "{got:?}");
    // An existing volume is not filled again, an empty new one takes over what the image has.
    assert!(house.sh(&["-v", "fresh:/etc"], "cat /etc/passwd").contains("nobody"));
    assert_eq!(house.sh(&["-v", "bare:/etc:nocopy"], "ls /etc | grep passwd; true"), "");
}

#[test]
fn the_images_volumes_are_made_filled_and_removed() {
    let house = House::new();
    house.import(&["VOLUME /root", "VOLUME /etc"]);
    house.ok(&["run", "--name", "cv", "bb", "sh", "-c", "echo x > /root/x; cat /etc/group"]);
    let places =
        house.inspect("cv", "{{range .Mounts}}{{.Type}} {{.Destination}} {{.Source}} {{len .Name}};{{end}}");
    let source = |of: &str| {
        let all = places
            .split(';')
            .find(|place| place.contains(of))
            .expect("a mount")
            .split(' ')
            .collect::<Vec<_>>();
        assert_eq!((all[0], all[3]), ("volume", "64"));
        std::path::PathBuf::from(all[2])
    };
    assert_eq!(std::fs::read_to_string(source("/root").join("x")).expect("in the volume"), "x\n");
    assert!(source("/etc").join("passwd").exists(), "the volume was not filled");
    let kept = source("/root");
    house.ok(&["rm", "-v", "cv"]);
    assert!(!kept.exists(), "rm -v leaves {}", kept.display());

    // --rm takes the anonymous ones with it, and leaves the named.
    let volumes = house.engine.directory().join("data/volumes");
    let count = || std::fs::read_dir(&volumes).map_or(0, |entries| entries.flatten().count());
    house.sh(&["-v", "named:/n", "-v", "/anonymous"], "true");
    assert!(eventually(|| count() == 1), "{} volumes", count());
}

#[test]
fn volumes_are_known_however_they_came_to_be_and_over_engines() {
    let mut house = House::new();
    house.ok(&["volume", "create", "--label", "a=b", "made"]);
    house.sh(&["-v", "implied:/x"], "echo kept > /x/f");
    house.ok(&["run", "--name", "holder", "-v", "/anonymous", "-v", "made:/m", "bb", "true"]);
    let list = |house: &House| house.ok(&["volume", "ls", "--format", "{{.Driver}} {{.Name}}"]);
    let before = list(&house);
    assert!(before.contains("local made") && before.contains("local implied"), "{before}");
    assert_eq!(before.lines().count(), 3, "{before}");
    house.engine.kill();
    house.engine.run();
    assert_eq!(list(&house), before);
    assert_eq!(house.inspect("made", "{{.Labels.a}} {{.Scope}}"), "b local");
    let source = house.inspect("implied", "{{.Mountpoint}}");
    assert_eq!(source, house.engine.directory().join("data/volumes/implied/_data").display().to_string());
    let created = house.inspect("implied", "{{.CreatedAt}}");
    assert!(created.parse::<String>().is_ok_and(|at| at.starts_with("20") && at.ends_with('Z')), "{created}");
    // Only what nobody gave a name is pruned, and nothing that a container refers to.
    assert!(house.ok(&["volume", "prune", "-f"]).starts_with("Total reclaimed space: 0B"));
    let (status, said) = house.fails(&["volume", "rm", "made"]);
    let id = house.inspect("holder", "{{.Id}}");
    let expected = format!("Error response from daemon: remove made: volume is in use - [{id}]\n");
    assert_eq!((status, said), (1, expected));
    house.ok(&["rm", "holder"]);
    let pruned = house.ok(&["volume", "prune", "-f"]);
    assert!(pruned.starts_with("Deleted Volumes:\n") && pruned.lines().count() == 4, "{pruned}");
    let pruned = house.ok(&["volume", "prune", "-f", "-a"]);
    assert!(pruned.contains("implied\nmade\n") && pruned.ends_with("reclaimed space: 5B"), "{pruned}");
    assert_eq!(list(&house), "");
}

/// As Compose does it: the volume is there before its first container.
#[test]
fn an_empty_volume_takes_over_what_the_image_has() {
    let house = House::new();
    house.import(&[]);
    house.ok(&["volume", "create", "data"]);
    assert!(house.sh(&["-v", "data:/etc"], "cat /etc/passwd").contains("nobody"));
    house.sh(&["-v", "data:/x"], "rm -r /x/* && touch /x/own");
    assert_eq!(house.sh(&["-v", "data:/etc"], "ls /etc | grep -c passwd; true"), "0");
    // A second user of an empty volume fills it where it lies: the first one sees it.
    house.ok(&["run", "-d", "--name", "first", "-v", "shared:/empty", "bb", "sleep", "1000"]);
    house.ok(&["create", "-v", "shared:/etc", "bb", "true"]);
    assert!(house.ok(&["exec", "first", "ls", "/empty"]).contains("passwd"));
}

#[test]
fn what_is_taken_over_keeps_owner_mode_links_and_attributes() {
    let house = House::new();
    let script = "mkdir -p /v/sub && echo x > /v/sub/f && chown 12:34 /v/sub/f && chmod 4750 /v/sub/f \
                  && ln -s sub/f /v/link && ln /v/sub/f /v/hard && mkfifo /v/pipe && chmod 1777 /v/sub && chown 5:6 /v && chmod 2711 /v";
    house.ok(&["run", "--name", "source", "bb", "sh", "-c", script]);
    let layers = house.inspect("source", "{{.GraphDriver.Data.UpperDir}}");
    let file = std::path::Path::new(&layers).join("v/sub/f");
    let name = c"user.wharf";
    rustix::fs::setxattr(&file, name, b"kept", rustix::fs::XattrFlags::empty()).expect("set an attribute");
    let tar = house.directory.path().join("v.tar");
    let packed = std::process::Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "-cf"])
        .arg(&tar)
        .args(["-C", &layers, "v"])
        .status();
    assert!(packed.expect("run tar").success());
    let busybox = house.directory.path().join("busybox.tar").display().to_string();
    let joined = std::process::Command::new("tar").arg("-Af").arg(&tar).arg(&busybox).status();
    assert!(joined.expect("run tar").success());
    house.ok(&["import", &tar.display().to_string(), "full"]);
    house.ok(&["create", "-v", "data:/v", "full", "true"]);
    let data = house.engine.directory().join("data/volumes/data/_data");
    use std::os::unix::fs::MetadataExt as _;
    let of = |name: &str| {
        let found = std::fs::symlink_metadata(data.join(name)).expect(name);
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(of("."), (5, 6, 0o2711));
    assert_eq!(of("sub/f"), (12, 34, 0o4750));
    assert_eq!(of("sub").2, 0o1777);
    assert_eq!(std::fs::read_link(data.join("link")).expect("a link"), std::path::Path::new("sub/f"));
    let inode = |name: &str| std::fs::metadata(data.join(name)).expect(name).ino();
    assert_eq!(inode("hard"), inode("sub/f"));
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(data.join("sub/f"), name, &mut value[..]).expect("the attribute");
    assert_eq!(&value[..length], b"kept");
}

#[test]
fn an_anonymous_volume_stays_as_long_as_anybody_has_it() {
    let house = House::new();
    house.ok(&[
        "run",
        "--name",
        "one",
        "-v",
        "/shared",
        "-v",
        "named:/n",
        "bb",
        "sh",
        "-c",
        "echo x > /shared/f",
    ]);
    house.ok(&["create", "--name", "two", "--volumes-from", "one:ro", "bb", "cat", "/shared/f"]);
    house.ok(&["rm", "-v", "one"]);
    assert_eq!(house.ok(&["start", "-a", "two"]), "x");
    assert_eq!(
        house.inspect("two", "{{range .Mounts}}{{.Destination}} {{.RW}};{{end}}"),
        "/n false;/shared false;"
    );
    house.ok(&["rm", "-v", "two"]);
    assert_eq!(house.ok(&["volume", "ls", "-q"]), "named");
}

#[test]
fn a_volume_is_exported_and_imported() {
    let mut house = House::new();
    house.ok(&["volume", "create", "data"]);
    let script = "mkdir /x/d; echo kept > /x/d/f; ln /x/d/f /x/hard; ln -s d/f /x/link; chown -R 5:6 /x; chmod 4750 /x/hard; \
                  truncate -s 300M /x/sparse";
    house.sh(&["-v", "data:/x"], script);
    let tar = house.engine.directory().join("data.tar");
    let path = tar.to_str().unwrap();
    house.ok(&["volume", "export", "-o", path, "data"]);
    assert!(std::fs::metadata(&tar).unwrap().len() < 1 << 20, "the hole was written");
    assert_eq!(house.ok(&["volume", "import", "--label", "a=b", "copy", path]), "copy");
    assert_eq!(house.inspect("copy", "{{.Labels.a}}"), "b");
    house.engine.kill();
    house.engine.run();
    let look = "cat /x/link; stat -c '%u %g %a %h' /x/d/f; stat -c '%u' /x; stat -c %s /x/sparse";
    assert_eq!(house.sh(&["-v", "copy:/x"], look), "kept\n5 6 4750 2\n5\n314572800");
    // What is there is not written over, and what breaks off is not there.
    let (_, said) = house.fails(&["volume", "import", "copy", path]);
    assert!(said.contains("import copy: volume name copy is already in use"), "{said}");
    let whole = std::fs::read(&tar).unwrap();
    std::fs::write(&tar, &whole[..whole.len() / 2]).unwrap();
    assert!(house.fails(&["volume", "import", "half", path]).1.contains("import half: "));
    assert!(house.fails(&["volume", "inspect", "half"]).1.contains("no such volume"));
    assert!(!house.engine.directory().join("data/volumes/half").exists());
    assert!(
        house.fails(&["volume", "export", "nosuch", "-o", path]).1.contains("get nosuch: no such volume")
    );
}

#[test]
fn a_volume_is_renamed_and_cloned() {
    let mut house = House::new();
    house.ok(&["volume", "create", "--label", "a=b", "old"]);
    let script = "mkdir /x/d; echo kept > /x/d/f; ln /x/d/f /x/hard; ln -s d/f /x/link; chown -R 5:6 /x; chmod 4750 /x/hard";
    house.sh(&["-v", "old:/x"], script);
    house.ok(&["create", "--name", "user", "-v", "old:/x", "bb", "true"]);
    let (_, said) = house.fails(&["volume", "rename", "old", "new"]);
    assert!(said.contains("rename old: volume is in use - ["), "{said}");
    // One in use can be cloned.
    assert_eq!(house.ok(&["volume", "clone", "old", "copy"]), "copy");
    house.ok(&["rm", "user"]);
    house.ok(&["volume", "create", "taken"]);
    let (_, said) = house.fails(&["volume", "rename", "old", "taken"]);
    assert!(said.contains("rename old: volume name taken is already in use"), "{said}");
    let (_, said) = house.fails(&["volume", "clone", "old", "taken"]);
    assert!(said.contains("clone old: volume name taken is already in use"), "{said}");
    assert!(house.fails(&["volume", "rename", "nosuch", "new"]).1.contains("get nosuch: no such volume"));
    assert!(house.fails(&["volume", "rename", "old", "../x"]).1.contains("includes invalid characters"));
    house.ok(&["volume", "rename", "old", "new"]);
    assert_eq!(house.ok(&["volume", "clone", "new"]).len(), 64);
    house.engine.kill();
    house.engine.run();
    let look = "cat /x/link; stat -c '%u %g %a %h' /x/d/f; stat -c '%u' /x";
    for name in ["new", "copy"] {
        assert_eq!(house.inspect(name, "{{.Labels.a}}"), "b");
        assert_eq!(house.sh(&["-v", &format!("{name}:/x")], look), "kept\n5 6 4750 2\n5", "{name}");
    }
    assert!(house.fails(&["volume", "inspect", "old"]).1.contains("no such volume"));
    house.sh(&["-v", "copy:/x"], "echo changed > /x/d/f");
    assert_eq!(house.sh(&["-v", "new:/x"], "cat /x/d/f"), "kept");
}

#[test]
fn a_volume_whose_directory_somebody_took_away_is_told_or_made_again() {
    let house = House::new();
    house.ok(&["volume", "create", "--label", "a=b", "data"]);
    let place = house.inspect("data", "{{.Mountpoint}}");
    house.ok(&["create", "--name", "one", "-v", "data:/x", "bb", "sh", "-c", "echo kept > /x/f"]);
    std::fs::remove_dir_all(std::path::Path::new(&place).parent().expect("its own")).expect("take it away");
    let got = house.run(&["start", "-a", "one"]);
    match got.status {
        0 => assert_eq!(std::fs::read_to_string(format!("{place}/f")).expect("what it wrote"), "kept\n"),
        _ => assert!(got.stderr.contains(&place), "it is told which is gone: {got:?}"),
    }
    // Who makes it is answered with it; it is what it was, and empty.
    assert_eq!(house.ok(&["volume", "create", "data"]), "data");
    assert_eq!(house.inspect("data", "{{.Labels.a}}"), "b");
    assert_eq!(house.sh(&["-v", "data:/x"], "echo again > /x/f; cat /x/f"), "again");
    house.ok(&["rm", "one"]);
    std::fs::remove_dir_all(&place).expect("take it away");
    house.ok(&["volume", "rm", "data"]);
    assert_eq!(house.ok(&["volume", "ls", "-q"]), "");
}

#[test]
fn a_full_volume_is_its_container_s_trouble() {
    let house = House::new();
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m"];
    house.ok(&[&["volume", "create"], &options[..], &["small"]].concat());
    let got = house.run(&[
        "run",
        "--name",
        "one",
        "-v",
        "small:/x",
        "bb",
        "dd",
        "if=/dev/zero",
        "of=/x/f",
        "bs=1M",
        "count=4",
    ]);
    assert!(got.status == 1 && got.stderr.contains("No space left on device"), "{got:?}");
    house.sh(&["-v", "small:/x"], "echo fine > /x/f");
    // What an image has at its place does not fit: it is told, and there is no half of it.
    house.ok(&["run", "--name", "big", "bb", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=4"]);
    house.ok(&["commit", "big", "big"]);
    house.ok(&["volume", "create", "named"]);
    house.ok(&["run", "--rm", "-v", "named:/x", "big", "true"]);
    house.ok(&["rm", "one", "big"]);
    house.ok(&["volume", "rm", "small", "named"]);
}
