//! Device nodes, masked and read-only paths.

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn every_kind_of_device_is_made_as_asked() {
    let mut bundle =
        Bundle::sh("devices", "stat -c '%F %a %u %g %t %T' /dev/mine /dev/disk /dev/sub/pipe /dev/plain");
    bundle.spec["linux"]["devices"] = json!([
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 1000, "gid": 2000},
        {"path": "/dev/disk", "type": "b", "major": 7, "minor": 99, "fileMode": 0o600},
        {"path": "/dev/sub/pipe", "type": "p", "fileMode": 0o4755, "gid": 5},
        {"path": "/dev/plain", "type": "u", "major": 1, "minor": 5},
    ]);
    assert_eq!(
        bundle.says(),
        "character special file 640 1000 2000 1 3\nblock special file 600 0 0 7 63\n\
         fifo 4755 0 5 0 0\ncharacter special file 666 0 0 1 5"
    );
    bundle.spec["linux"]["devices"] = json!([{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]);
    assert!(bundle.refused().contains("config.json"));
    bundle.spec["linux"]["devices"] = json!([{"path": "/dev/x", "type": "c", "major": -2, "minor": 3}]);
    assert!(bundle.refused().contains("make /dev/x"));
}

#[test]
fn the_usual_devices_and_links_are_there() {
    let bundle = Bundle::sh(
        "default-devices",
        "cd /dev; stat -c '%n %F %a %t %T' null zero full random urandom tty; \
         for l in fd stdin stdout stderr ptmx; do readlink $l; done; echo x > /dev/null; head -c 3 /dev/zero | wc -c; \
         echo x > /dev/full || echo full; stat -c %F /dev/pts/ptmx",
    );
    let said = bundle.says();
    let wanted = "null character special file 666 1 3\nzero character special file 666 1 5\n\
                  full character special file 666 1 7\nrandom character special file 666 1 8\n\
                  urandom character special file 666 1 9\ntty character special file 666 5 0\n\
                  /proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n3\nfull\n\
                  character special file";
    assert_eq!(said, wanted);
}

#[test]
fn devices_are_bound_where_they_cannot_be_made() {
    let mut bundle = Bundle::sh(
        "bound-devices",
        "echo gone > /dev/null; head -c 2 /dev/zero | wc -c; stat -c '%t %T' /dev/full",
    );
    bundle.user_namespace();
    bundle.spec["linux"]["devices"] =
        json!([{"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o666}]);
    assert_eq!(bundle.says(), "2\n1 7");
}

#[test]
fn masked_paths_are_empty_and_read_only_ones_refuse_writing() {
    let mut bundle = Bundle::sh(
        "paths",
        "stat -c %F /secret /proc/interrupts; cat /secret | wc -c; ls -A /hidden | wc -l; \
         touch /hidden/x 2>&1; cat /kept/file; touch /kept/x 2>&1; echo y > /proc/sys/kernel/panic; \
         touch /kept/below/x 2>&1; true",
    );
    let root = bundle.rootfs();
    std::fs::write(root.join("secret"), "words").unwrap();
    std::fs::create_dir(root.join("hidden")).unwrap();
    std::fs::write(root.join("hidden/file"), "words").unwrap();
    std::fs::create_dir_all(root.join("kept/below")).unwrap();
    std::fs::write(root.join("kept/file"), "kept\n").unwrap();
    bundle.spec["linux"]["maskedPaths"] =
        json!(["/secret", "/hidden", "/proc/interrupts", "/proc/none", "/none", "/secret/not/a/directory"]);
    bundle.spec["linux"]["readonlyPaths"] = json!(["/kept", "/proc/sys", "/none"]);
    let outcome = bundle.run();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(
        outcome.stdout,
        "character special file\ncharacter special file\n0\n0\n\
         touch: /hidden/x: Read-only file system\nkept\ntouch: /kept/x: Read-only file system\n\
         touch: /kept/below/x: Read-only file system\n"
    );
    assert!(
        outcome.stderr.contains("can't create /proc/sys/kernel/panic: Read-only file system"),
        "{outcome:?}"
    );
}

#[test]
fn paths_are_hidden_in_a_mount_namespace_only() {
    for key in ["maskedPaths", "readonlyPaths"] {
        let mut bundle = Bundle::new("unhidden");
        bundle.without_namespace("mount");
        bundle.spec["mounts"] = json!([]);
        bundle.spec["linux"][key] = json!(["/tmp"]);
        let text = bundle.refused();
        assert!(text.contains("unable to restrict sys entries without a private MNT namespace"), "{text}");
    }
}
