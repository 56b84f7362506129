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
