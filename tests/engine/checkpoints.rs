//! Checkpoints, with a criu that is told what to do: what happens around it. What the real one does with real processes is
//! tested on a kernel that it knows (`tests/v2`).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::{House, eventually};

/// As criu is called here. `work` below its own directory says how it goes: `check` and `dump` fail if there is a file of that
/// name, with its text; a dump waits while there is a file `wait`.
const CRIU: &str = r#"#!/bin/sh
work=$(dirname "$0")
echo "$*" >> "$work/called"
case $1 in
check)
    [ ! -e "$work/check" ] || { echo "Error (criu/vdso.c:381): $(cat "$work/check")"; exit 1; } ;;
dump)
    leave=
    while [ $# -gt 0 ]; do
        case $1 in
        --tree) pid=$2 ;;
        --images-dir) images=$2 ;;
        --work-dir) log=$2/criu-dump.log ;;
        --leave-running) leave=1 ;;
        esac
        shift
    done
    tries=0
    while [ -e "$work/wait" ] && [ $tries -lt 600 ]; do sleep 0.05; tries=$((tries + 1)); done
    [ ! -e "$work/dump" ] || { echo "(00.1) Error (criu/x.c:1): $(cat "$work/dump")" > "$log"; exit 1; }
    echo written > "$images/inventory.img"
    [ -n "$leave" ] || kill -9 "$pid" ;;
restore)
    echo "Error (criu/y.c:2): not here" > "$(echo "$*" | sed 's/.*--work-dir \([^ ]*\).*/\1/')/restore.log"
    exit 1 ;;
esac
"#;

/// An engine that finds this criu, and where it is told what to do.
fn house() -> (House, PathBuf) {
    let mut house = House::new();
    let work = house.directory.path().join("tools");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("criu"), CRIU).unwrap();
    std::fs::set_permissions(work.join("criu"), std::fs::Permissions::from_mode(0o755)).unwrap();
    restart(&mut house, &work.display().to_string());
    (house, work)
}

fn restart(house: &mut House, path: &str) {
    house.engine.kill();
    house.engine.run_with(|command| {
        command.env("PATH", path);
    });
}

fn listed(house: &House, name: &str) -> String {
    house.ok(&["checkpoint", "ls", name]).replace('\n', " ")
}

fn called(work: &Path) -> String {
    std::fs::read_to_string(work.join("called")).unwrap_or_default()
}

fn dumps(work: &Path) -> usize {
    called(work).lines().filter(|line| line.starts_with("dump ")).count()
}

#[test]
fn a_machine_without_criu_says_what_is_missing() {
    let (mut house, work) = house();
    house.ok(&["run", "-d", "--name", "one", "bb", "sleep", "1000"]);
    std::fs::write(work.join("check"), "vdso: Unexpected rt vDSO area bounds").unwrap();
    let (status, error) = house.fails(&["checkpoint", "create", "one", "cp"]);
    let criu = work.join("criu").display().to_string();
    assert_eq!(
        (status, error),
        (
            1,
            format!(
                "Error response from daemon: Cannot checkpoint container one: {criu} does not work on this machine: \
                 `criu check` says: vdso: Unexpected rt vDSO area bounds. Processes are written down and brought back by \
                 criu, with the kernel's help: install a version of it that knows this kernel\n"
            )
        )
    );
    let empty = house.directory.path().join("empty").display().to_string();
    restart(&mut house, &empty);
    let (_, error) = house.fails(&["checkpoint", "create", "one", "cp"]);
    assert_eq!(
        error,
        format!(
            "Error response from daemon: Cannot checkpoint container one: criu, which writes processes down and brings \
             them back, is not in PATH ({empty}): install it (Debian: apt-get install criu), and try again\n"
        )
    );
    assert_eq!(house.inspect("one", "{{.State.Status}}"), "running");
    assert_eq!(listed(&house, "one"), "CHECKPOINT NAME");
}

#[test]
fn the_container_ends_with_it_and_is_not_restarted() {
    let (house, work) = house();
    house.ok(&["run", "-d", "--name", "one", "--restart", "always", "bb", "sleep", "1000"]);
    let pid = house.inspect("one", "{{.State.Pid}}");
    assert_eq!(house.ok(&["checkpoint", "create", "--leave-running", "one", "first"]), "first");
    assert_eq!(house.inspect("one", "{{.State.Pid}}"), pid);
    // What is being written is not listed, and everything else is served meanwhile.
    std::fs::write(work.join("wait"), "").unwrap();
    std::thread::scope(|scope| {
        let made = scope.spawn(|| house.ok(&["checkpoint", "create", "one", "second"]));
        assert!(eventually(|| dumps(&work) == 2));
        assert_eq!(listed(&house, "one"), "CHECKPOINT NAME first");
        let (_, error) = house.fails(&["checkpoint", "create", "one", "third"]);
        assert!(error.contains("a checkpoint of it is being made"), "{error}");
        let (_, error) = house.fails(&["pause", "one"]);
        assert!(error.contains("a checkpoint of it is being made"), "{error}");
        house.ok(&["rename", "one", "uno"]);
        std::fs::remove_file(work.join("wait")).unwrap();
        assert_eq!(made.join().unwrap(), "second");
    });
    assert_eq!(
        house.inspect("uno", "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}"),
        "exited 137 0"
    );
    assert_eq!(listed(&house, "uno"), "CHECKPOINT NAME first second");
    assert!(house.ok(&["why", "uno"]).contains("somebody made a checkpoint of it"));
    let events = house.events(&["--filter", "event=checkpoint"], "{{.Actor.Attributes.name}}");
    assert_eq!(events, "one\nuno");
    // What criu is told of what comes from outside.
    let line = called(&work).lines().rfind(|line| line.starts_with("dump")).unwrap().to_owned();
    for part in
        ["--external net[", "--external mnt[/etc/hosts]:/etc/hosts", "--freeze-cgroup ", "--tcp-established"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }

    let (_, error) = house.fails(&["start", "--checkpoint", "second", "uno"]);
    assert!(
        error.contains("cannot start it from a checkpoint: criu restore failed: not here (its log is /"),
        "{error}"
    );
    assert_eq!(house.inspect("uno", "{{.State.Status}}"), "exited");
    house.ok(&["checkpoint", "rm", "uno", "first"]);
    let (_, error) = house.fails(&["checkpoint", "rm", "uno", "first"]);
    assert!(error.contains("checkpoint first does not exist for container uno"), "{error}");
    let (_, error) = house.fails(&["start", "--checkpoint", "first", "uno"]);
    assert!(error.contains("checkpoint first does not exist for container uno"), "{error}");
    house.ok(&["start", "uno"]);
    house.ok(&["rm", "-f", "uno"]);
}

#[test]
fn half_a_checkpoint_is_none() {
    let (mut house, work) = house();
    house.ok(&["run", "-d", "--name", "one", "--restart", "on-failure", "bb", "sleep", "1000"]);
    std::fs::write(work.join("dump"), "no such luck").unwrap();
    let (_, error) = house.fails(&["checkpoint", "create", "one", "cp"]);
    assert!(
        error.contains("Cannot checkpoint container one: criu dump failed: no such luck (its log is /"),
        "{error}"
    );
    assert_eq!(house.inspect("one", "{{.State.Status}}"), "running");
    assert_eq!(listed(&house, "one"), "CHECKPOINT NAME");
    std::fs::remove_file(work.join("dump")).unwrap();

    // It is killed while it is written: there is nobody left to write down.
    std::fs::write(work.join("wait"), "").unwrap();
    std::thread::scope(|scope| {
        let made = scope.spawn(|| house.fails(&["checkpoint", "create", "--leave-running", "one", "cp"]).1);
        assert!(eventually(|| dumps(&work) == 2));
        std::fs::write(work.join("dump"), "killed").unwrap();
        house.ok(&["kill", "-s", "STOP", "one"]);
        std::fs::remove_file(work.join("wait")).unwrap();
        assert!(made.join().unwrap().contains("killed"));
    });
    assert_eq!(listed(&house, "one"), "CHECKPOINT NAME");
    std::fs::remove_file(work.join("dump")).unwrap();

    // The engine is killed: whoever watches the container finishes it, and the next engine lists it.
    std::fs::write(work.join("wait"), "").unwrap();
    let socket = house.engine.host();
    let binary = crate::binary();
    let mut client = std::process::Command::new(binary);
    client
        .args(["checkpoint", "create", "one", "whole"])
        .env("DOCKER_HOST", socket)
        .env("WHARF_AUTOSTART", "0");
    let mut client =
        client.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    assert!(eventually(|| dumps(&work) == 3));
    restart(&mut house, &work.display().to_string());
    client.wait().unwrap();
    assert_eq!(listed(&house, "one"), "CHECKPOINT NAME");
    std::fs::remove_file(work.join("wait")).unwrap();
    assert!(eventually(|| listed(&house, "one") == "CHECKPOINT NAME whole"));
    house.until("one", "{{.State.Running}}", "false");
}

#[test]
fn what_cannot_be_written_down_is_refused_by_name() {
    let (house, work) = house();
    let here = house.directory.path().join("mine").display().to_string();
    for (options, text) in [
        (&["-t"][..], "it has a terminal"),
        (&["--init"], "the process that --init puts in front of it"),
        (&["--ipc", "shareable"], ""),
    ] {
        house.ok(&[&["run", "-d", "--name", "one"], options, &["bb", "sleep", "1000"]].concat());
        let got =
            house.run(&["checkpoint", "create", "--leave-running", "--checkpoint-dir", &here, "one", "cp"]);
        match text {
            "" => assert_eq!(got.status, 0, "{}", got.stderr),
            text => assert!(got.stderr.contains(text), "{}", got.stderr),
        }
        house.ok(&["rm", "-f", "one"]);
    }
    assert!(!called(&work).is_empty());
    house.ok(&["create", "--name", "idle", "bb", "true"]);
    assert_eq!(house.ok(&["checkpoint", "ls", "--checkpoint-dir", &here, "idle"]), "CHECKPOINT NAME\ncp");
    let id = house.inspect("idle", "{{.Id}}");
    for (words, text) in [
        (
            &["create", "idle", "cp"][..],
            format!("Cannot checkpoint container idle: container {id} is not running"),
        ),
        (
            &["create", "idle", "../cp"],
            "invalid checkpoint ID \"../cp\", only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed".into(),
        ),
        (&["ls", "nobody"], "No such container: nobody".into()),
        (
            &["ls", "--checkpoint-dir", "/nothing", "idle"],
            "checkpoint directory \"/nothing\" does not exist for container idle".into(),
        ),
        (&["rm", "idle", "cp"], "checkpoint cp does not exist for container idle".into()),
    ] {
        let (status, error) = house.fails(&[&["checkpoint"], words].concat());
        assert_eq!((status, error), (1, format!("Error response from daemon: {text}\n")));
    }
    house.ok(&["checkpoint", "rm", "--checkpoint-dir", &here, "idle", "cp"]);
    assert_eq!(house.ok(&["checkpoint", "ls", "--checkpoint-dir", &here, "idle"]), "CHECKPOINT NAME");
}
