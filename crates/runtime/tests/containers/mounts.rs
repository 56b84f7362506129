//! Mounts of every kind, and the root file system itself.

use std::os::unix::fs::{MetadataExt, chown, symlink};

use serde_json::json;

use crate::bundle::{Bundle, Outcome, program, set_mode};

/// Runs the container from a mount namespace in which `setup` has been done first; nothing of it reaches the host.
fn run_after(bundle: &Bundle, setup: &str) -> Outcome {
    let outcome = bundle
        .shell(&format!("exec unshare --mount --propagation private sh -ec '{setup}\nexec $oci run $id'"));
    assert_eq!(outcome.code, 0, "{outcome:?}");
    outcome
}

#[test]
fn a_bind_mount_shows_other_owners_through_its_id_mappings() {
    let mut bundle = Bundle::sh(
        "idmap",
        "stat -c '%u %g' /mapped/file /mapped/below/file; touch /mapped/made; stat -c '%u %g' /mapped/made",
    );
    let source = bundle.beside("source");
    std::fs::create_dir(source.join("below")).unwrap();
    for file in ["file", "below/file"] {
        std::fs::write(source.join(file), "").unwrap();
        chown(source.join(file), Some(1000), Some(1001)).unwrap();
    }
    chown(&source, Some(2000), Some(2000)).unwrap();
    let mapping = |on_disk: u32, seen: u32| json!({"containerID": on_disk, "hostID": seen, "size": 1});
    bundle.mount(json!({
        "destination": "/mapped", "type": "bind", "source": source, "options": ["rbind"],
        "uidMappings": [mapping(1000, 5000), mapping(2000, 0)],
        "gidMappings": [mapping(1001, 5001), mapping(2000, 0)],
    }));
    assert_eq!(bundle.says(), "5000 5001\n5000 5001\n0 0");
    let made = std::fs::metadata(source.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (2000, 2000), "on the disk it is the other way round");
}

#[test]
fn id_mappings_go_for_what_is_mounted_below_when_asked() {
    // What the tmpfs below holds belongs to 1000 on its own disk.
    let setup = "mkdir -p source/below; mount -t tmpfs none source/below; touch source/below/file; \
                 chown 1000:1000 source/below/file";
    for (option, seen) in [("idmap", "1000"), ("ridmap", "7000")] {
        let mut bundle = Bundle::sh(option, "stat -c %u /mapped/below/file");
        let map = json!([{"containerID": 1000, "hostID": 7000, "size": 1}]);
        bundle.mount(json!({
            "destination": "/mapped", "type": "bind", "source": "source", "options": ["rbind", option],
            "uidMappings": map, "gidMappings": map,
        }));
        assert_eq!(run_after(&bundle, setup).stdout.trim(), seen, "{option}");
    }
}

#[test]
fn a_bind_mount_with_the_containers_mappings_shows_the_disks_ids() {
    let mut bundle = Bundle::sh("idmap-user", "stat -c %u /mapped/file /plain/file; touch /mapped/made");
    bundle.user_namespace();
    let source = bundle.beside("source");
    set_mode(&source, 0o777);
    std::fs::write(source.join("file"), "").unwrap();
    bundle.bind("source", "/mapped", &["idmap"]);
    bundle.bind("source", "/plain", &[]);
    // Root's file is root's through the mapping; without it root of the host is nobody in there.
    assert_eq!(bundle.says(), "0\n65534");
    assert_eq!(std::fs::metadata(source.join("made")).unwrap().uid(), 0);
}

#[test]
fn id_mappings_need_a_bind_mount() {
    let mut bundle = Bundle::new("idmap-tmpfs");
    bundle.mount(json!({"destination": "/x", "type": "tmpfs", "options": ["idmap"]}));
    assert!(bundle.refused().contains("id mappings need a bind mount"));
}

#[test]
fn read_only_reaches_below_only_when_it_is_recursive() {
    let setup = "mkdir -p source/below; mount -t tmpfs none source/below";
    let script =
        "for d in /data /data/below; do touch $d/x 2> /dev/null && echo $d written || echo $d refused; done";
    for (option, below) in [("ro", "written"), ("rro", "refused")] {
        let mut bundle = Bundle::sh(option, script);
        bundle.mount(
            json!({"destination": "/data", "type": "bind", "source": "source", "options": ["rbind", option]}),
        );
        let said = run_after(&bundle, setup).stdout;
        assert_eq!(said, format!("/data refused\n/data/below {below}\n"), "{option}");
    }
}

#[test]
fn attributes_of_a_bind_mount() {
    let mut bundle =
        Bundle::sh("attributes", "grep -E ' /(one|two) ' /proc/self/mountinfo | cut -d' ' -f5,6");
    bundle.bind("source", "/one", &["ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"]);
    bundle.bind("source", "/two", &["nodiratime", "rnosuid", "strictatime"]);
    let said = bundle.says();
    let has = |line: &str, words: &[&str]| {
        let line = said.lines().find(|l| l.starts_with(line)).unwrap();
        words.iter().all(|word| line.split([' ', ',']).any(|w| w == *word))
    };
    assert!(has("/one", &["ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"]), "{said}");
    assert!(has("/two", &["rw", "nosuid", "nodiratime"]), "{said}");
    assert!(!said.contains("relatime"), "{said}");
}

#[test]
fn every_propagation_mode() {
    let setup = "mkdir -p source; mount -t tmpfs none source; mount --make-shared source";
    let script =
        "grep ' /data ' /proc/self/mountinfo | cut -d' ' -f7- | sed 's/ - .*//; s/^- .*//; s/:[0-9]*//g'";
    for (option, wanted) in [
        ("private", ""),
        ("rprivate", ""),
        ("slave", "master"),
        ("rslave", "master"),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        let mut bundle = Bundle::sh(option, script);
        bundle.mount(
            json!({"destination": "/data", "type": "bind", "source": "source", "options": ["rbind", option]}),
        );
        if option.ends_with("shared") {
            // As engines ask for it; below a root that is a slave, it would be one as well.
            bundle.spec["linux"]["rootfsPropagation"] = json!("rshared");
        }
        assert_eq!(run_after(&bundle, setup).stdout.trim(), wanted, "{option}");
    }
}

#[test]
fn the_roots_propagation() {
    let script = "awk '$5 == \"/\"' /proc/self/mountinfo | cut -d' ' -f7- | sed 's/ *- .*//; s/:[0-9]*//g'";
    // The bundle lies on a shared mount, as everything does on a machine with systemd.
    let setup = "mount --bind rootfs rootfs; mount --make-shared rootfs";
    for (word, wanted) in [
        ("", "master"),
        ("private", ""),
        ("rprivate", ""),
        ("slave", "master"),
        ("rslave", "master"),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        let mut bundle = Bundle::sh("root-propagation", &script.replace(" / / ", " / "));
        bundle.spec["linux"]["rootfsPropagation"] = json!(word);
        let said = run_after(&bundle, setup).stdout;
        assert_eq!(said.trim(), wanted, "{word:?}");
    }
    let mut bundle = Bundle::new("root-propagation");
    bundle.spec["linux"]["rootfsPropagation"] = json!("sideways");
    assert!(bundle.refused().contains("rootfsPropagation=sideways"));
}

#[test]
fn what_the_host_mounts_later_arrives_in_a_slave_only() {
    for (option, wanted) in [("rslave", "arrived"), ("rprivate", "absent")] {
        let mut bundle = Bundle::sh("later", "exec sleep 1000");
        bundle.mount(
            json!({"destination": "/data", "type": "bind", "source": "source", "options": ["rbind", option]}),
        );
        let said = bundle.shell(
            "exec unshare --mount --propagation private sh -ec '
               mkdir -p source; mount -t tmpfs none source; mount --make-shared source; mkdir source/later
               $oci run --detach $id
               mount -t tmpfs none source/later; touch source/later/here
               $oci exec $id sh -c \"[ -e /data/later/here ] && echo arrived || echo absent\"'",
        );
        assert_eq!(said.stdout.trim(), wanted, "{option}: {said:?}");
    }
}

#[test]
fn a_tmpfs_takes_its_options() {
    let mut bundle = Bundle::sh(
        "tmpfs",
        "stat -c '%a %u %g' /small /like; grep -E ' /(small|sealed) ' /proc/self/mountinfo | sed 's/.* - //; s/,inode64//'; \
         dd if=/dev/zero of=/small/x bs=1k count=100 2>&1 | grep -o 'No space'; touch /sealed/x 2>&1",
    );
    bundle.mount(json!({"destination": "/small", "type": "tmpfs", "source": "tmpfs",
        "options": ["size=64k", "mode=1770", "uid=1000", "gid=1001", "nr_inodes=64"]}));
    std::fs::create_dir(bundle.rootfs().join("like")).unwrap();
    set_mode(&bundle.rootfs().join("like"), 0o1711);
    bundle.mount(json!({"destination": "/like", "type": "tmpfs"}));
    bundle.mount(json!({"destination": "/sealed", "type": "tmpfs", "source": "sealed", "options": ["ro"]}));
    let outcome = bundle.run();
    assert_eq!(
        outcome.stdout,
        "1770 1000 1001\n1711 0 0\ntmpfs tmpfs rw,size=64k,nr_inodes=64,mode=1770,uid=1000,gid=1001\n\
         tmpfs sealed rw\nNo space\ntouch: /sealed/x: Read-only file system\n"
    );
    let mut bundle = Bundle::new("tmpfs-wrong");
    bundle.mount(json!({"destination": "/x", "type": "tmpfs", "options": ["size=lots"]}));
    let text = bundle.refused();
    assert!(text.contains(r#"error mounting "tmpfs" to rootfs at "/x""#), "{text}");
}

#[test]
fn a_tmpfs_begins_with_what_it_covers_when_asked() {
    let mut bundle = Bundle::sh(
        "copyup",
        "cd /data; cat below/file; stat -c '%a %u %g' below below/file; readlink link; stat -c '%F %t %T' node; \
         stat -c %Y below/file below; echo new > below/file",
    );
    let data = bundle.rootfs().join("data");
    std::fs::create_dir_all(data.join("below")).unwrap();
    std::fs::write(data.join("below/file"), "kept\n").unwrap();
    chown(data.join("below/file"), Some(1000), Some(1001)).unwrap();
    set_mode(&data.join("below/file"), 0o4751);
    set_mode(&data.join("below"), 0o1700);
    chown(data.join("below"), Some(7), Some(8)).unwrap();
    set_mode(&data.join("below"), 0o2750);
    symlink("/etc/passwd", data.join("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, data.join("node"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let long_ago = std::fs::FileTimes::new()
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000));
    for name in ["below/file", "below"] {
        std::fs::File::open(data.join(name)).unwrap().set_times(long_ago).unwrap();
    }
    bundle.mount(json!({"destination": "/data", "type": "tmpfs", "options": ["tmpcopyup"]}));
    assert_eq!(bundle.says(), "kept\n2750 7 8\n4751 1000 1001\n/etc/passwd\nfifo 0 0\n1000000\n1000000");
    assert_eq!(std::fs::read_to_string(data.join("below/file")).unwrap(), "kept\n");
    // A read-only one is filled first.
    bundle.script("cat /data/below/file; touch /data/x 2>&1 || true");
    bundle.spec["mounts"][3]["options"] = json!(["tmpcopyup", "ro"]);
    assert_eq!(bundle.says(), "kept\ntouch: /data/x: Read-only file system");
}

#[test]
fn message_queues() {
    let mut bundle = Bundle::sh(
        "mqueue",
        "grep -c ' /dev/mqueue .* mqueue ' /proc/self/mountinfo; touch /dev/mqueue/one; ls /dev/mqueue",
    );
    bundle.mount(json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
        "options": ["nosuid", "noexec", "nodev"]}));
    assert_eq!(bundle.says(), "1\none");
}

#[test]
fn the_cgroup_mount_shows_the_containers_own() {
    let script = "grep -c ' - cgroup' /proc/self/mountinfo; cut -d: -f3 /proc/self/cgroup | sort -u; \
                  for f in /sys/fs/cgroup/tasks /sys/fs/cgroup/pids/tasks /sys/fs/cgroup/cgroup.procs; do \
                    [ ! -e $f ] || grep -c '^1$' $f; done; \
                  mkdir /sys/fs/cgroup/pids/below 2>&1 || mkdir /sys/fs/cgroup/below 2>&1; \
                  touch /sys/fs/cgroup/x 2>&1; true";
    for (option, below) in [("ro", false), ("rw", true)] {
        let mut bundle = Bundle::sh("cgroup", script);
        bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", option]}));
        let outcome = bundle.run();
        let said = outcome.stdout;
        let mut lines = said.lines();
        assert!(lines.next().unwrap().parse::<u32>().unwrap() >= 1, "{said}");
        assert_eq!(lines.next(), Some("/"), "its own cgroup is the root: {said}");
        assert_eq!(lines.next(), Some("1"), "it finds itself in it: {said}");
        assert_eq!(!said.contains("below"), below, "{option}: {said}");
        assert_eq!(said.contains("Read-only file system"), !below, "{option}: {said}");
    }
    // Without a namespace it is bound, and only its own part.
    let mut bundle = Bundle::sh(
        "cgroup-bound",
        "ls /sys/fs/cgroup/pids /sys/fs/cgroup; cat /sys/fs/cgroup/pids/tasks | wc -l",
    );
    bundle.without_namespace("cgroup");
    bundle.mount(
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}),
    );
    let said = bundle.run().stdout;
    assert!(!said.contains(&bundle.id), "{said}");
}

#[test]
fn an_overlay_of_120_layers() {
    let bundle = Bundle::sh("overlay", "");
    let layers: Vec<String> = (0..120)
        .map(|n| {
            let layer = bundle.beside(&format!("layer-{n}"));
            std::fs::write(layer.join(format!("of-{n}")), "").unwrap();
            // Upper layers come first.
            std::fs::write(layer.join("top"), n.to_string()).unwrap();
            layer.display().to_string()
        })
        .collect();
    let mut spec = bundle.spec.clone();
    spec["process"]["args"] =
        json!(["sh", "-c", "ls /of-* | wc -l; cat /top; echo new > /written; rm /of-3; ls /of-3"]);
    std::fs::write(bundle.path().join("config.json"), spec.to_string()).unwrap();
    let (upper, work) = (bundle.beside("upper"), bundle.beside("work"));
    let lower = format!("{}:{}", layers.join(":"), bundle.rootfs().display());
    let outcome = bundle.output(
        std::process::Command::new(program("once"))
            .arg(bundle.path())
            .env("LOWER", lower)
            .env("UPPER", &upper)
            .env("WORK", &work),
    );
    assert_eq!(outcome.stdout, "120\n0", "{outcome:?}");
    assert_eq!(outcome.code, 1, "the removed file is gone: {outcome:?}");
    assert_eq!(std::fs::read_to_string(upper.join("written")).unwrap(), "new\n");
    assert!(
        !std::fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .contains(&bundle.path().display().to_string())
    );
}

#[test]
fn without_pivot_root_the_root_is_the_containers_too() {
    let mut bundle =
        Bundle::sh("no-pivot", "ls /; unshare -Urpf mount -t proc proc /tmp 2>&1; cat /proc/1/root/own");
    std::fs::write(bundle.rootfs().join("own"), "own").unwrap();
    bundle.spec["linux"]["maskedPaths"] = json!(["/proc/kcore", "/proc/keys"]);
    bundle.spec["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN"));
    for flags in [&["run", "--no-pivot"][..], &["run"]] {
        let said = bundle.good(&[flags, &[&bundle.id]].concat());
        assert!(said.starts_with("bin\ndev\netc\nown\nproc\n"), "{said}");
        // The host's unmasked /proc must not vouch for a new one.
        assert!(said.contains("permission denied"), "{flags:?}: {said}");
        assert!(said.ends_with("own"), "{said}");
    }
}

#[test]
fn a_read_only_root() {
    let mut bundle = Bundle::sh("readonly", "touch /x 2>&1; touch /data/x && echo written");
    bundle.spec["root"]["readonly"] = json!(true);
    bundle.bind("source", "/data", &[]);
    assert_eq!(bundle.run().stdout, "touch: /x: Read-only file system\nwritten\n");
}

#[test]
fn a_file_is_bound_over_a_file_that_is_made() {
    let mut bundle = Bundle::sh("file", "cat /new/place/file; echo more >> /new/place/file");
    let source = bundle.path().join("file");
    std::fs::write(&source, "bound\n").unwrap();
    bundle.mount(json!({"destination": "/new/place/file", "source": source, "options": ["bind"]}));
    assert_eq!(bundle.says(), "bound");
    assert_eq!(std::fs::read_to_string(source).unwrap(), "bound\nmore\n");
}

#[test]
fn a_mount_that_cannot_be_names_itself() {
    for (mount, words) in [
        (
            json!({"destination": "/x", "source": "/nowhere", "options": ["bind"]}),
            r#"error mounting "/nowhere" to rootfs at "/x": no such file"#,
        ),
        (
            json!({"destination": "/x", "type": "nofs", "source": "n"}),
            r#"error mounting "n" to rootfs at "/x": no such device"#,
        ),
        (json!({"destination": "/x", "source": "n"}), r#"mount "/x" has neither a type nor bind"#),
        (
            json!({"destination": "/etc/file/below", "type": "tmpfs"}),
            r#"error mounting "tmpfs" to rootfs at "/etc/file/below": not a directory"#,
        ),
    ] {
        let mut bundle = Bundle::new("mount-error");
        std::fs::write(bundle.rootfs().join("etc/file"), "").unwrap();
        bundle.mount(mount);
        let text = bundle.refused();
        assert!(text.contains(words), "{text}");
    }
}
