//! The engine killed between any two steps of create, start, stop and remove. A debug engine aborts at the step that
//! `WHARF_FAILPOINT` names.

use std::collections::BTreeSet;
use std::path::Path;

use super::Private;

const CREATE: &[&str] =
    &["create.name", "create.directory", "create.layer", "create.volumes", "create.record", "create.publish"];
/// Of the volumes that a create makes, and of a client's.
const VOLUME: &[&str] = &["volume.directory", "volume.record", "volume.data", "volume.publish"];
const VOLUME_RENAME: &[&str] = &["volume.renaming", "volume.rename", "volume.renamed"];
const VOLUME_REMOVE: &[&str] = &["volume.mark", "volume.tree", "volume.forget"];
const NETWORK: &[&str] = &["network.bridge", "network.record", "network.publish"];
const NETWORK_REMOVE: &[&str] = &["network.unmake", "network.forget"];
const UPDATE: &str = "update.apply";
const EXTRACT: &str = "extract.unpack";
/// `tests/engine/commit.rs`, `tests/engine/remount.rs`, `tests/network/update.rs` and the engine's own tests of plugins have them.
const ELSEWHERE: &[&str] = &[
    "commit.read",
    "update.ports",
    "update.published",
    "update.volumes",
    "update.mounts",
    "update.mounted",
    "volume.plugin",
    "mount.note",
    "mount.plugin",
    "mount.done",
];
const START: &[&str] = &[
    "start.network",
    "start.ports",
    "start.files",
    "start.volumes",
    "start.spec",
    "start.process",
    "start.publish",
];
const STOP: &[&str] = &["stop.signal", "stop.wait", "stop.release", "stop.record"];
const REMOVE: &[&str] =
    &["remove.mark", "remove.process", "remove.layer", "remove.directory", "remove.volumes", "remove.record"];
/// A `--rm` container's; and what is done after the news.
const REMOVE_AT_ONCE: &[&str] = &["remove.process", "remove.layer", "remove.record"];
const BEHIND: &str = "remove.behind";

fn in_the_code(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            in_the_code(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let after = text.split("failpoints.hit(\"").skip(1);
            found.extend(after.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
}

#[test]
fn these_are_all_the_steps() {
    let mut found = BTreeSet::new();
    in_the_code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/engine/src"), &mut found);
    let single = [BEHIND, UPDATE, EXTRACT];
    let of_volumes = [VOLUME, VOLUME_RENAME, VOLUME_REMOVE].concat();
    let of_networks = [NETWORK, NETWORK_REMOVE].concat();
    let known = [CREATE, START, STOP, REMOVE, &single, &of_volumes, &of_networks, ELSEWHERE]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(found, known, "a step is not killed at by these tests");
}

/// The engine dies at `point` under `args`, and the next one starts.
fn crash(private: &mut Private, point: &str, args: &[&str]) {
    private.engine.kill();
    private.engine.run_with(|command| {
        command.env("WHARF_FAILPOINT", point);
    });
    let output = private.engine.wharf(args);
    private.engine.wait_for_end();
    assert_ne!(output.status, 0, "{point}: nothing was acknowledged, {output:?}");
    private.engine.run();
    assert_eq!(private.status("bystander"), "running", "{point}");
    assert_eq!(private.status("created"), "created", "{point}");
}

fn with_bystanders() -> Private {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "bystander", "bb", "sleep", "1000"]);
    private.ok(&["create", "--name", "created", "bb", "true"]);
    private
}

/// The name can be used, for all that a container does.
fn use_again(private: &Private, point: &str) {
    private.ok(&["run", "-d", "--name", "web", "-v", "/vol", "bb", "sleep", "1000"]);
    private.ok(&["exec", "web", "true"]);
    private.ok(&["rm", "-f", "-v", "web"]);
    private.clean(point);
    let volumes = super::names(&private.data().join("volumes"));
    assert!(volumes.is_empty(), "{point}: {volumes:?}");
}

#[test]
fn killed_in_create() {
    let mut private = with_bystanders();
    for point in CREATE.iter().chain(VOLUME) {
        crash(&mut private, point, &["create", "--name", "web", "-v", "/vol", "bb", "sleep", "1000"]);
        if *point == "create.publish" {
            // Whole, although nobody was told.
            private.ok(&["rm", "-v", "web"]);
        }
        assert!(!private.exists("web"), "{point}");
        private.clean(point);
        use_again(&private, point);
    }
}

#[test]
fn killed_in_start() {
    let mut private = with_bystanders();
    for point in START {
        private.ok(&["create", "--name", "web", "-v", "/vol", "bb", "sleep", "1000"]);
        crash(&mut private, point, &["start", "web"]);
        let expected = if *point == "start.publish" { "running" } else { "created" };
        assert_eq!(private.status("web"), expected, "{point}");
        private.clean(point);
        private.ok(&["start", "web"]);
        private.ok(&["exec", "web", "true"]);
        private.ok(&["rm", "-f", "-v", "web"]);

        crash(
            &mut private,
            point,
            &["run", "-d", "--rm", "--name", "web", "-v", "/vol", "bb", "sleep", "1000"],
        );
        if *point == "start.publish" {
            assert_eq!(private.status("web"), "running", "{point}");
            private.ok(&["rm", "-f", "-v", "web"]);
        }
        assert!(!private.exists("web"), "{point}");
        use_again(&private, point);
    }
}

#[test]
fn killed_in_stop() {
    let mut private = with_bystanders();
    for point in STOP {
        private.ok(&[
            "run",
            "-d",
            "--name",
            "web",
            "-v",
            "/vol",
            "bb",
            "sh",
            "-c",
            "trap 'exit 3' TERM; while :; do sleep 0.1; done",
        ]);
        crash(&mut private, point, &["stop", "web"]);
        private.ok(&["stop", "web"]);
        let state = private.ok(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web"]);
        assert_eq!(state, "exited 3", "{point}");
        private.clean(point);
        private.ok(&["rm", "-v", "web"]);
        use_again(&private, point);
    }
}

#[test]
fn killed_in_remove() {
    let mut private = with_bystanders();
    for point in REMOVE {
        private.ok(&["run", "--name", "web", "-v", "/vol", "bb", "true"]);
        crash(&mut private, point, &["rm", "-v", "web"]);
        if *point == "remove.mark" {
            private.ok(&["rm", "-v", "web"]);
        }
        assert!(!private.exists("web"), "{point}");
        private.clean(point);
        use_again(&private, point);
    }
    // By its end, too.
    for point in REMOVE_AT_ONCE {
        private.ok(&["run", "-d", "--rm", "--name", "web", "-v", "/vol", "bb", "sleep", "1000"]);
        crash(&mut private, point, &["rm", "-f", "web"]);
        assert!(!private.exists("web"), "{point}");
        private.clean(point);
        use_again(&private, point);
    }
}

#[test]
fn killed_behind_a_removal() {
    let mut private = with_bystanders();
    private.ok(&["run", "-d", "--rm", "--name", "web", "-v", "/vol", "bb", "sleep", "1000"]);
    private.engine.kill();
    private.engine.run_with(|command| {
        command.env("WHARF_FAILPOINT", BEHIND);
    });
    // Acknowledged or not: that is a race which the engine need not win.
    private.engine.wharf(&["rm", "-f", "web"]);
    private.engine.wait_for_end();
    private.engine.run();
    assert!(!private.exists("web"));
    private.clean(BEHIND);
    use_again(&private, BEHIND);
}

/// Labels, since a volume that lost them is not the one that was asked for.
#[test]
fn killed_while_a_volume_is_made_or_removed() {
    let mut private = with_bystanders();
    let is_there = |private: &Private| private.engine.wharf(&["volume", "inspect", "data"]).status == 0;
    for point in VOLUME {
        crash(&mut private, point, &["volume", "create", "--label", "a=b", "data"]);
        // Whole, although nobody was told, or not at all.
        assert_eq!(is_there(&private), *point == "volume.publish", "{point}");
        private.ok(&["volume", "create", "--label", "a=b", "data"]);
        assert_eq!(private.ok(&["volume", "inspect", "-f", "{{.Labels.a}}", "data"]), "b", "{point}");
        private.ok(&["volume", "rm", "data"]);
        private.clean(point);
        use_again(&private, point);
    }
    for point in VOLUME_RENAME {
        private.ok(&["volume", "create", "--label", "a=b", "data"]);
        private.ok(&["run", "--rm", "-v", "data:/x", "bb", "sh", "-c", "echo kept > /x/f"]);
        crash(&mut private, point, &["volume", "rename", "data", "other"]);
        // One of the two names has it, with all that belongs to it.
        let name = if *point == "volume.renamed" { "other" } else { "data" };
        assert_eq!(private.ok(&["volume", "ls", "-q"]), name, "{point}");
        assert_eq!(private.ok(&["volume", "inspect", "-f", "{{.Labels.a}}", name]), "b", "{point}");
        let mount = format!("{name}:/x");
        assert_eq!(private.ok(&["run", "--rm", "-v", &mount, "bb", "cat", "/x/f"]), "kept", "{point}");
        private.ok(&["volume", "rm", name]);
        private.clean(point);
        use_again(&private, point);
    }
    for point in VOLUME_REMOVE {
        private.ok(&["volume", "create", "--label", "a=b", "data"]);
        private.ok(&["run", "--rm", "-v", "data:/x", "bb", "sh", "-c", "echo kept > /x/f"]);
        crash(&mut private, point, &["volume", "rm", "data"]);
        // Behind the mark the next engine goes on; before it, nothing is missing.
        assert_eq!(is_there(&private), *point == "volume.mark", "{point}");
        if is_there(&private) {
            assert_eq!(private.ok(&["run", "--rm", "-v", "data:/x", "bb", "cat", "/x/f"]), "kept", "{point}");
            private.ok(&["volume", "rm", "data"]);
        }
        private.clean(point);
        use_again(&private, point);
    }
}

#[test]
fn killed_while_a_network_is_made_or_removed() {
    let mut private = with_bystanders();
    let is_there = |private: &Private| private.engine.wharf(&["network", "inspect", "net"]).status == 0;
    for point in NETWORK {
        crash(&mut private, point, &["network", "create", "--label", "a=b", "net"]);
        // Whole, although nobody was told, or not at all.
        assert_eq!(is_there(&private), *point == "network.publish", "{point}");
        if !is_there(&private) {
            private.clean(point);
            private.ok(&["network", "create", "--label", "a=b", "net"]);
        }
        assert_eq!(private.ok(&["network", "inspect", "-f", "{{.Labels.a}}", "net"]), "b", "{point}");
        private.ok(&["run", "--rm", "--network", "net", "bb", "true"]);
        private.ok(&["network", "rm", "net"]);
        use_again(&private, point);
    }
    for point in NETWORK_REMOVE {
        private.ok(&["network", "create", "net"]);
        crash(&mut private, point, &["network", "rm", "net"]);
        // As long as its record is there, so is the network.
        private.ok(&["run", "--rm", "--network", "net", "bb", "true"]);
        private.ok(&["network", "rm", "net"]);
        use_again(&private, point);
    }
}

#[test]
fn killed_in_update_and_in_cp() {
    let mut private = with_bystanders();
    let memory = |private: &Private| private.ok(&["inspect", "-f", "{{.HostConfig.Memory}}", "web"]);
    private.ok(&["run", "-d", "--name", "web", "--memory", "64m", "bb", "sleep", "1000"]);
    crash(&mut private, UPDATE, &["update", "--memory", "32m", "--memory-swap", "64m", "web"]);
    // Nobody was told so, but it is in the record: then it is in the kernel, too.
    let files = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes || cat memory.max";
    assert_eq!(memory(&private), (32 << 20).to_string());
    assert_eq!(private.ok(&["exec", "web", "sh", "-c", files]), (32 << 20).to_string());
    private.ok(&["update", "--memory", "48m", "--memory-swap", "96m", "web"]);
    assert_eq!(memory(&private), (48 << 20).to_string());
    private.ok(&["exec", "web", "true"]);

    let file = private.directory.path().join("brought");
    std::fs::write(&file, "brought").unwrap();
    let file = file.display().to_string();
    crash(&mut private, EXTRACT, &["cp", &file, "web:/tmp/brought"]);
    assert_ne!(private.engine.wharf(&["exec", "web", "test", "-e", "/tmp/brought"]).status, 0);
    private.ok(&["cp", &file, "web:/tmp/brought"]);
    assert_eq!(private.ok(&["exec", "web", "cat", "/tmp/brought"]), "brought");
    private.ok(&["rm", "-f", "web"]);
    use_again(&private, EXTRACT);
}
