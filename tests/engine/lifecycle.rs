//! Pause, restart, rename, top, wait, kill, stop; and restart policies.

use crate::{House, eventually};

#[test]
fn a_container_is_paused_renamed_and_looked_into() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "ca", "bb", "sleep", "1000"]);
    house.ok(&["pause", "ca"]);
    assert_eq!(
        house.inspect("ca", "{{.State.Status}} {{.State.Running}} {{.State.Paused}}"),
        "paused true true"
    );
    assert!(house.fails(&["pause", "ca"]).1.contains("is already paused"));
    assert!(house.fails(&["exec", "ca", "true"]).1.contains("is paused, unpause the container before exec"));
    house.ok(&["unpause", "ca"]);
    assert!(house.fails(&["unpause", "ca"]).1.contains("is not paused"));
    house.ok(&["rename", "ca", "cb"]);
    // Of anything else, it might be the beginning of an id.
    assert!(house.fails(&["container", "inspect", "ca"]).1.to_lowercase().contains("no such"));
    let top = house.ok(&["top", "cb", "-o", "pid,args"]);
    assert!(top.contains("sleep 1000"), "{top}");
    let before = house.inspect("cb", "{{.State.Pid}}");
    house.ok(&["restart", "-t", "0", "cb"]);
    assert_ne!(house.inspect("cb", "{{.State.Pid}}"), before);
    // A paused container is stopped all the same.
    house.ok(&["pause", "cb"]);
    house.ok(&["stop", "-t", "0", "cb"]);
    assert_eq!(house.inspect("cb", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
}

#[test]
fn a_name_that_is_almost_one_is_told() {
    let house = House::new();
    house.ok(&["create", "--name", "bob_the_contariner", "bb", "true"]);
    let meant = "\n\nDid you mean this?\n\tbob_the_contariner\n";
    let missing = "Error response from daemon: No such container: bob_the_container";
    for (words, complaint) in [
        (&["start"][..], &format!("{missing}\nfailed to start containers: bob_the_container")),
        (&["stop"], &missing.to_owned()),
        (&["attach"], &missing.to_owned()),
        (&["inspect"], &"error: no such object: bob_the_container".to_owned()),
    ] {
        let (status, error) = house.fails(&[words, &["bob_the_container"]].concat());
        assert_eq!((status, error.trim_start()), (1, format!("{complaint}{meant}").as_str()), "{words:?}");
    }
    let (_, error) = house.fails(&["rm", "bob_the_builder"]);
    assert_eq!(error, "Error response from daemon: No such container: bob_the_builder\n");
}

#[test]
fn waits_end_as_they_were_asked() {
    let house = House::new();
    house.ok(&["create", "--name", "cw", "bb", "sh", "-c", "exit 5"]);
    assert_eq!(house.ok(&["wait", "cw"]), "0", "not running already");
    house.ok(&["start", "cw"]);
    house.until("cw", "{{.State.Status}}", "exited");
    assert_eq!(house.ok(&["wait", "cw"]), "5");
}

#[test]
fn signals_in_every_spelling() {
    let house = House::new();
    let line = "trap 'echo usr1' USR1; trap 'echo hup' HUP; trap 'echo thirty-seven' 37; trap 'exit 3' TERM; \
                echo ready; while :; do sleep 0.05; done";
    house.ok(&["run", "-d", "--name", "cs", "bb", "sh", "-c", line]);
    let says = |what: &str| {
        let said = eventually(|| house.ok(&["logs", "cs"]).lines().any(|line| line == what));
        assert!(said, "{what}: {}", house.ok(&["logs", "cs"]));
    };
    says("ready");
    for (signal, word) in [("USR1", "usr1"), ("sighup", "hup"), ("RTMIN+3", "thirty-seven")] {
        house.ok(&["kill", "-s", signal, "cs"]);
        says(word);
    }
    assert!(house.fails(&["kill", "-s", "NOPE", "cs"]).1.contains("invalid signal: NOPE"));
    house.ok(&["kill", "-s", "15", "cs"]);
    house.until("cs", "{{.State.Status}} {{.State.ExitCode}}", "exited 3");
    assert!(house.fails(&["kill", "cs"]).1.contains("is not running"));
}

#[test]
fn a_stop_is_patient_and_then_not() {
    let house = House::new();
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    house.ok(&["run", "-d", "--name", "deaf", "--stop-timeout", "1", "bb", "sh", "-c", deaf]);
    assert!(eventually(|| house.ok(&["logs", "deaf"]) == "ready"));
    let begun = std::time::Instant::now();
    house.ok(&["stop", "deaf"]);
    assert!(begun.elapsed().as_millis() >= 1000, "{:?}", begun.elapsed());
    assert_eq!(house.inspect("deaf", "{{.State.ExitCode}}"), "137");
    let polite = "trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done";
    house.ok(&["run", "-d", "--name", "polite", "--stop-signal", "INT", "bb", "sh", "-c", polite]);
    assert!(eventually(|| house.ok(&["logs", "polite"]) == "ready"));
    house.ok(&["stop", "polite"]);
    assert_eq!(house.inspect("polite", "{{.State.ExitCode}}"), "4");
}

#[test]
fn many_are_ended_at_a_time_and_told_in_order() {
    let house = House::new();
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let names = ["c1", "c2", "c3", "c4", "c5", "c6"];
    for name in names {
        house.ok(&["run", "-d", "--name", name, "--stop-timeout", "2", "bb", "sh", "-c", deaf]);
        assert!(eventually(|| house.ok(&["logs", name]) == "ready"));
    }
    let all = |verb: &[&'static str]| [verb, &names].concat();
    let begun = std::time::Instant::now();
    assert_eq!(house.ok(&all(&["stop"])), names.join("\n"));
    // One after the other it takes twelve seconds.
    assert!((2..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    house.ok(&all(&["start"]));
    assert_eq!(house.ok(&all(&["kill"])), names.join("\n"));
    house.ok(&all(&["start"]));
    for (verb, status) in [("pause", "paused"), ("unpause", "running")] {
        assert_eq!(house.ok(&all(&[verb])), names.join("\n"));
        assert!(names.iter().all(|name| house.inspect(name, "{{.State.Status}}") == status));
    }
    // What fails stands behind what does not, and in its own order.
    let (_, errors) = house.fails(&["rm", "nobody", "c1", "/", "c2"]);
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 4, "{errors}");
    assert!(
        lines[0].contains("No such container: nobody") && lines[1].contains("container is running"),
        "{errors}"
    );
    assert_eq!(lines[2], "container name cannot be empty");
    assert_eq!(house.ok(&[&["rm", "-f", "nobody"], &names[..]].concat()), names.join("\n"));
    assert_eq!(house.ok(&["ps", "-aq"]), "");
}

#[test]
fn failures_are_restarted_as_often_as_asked() {
    let house = House::new();
    house.ok(&[
        "run",
        "-d",
        "--name",
        "cf",
        "--restart",
        "on-failure:2",
        "bb",
        "sh",
        "-c",
        "echo try; exit 3",
    ]);
    house.until("cf", "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}", "exited 2 3");
    assert_eq!(house.ok(&["logs", "cf"]), "try\ntry\ntry");
    house.ok(&["run", "-d", "--name", "good", "--restart", "on-failure", "bb", "true"]);
    house.until("good", "{{.State.Status}} {{.RestartCount}}", "exited 0");
}

#[test]
fn policies_hold_over_a_crash_of_the_engine() {
    let mut house = House::new();
    for policy in ["always", "unless-stopped"] {
        house.ok(&["run", "-d", "--name", policy, "--restart", policy, "bb", "sleep", "1000"]);
        let stopped = format!("{policy}-stopped");
        house.ok(&["run", "-d", "--name", &stopped, "--restart", policy, "bb", "sleep", "1000"]);
        house.ok(&["stop", "-t", "0", &stopped]);
    }
    house.ok(&["run", "-d", "--name", "none", "bb", "sleep", "1000"]);
    let pid_of = |house: &House, name: &str| house.inspect(name, "{{.State.Pid}}");
    let (untouched, ended) = (pid_of(&house, "none"), pid_of(&house, "always"));
    house.engine.kill();
    // One ends while nobody looks.
    let pid = rustix::process::Pid::from_raw(ended.parse().expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill it");
    house.engine.run();
    house.until("always", "{{.State.Status}}", "running");
    assert_ne!(pid_of(&house, "always"), ended);
    assert_eq!(pid_of(&house, "none"), untouched);
    house.until("unless-stopped", "{{.State.Status}}", "running");
    // Docker starts these again with the daemon, whoever stopped them.
    house.until("always-stopped", "{{.State.Status}}", "running");
    assert_eq!(house.inspect("unless-stopped-stopped", "{{.State.Status}}"), "exited");
}

/// Its overlay leaves out syncs, and the kernel marks that: what it did before the restart is there all the same.
#[test]
fn a_rm_container_that_is_restarted_keeps_its_files() {
    let house = House::new();
    house.ok(&[
        "run",
        "-d",
        "--rm",
        "--name",
        "short",
        "bb",
        "sh",
        "-c",
        "echo once >> /kept; exec sleep 1000",
    ]);
    for times in 2..4 {
        house.ok(&["restart", "-t", "0", "short"]);
        let count = || house.run(&["exec", "short", "cat", "/kept"]).stdout.lines().count();
        assert!(eventually(|| count() == times), "{} lines, not {times}", count());
    }
    house.ok(&["kill", "short"]);
    assert!(eventually(|| house.run(&["container", "inspect", "short"]).status != 0), "it stays");
}

#[test]
fn an_exec_in_a_relative_directory_is_refused() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "one", "bb", "sleep", "1000"]);
    let text = "OCI runtime exec failed: exec failed: Cwd must be an absolute path";
    let got = house.run(&["exec", "-w", "etc", "one", "pwd"]);
    assert_eq!((got.status, format!("{}{}", got.stdout, got.stderr).trim_end()), (128, text));
    let (status, error) = house.fails(&["exec", "-d", "-w", "etc", "one", "pwd"]);
    assert_eq!((status, error.trim_end()), (1, &*format!("Error response from daemon: {text}")));
    assert_eq!(house.ok(&["exec", "-w", "/etc", "one", "pwd"]), "/etc");
}
