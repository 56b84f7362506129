//! Hooks of all six kinds.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bundle::Bundle;

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that runs a script: with busybox of the host, or with the container's shell.
fn hook(kind: &str, script: &str) -> Value {
    let path = if kind == "startContainer" { "/bin/sh" } else { "/bin/busybox" };
    json!({"path": path, "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin", "KIND=an environment"]})
}

/// A bundle whose container and hooks write to `log`, at the same path inside and outside.
fn logging(name: &str) -> (Bundle, PathBuf) {
    let mut bundle = Bundle::new(name);
    let log = bundle.beside("log");
    let place = log.display().to_string();
    bundle.bind("log", &place, &[]);
    bundle.script(&format!("echo program >> {place}/order; exec sleep 1000"));
    (bundle, log)
}

fn read(log: &std::path::Path, name: &str) -> String {
    std::fs::read_to_string(log.join(name)).unwrap_or_default()
}

#[test]
fn they_run_in_their_order_and_place_with_the_state() {
    let (mut bundle, log) = logging("order");
    bundle.spec["annotations"] = json!({"org.example": "kept"});
    let mut hooks = json!({});
    for kind in KINDS {
        let one = |n: u32| {
            hook(
                kind,
                &format!(
                    "cd {0}; cat > {kind}.{n}; echo {kind}.{n} >> order; echo \"$KIND\" > {kind}.env; \
                 readlink /proc/self/ns/mnt > {kind}.mnt; readlink /proc/self/ns/net > {kind}.net; \
                 stat -c %i / > {kind}.root",
                    log.display()
                ),
            )
        };
        hooks[kind] = json!([one(1), one(2)]);
    }
    bundle.spec["hooks"] = hooks;
    bundle.good(&["create", &bundle.id]);
    let created =
        "prestart.1\nprestart.2\ncreateRuntime.1\ncreateRuntime.2\ncreateContainer.1\ncreateContainer.2\n";
    assert_eq!(read(&log, "order"), created);
    let pid = bundle.pid();
    bundle.good(&["start", &bundle.id]);
    crate::bundle::until("the program runs", || read(&log, "order").contains("program"));
    let order = read(&log, "order");
    let started = order.strip_prefix(created).unwrap();
    assert!(started.starts_with("startContainer.1\nstartContainer.2\n"), "{order}");
    assert!(
        order.contains("poststart.1\npoststart.2\n") || order.contains("poststart.1\nprogram\npoststart.2"),
        "{order}"
    );
    let (inside, outside) =
        (crate::bundle::namespace_of(pid, "mnt"), crate::bundle::namespace_of("self", "mnt"));
    bundle.good(&["delete", "--force", &bundle.id]);
    assert!(read(&log, "order").ends_with("poststop.1\npoststop.2\n"));

    let root = std::fs::metadata(bundle.rootfs()).map(|m| std::os::unix::fs::MetadataExt::ino(&m)).unwrap();
    for (kind, status, within) in [
        ("prestart", "creating", false),
        ("createRuntime", "creating", false),
        ("createContainer", "creating", true),
        ("startContainer", "created", true),
        ("poststart", "running", false),
        ("poststop", "stopped", false),
    ] {
        let state: Value = serde_json::from_str(&read(&log, &format!("{kind}.2"))).unwrap();
        assert_eq!(state["id"], json!(bundle.id), "{kind}");
        assert_eq!(state["status"], status, "{kind}");
        assert_eq!(state["bundle"], json!(bundle.path()), "{kind}");
        assert_eq!(state["annotations"]["org.example"], "kept", "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}");
        match kind {
            // The namespace's own number.
            "createContainer" | "startContainer" => assert_eq!(state["pid"], 1, "{kind}"),
            "poststop" => assert!(state["pid"].is_null() || state["pid"] == 0, "{kind}"),
            _ => assert_eq!(state["pid"], pid, "{kind}"),
        }
        assert_eq!(read(&log, &format!("{kind}.env")), "an environment\n", "{kind}");
        let namespace = read(&log, &format!("{kind}.mnt"));
        assert_eq!(namespace.trim(), if within { &inside } else { &outside }, "{kind}");
        let in_its_root = read(&log, &format!("{kind}.root")).trim() == root.to_string();
        assert_eq!(in_its_root, kind == "startContainer", "{kind}");
    }
}

#[test]
fn a_failing_hook_has_the_outcome_that_the_specification_names() {
    for kind in KINDS {
        let (mut bundle, log) = logging("failing");
        let place = log.display();
        let mut hooks = json!({});
        hooks["poststop"] = json!([hook("poststop", &format!("echo poststop >> {place}/order"))]);
        let fails = hook(kind, "echo said this; echo and that >&2; exit 3");
        let next = hook(kind, &format!("echo next >> {place}/order"));
        hooks[kind] = match kind {
            "poststop" => json!([fails, hooks["poststop"][0]]),
            _ => json!([fails, next]),
        };
        bundle.spec["hooks"] = hooks;
        let words =
            format!("error running {kind} hook #0: exit status 3, stdout: said this, stderr: and that");
        let failed = |outcome: &crate::bundle::Outcome| {
            assert_eq!(outcome.code, 1, "{kind}: {outcome:?}");
            assert!(outcome.stderr.contains(&words), "{kind}: {outcome:?}");
        };
        match kind {
            "prestart" | "createRuntime" | "createContainer" => {
                failed(&bundle.oci(&["create", &bundle.id]));
                assert!(!bundle.path().join("state").join(&bundle.id).exists());
                assert_eq!(read(&log, "order"), "poststop\n", "{kind}");
            }
            "startContainer" => {
                bundle.good(&["create", &bundle.id]);
                failed(&bundle.oci(&["start", &bundle.id]));
                bundle.wait_for("stopped");
                assert_eq!(read(&log, "order"), "", "{kind}");
            }
            "poststart" => {
                bundle.good(&["create", &bundle.id]);
                failed(&bundle.oci(&["start", &bundle.id]));
                bundle.wait_for("stopped");
                assert!(!read(&log, "order").contains("next"), "{kind}");
            }
            _ => {
                // A warning only, and the next one runs.
                bundle.start();
                let outcome = bundle.oci(&["delete", "--force", &bundle.id]);
                assert_eq!(outcome.code, 0, "{outcome:?}");
                assert!(outcome.stderr.contains(&words), "{outcome:?}");
                assert!(read(&log, "order").ends_with("poststop\n"));
            }
        }
        // `run` undoes everything.
        if kind != "poststop" {
            bundle.good(&["delete", "--force", &bundle.id]);
            let _ = std::fs::remove_file(log.join("order"));
            let outcome = bundle.run();
            failed(&outcome);
            assert!(!bundle.path().join("state").join(&bundle.id).exists(), "{kind}");
            assert!(read(&log, "order").ends_with("poststop\n"), "{kind}: {}", read(&log, "order"));
        }
    }
}

#[test]
fn a_hook_that_takes_too_long_is_ended_with_all_it_started() {
    let (mut bundle, log) = logging("timeout");
    let mut slow = hook("createRuntime", &format!("sleep 1000 & echo $! > {}/child; wait", log.display()));
    slow["timeout"] = json!(1);
    bundle.spec["hooks"] = json!({"createRuntime": [slow]});
    let outcome = bundle.run();
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("hook ran past specified timeout of 1.0s"), "{outcome:?}");
    let child = read(&log, "child");
    crate::bundle::until("its child is gone", || !std::path::Path::new("/proc").join(child.trim()).exists());
}

#[test]
fn a_hook_may_say_much_read_nothing_and_leave_something_running() {
    let (mut bundle, log) = logging("talkative");
    bundle.spec["annotations"] = json!({"long": "x".repeat(200_000)});
    let place = log.display();
    let script = format!(
        "dd if=/dev/zero bs=1k count=300 >&2 2>/dev/null; sleep 1000 & echo $! > {place}/left; exit 0"
    );
    bundle.spec["hooks"] = json!({"createRuntime": [hook("createRuntime", &script)]});
    bundle.good(&["create", &bundle.id]);
    let left = read(&log, "left");
    assert!(
        std::process::Command::new("kill").arg(left.trim()).status().unwrap().success(),
        "it is there yet"
    );
}

#[test]
fn a_hook_that_is_not_there_is_named() {
    let mut bundle = Bundle::new("no-hook");
    bundle.spec["hooks"] = json!({"createRuntime": [{"path": "/nowhere/hook"}]});
    let text = bundle.refused();
    assert!(
        text.contains("error running createRuntime hook #0: /nowhere/hook: no such file or directory"),
        "{text}"
    );
    bundle.spec["hooks"] = json!({"startContainer": [{"path": "/nowhere/hook"}]});
    assert!(bundle.refused().contains("error running startContainer hook #0"));
}
