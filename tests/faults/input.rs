//! Requests that cannot be done: Docker's text and status for each, and nothing left of it.

use super::{Private, until};

const NO_PROCESS: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed: \
                          runc create failed: unable to start container process: error during container init: ";

#[test]
fn starts_that_cannot_be() {
    let private = Private::start();
    let share = private.share();
    std::fs::write(share.join("plain"), "#!/bin/sh\n").unwrap();
    std::fs::write(share.join("noformat"), "\x7fnothing").unwrap();
    std::fs::write(share.join("nointerpreter"), "#!/nosuch\n").unwrap();
    for name in ["noformat", "nointerpreter"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(share.join(name), mode).unwrap();
    }
    let volume = format!("{}:/x", share.display());
    let file_on_directory = format!("{}:/etc", share.join("plain").display());
    let missing_source = format!("type=bind,source={},target=/y", share.join("nosuch").display());
    let missing_text = format!(
        "invalid mount config for type \"bind\": bind source path does not exist: {}",
        share.join("nosuch").display()
    );
    let runs: [(&[&str], i32, &str); 14] = [
        (&["bb", "nosuch"], 127, "exec: \"nosuch\": executable file not found in $PATH"),
        (&["bb", "/nosuch"], 127, "exec: \"/nosuch\": stat /nosuch: no such file or directory"),
        (&["bb", "/etc"], 126, "exec: \"/etc\": is a directory: permission denied"),
        (&["bb", "/x/plain"], 126, "exec: \"/x/plain\": permission denied"),
        (&["bb", "/x/noformat"], 125, "exec /x/noformat: exec format error"),
        (&["bb", "/x/nointerpreter"], 127, "exec /x/nointerpreter: no such file or directory"),
        (
            &["-u", "nosuch", "bb", "true"],
            125,
            "unable to find user nosuch: no matching entries in passwd file",
        ),
        (
            &["-u", "0:nosuch", "bb", "true"],
            125,
            "unable to find group nosuch: no matching entries in group file",
        ),
        (&["-u", "-7", "bb", "true"], 125, "uids and gids must be in range 0-2147483647"),
        (&["-w", "/x/plain", "bb", "true"], 125, "not a directory"),
        (&["--mount", &missing_source, "bb", "true"], 125, &missing_text),
        (
            &["-v", &file_on_directory, "bb", "true"],
            125,
            "Are you trying to mount a directory onto a file (or vice-versa)?",
        ),
        (&["--tmpfs", "relative", "bb", "true"], 125, "mount path must be absolute"),
        (
            &["--mount", "type=bind,source=relative,target=/y", "bb", "true"],
            125,
            "mount path must be absolute",
        ),
    ];
    for (words, status, text) in runs {
        let output = private.engine.wharf(&[&["run", "--rm", "-v", &volume], words].concat());
        assert_eq!(output.status, status, "{words:?}: {output:?}");
        assert!(output.stderr.contains(text), "{words:?}: {output:?}");
        assert_eq!(private.ok(&["ps", "-aq"]), "", "{words:?}");
    }
    private.clean("after starts that failed");

    // Without --rm the container stays, with the code, and its error is told.
    let output = private.engine.wharf(&["run", "--name", "cc", "bb", "nosuch"]);
    assert_eq!(output.status, 127);
    let state =
        private.ok(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", "cc"]);
    assert!(state.starts_with(&format!("created 127 {NO_PROCESS}exec: \"nosuch\"")), "{state}");
    private.ok(&["rm", "cc"]);

    // A bind's source that is missing is made for -v.
    let made = share.join("made");
    private.ok(&["run", "--rm", "-v", &format!("{}:/y", made.display()), "bb", "true"]);
    assert!(made.is_dir());
}

#[test]
fn execs_that_cannot_be() {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "cc", "bb", "sleep", "1000"]);
    for (words, status, text) in [
        (&["cc", "nosuch"][..], 127, "exec: \"nosuch\": executable file not found in $PATH"),
        (&["cc", "/etc"], 126, "exec: \"/etc\": is a directory: permission denied"),
        (&["cc", "/etc/passwd"], 126, "exec: \"/etc/passwd\": permission denied"),
        (
            &["-u", "nosuch", "cc", "true"],
            126,
            "unable to find user nosuch: no matching entries in passwd file",
        ),
        (&["-w", "/nosuch", "cc", "true"], 127, "no such file or directory"),
        (&["nosuch", "true"], 1, "No such container: nosuch"),
    ] {
        let output = private.engine.wharf(&[&["exec"], words].concat());
        assert_eq!(output.status, status, "{words:?}: {output:?}");
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(text), "{words:?}: {output:?}");
    }
    private.ok(&["pause", "cc"]);
    let refused = private.fails(&["exec", "cc", "true"]);
    assert!(refused.contains("is paused, unpause the container before exec"), "{refused}");
    private.ok(&["unpause", "cc"]);
    private.ok(&["stop", "-t", "0", "cc"]);
    let refused = private.fails(&["exec", "cc", "true"]);
    assert!(refused.contains("is not running"), "{refused}");
    private.ok(&["rm", "cc"]);
    private.clean("after execs that failed");
}

#[test]
fn a_container_in_the_wrong_state() {
    let private = Private::start();
    let id = private.ok(&[
        "run",
        "-d",
        "--name",
        "cc",
        "bb",
        "sh",
        "-c",
        "trap '' TERM; while :; do sleep 0.1; done",
    ]);
    let running = private.fails(&["rm", "cc"]);
    let text = "cannot remove container \"cc\": container is running: stop the container before removing or force remove";
    assert!(running.contains(text), "{running}");
    // Once more is no error, and changes nothing.
    let pid = private.pid("cc");
    private.ok(&["start", "cc"]);
    assert_eq!(private.pid("cc"), pid);
    for signal in ["BOGUS", "999", "-1"] {
        let output = private.engine.wharf(&["kill", &format!("--signal={signal}"), "cc"]);
        assert_ne!(output.status, 0, "{signal}: {output:?}");
        assert!(output.stderr.to_lowercase().contains("invalid signal"), "{signal}: {output:?}");
    }
    assert_eq!(private.pid("cc"), pid);
    // Start while it is being stopped: it still runs, so there is nothing to do; the stop goes on.
    let mut stop = private.engine.client("wharf").args(["stop", "-t", "2", "cc"]).spawn().unwrap();
    until("it is being stopped", || {
        private
            .ok(&["events", "--since", "1", "--until", "0s", "--filter", "event=kill"])
            .contains("signal=15")
    });
    private.ok(&["start", "cc"]);
    assert!(stop.wait().unwrap().success());
    assert_eq!(private.status("cc"), "exited");
    for order in ["kill", "pause", "unpause"] {
        let refused = private.fails(&[order, "cc"]);
        assert!(
            refused.contains(&id) && refused.contains("is not running") || refused.contains("is not paused"),
            "{refused}"
        );
    }
    private.ok(&["stop", "cc"]);
    private.ok(&["rm", "cc"]);
    for order in ["start", "stop", "kill", "pause", "restart", "rm", "logs", "attach", "wait", "top"] {
        for reference in ["cc", &id] {
            let gone = private.fails(&[order, reference]);
            assert!(gone.contains(&format!("No such container: {reference}")), "{order}: {gone}");
        }
    }
    private.clean("after all that");
}

#[test]
fn names_and_prefixes_that_do_not_tell() {
    let private = Private::start();
    let mut by_first: std::collections::HashMap<char, String> = Default::default();
    // Seventeen ids, sixteen digits: two begin alike.
    let twins = (0..17).find_map(|_| {
        let id = private.ok(&["create", "bb", "true"]);
        by_first.insert(id.chars().next().unwrap(), id.clone()).map(|other| (id, other))
    });
    let (one, other) = twins.unwrap();
    let prefix = &one[..1];
    let refused = private.fails(&["inspect", "--type", "container", prefix]);
    assert!(refused.contains(&format!("multiple IDs found with provided prefix: {prefix}")), "{refused}");
    // A name is stronger than a prefix.
    let short = &one[..12];
    assert_eq!(private.ok(&["inspect", "-f", "{{.Id}}", short]), one);
    private.ok(&["rename", &other, short]);
    assert_eq!(private.ok(&["inspect", "-f", "{{.Id}}", short]), other);
    for name in ["a/b", "-a", ".", "a b", "ä"] {
        let refused = private.fails(&["create", "--name", name, "bb", "true"]);
        assert!(refused.contains("Invalid container name"), "{name}: {refused}");
    }
    let refused = private.fails(&["create", "--name", short, "bb", "true"]);
    assert!(refused.contains("is already in use by container"), "{refused}");
    let refused = private.fails(&["rename", &one, short]);
    assert!(refused.contains("is already in use by container"), "{refused}");
}
