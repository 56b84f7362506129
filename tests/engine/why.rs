//! `why`: of real containers that end, or do not begin, each in its own way.

use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};

use crate::House;

impl House {
    /// A container that is to execute `/app`, with this file there.
    fn with_app(&self, name: &str, content: &[u8], mode: u32) {
        self.ok(&["create", "--name", name, "bb", "/app"]);
        let file = self.directory.path().join(name);
        std::fs::write(&file, content).expect("write the program");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set its mode");
        self.ok(&["cp", &file.display().to_string(), &format!("{name}:/app")]);
    }

    #[track_caller]
    fn why(&self, name: &str, cause: &str, words: &[&str]) {
        let line = self.ok(&["why", name]);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(self.ok(&["container", "why", "--format", "{{.Cause}}", name]), cause, "{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in: {line}");
        }
    }
}

#[test]
fn starts_that_fail_say_what_is_missing() {
    let house = House::new();
    house.with_app("script", b"#!/usr/bin/python3 -u\nprint()\n", 0o755);
    house.with_app("windows", b"#!/bin/sh\r\necho\r\n", 0o755);
    // Linked dynamically, as everything on a Debian is; busybox is not.
    let dynamic = std::fs::read("/usr/bin/env").expect("read /usr/bin/env");
    house.with_app("dynamic", &dynamic, 0o755);
    let mut foreign = std::fs::read("/bin/busybox").expect("read /bin/busybox");
    // `e_machine`: SPARC, which nobody has.
    foreign[18..20].copy_from_slice(&[2, 0]);
    house.with_app("foreign", &foreign, 0o755);
    house.with_app("plain", b"#!/bin/sh\necho\n", 0o644);
    house.with_app("text", b"echo no first line\n", 0o755);
    house.with_app("empty", b"", 0o755);
    // A script whose interpreter has no loader.
    house.with_app("chain", b"#!/env\n", 0o755);
    house.ok(&["cp", "/usr/bin/env", "chain:/env"]);
    for (name, command) in
        [("absent", "/nowhere/app"), ("nameless", "no-such-program"), ("directory", "/etc")]
    {
        house.ok(&["create", "--name", name, "bb", command]);
    }
    house.ok(&["create", "--name", "noexec", "-v", "/proc:/host:ro", "bb", "/host/version"]);
    house.ok(&["create", "--name", "nobody", "-u", "ghost", "bb", "true"]);

    house.why("script", "created", &["it was never started"]);
    for (name, cause, words) in [
        (
            "script",
            "missing-interpreter",
            ["/app is there", "/usr/bin/python3 is not", "the first line of /app"].as_slice(),
        ),
        ("windows", "missing-interpreter", &["Windows", "/bin/sh\\r"]),
        ("dynamic", "missing-loader", &["/app is there", "ld-linux", "PT_INTERP of /app"]),
        ("chain", "missing-loader", &["/env is there", "ld-linux"]),
        ("foreign", "wrong-architecture", &["ELF machine 2", "e_machine of /app"]),
        ("plain", "permission", &["/app is not executable", "0644"]),
        ("text", "no-program", &["neither a program nor a script"]),
        ("empty", "no-program", &["/app is empty"]),
        ("absent", "not-found", &["/nowhere/app"]),
        ("nameless", "not-found", &["no-such-program", "looked in /usr"]),
        ("directory", "permission", &["/etc is a directory"]),
        ("nobody", "no-user", &["ghost"]),
    ] {
        house.fails(&["start", name]);
        house.why(name, cause, words);
    }
    house.fails(&["start", "noexec"]);
    house.why("noexec", "permission", &["/host/version is not executable"]);
    // What is mended starts, and then there is nothing to explain.
    house.ok(&["cp", "/bin/busybox", "empty:/app"]);
    house.ok(&["start", "empty"]);
    house.until("empty", "{{.State.Status}}", "exited");
    house.why("empty", "exited", &["exit code"]);
    let (status, text) = house.fails(&["why", "script", "nobody-knows"]);
    assert!(status == 1 && text.contains("No such container: nobody-knows"), "{status} {text}");
}

#[test]
fn ends_say_who_or_what_ended_them() {
    let mut house = House::new();
    let sleep =
        |house: &House, name: &str| house.ok(&["run", "-d", "--name", name, "--init", "bb", "sleep", "1000"]);
    let kill = |house: &House, name: &str, signal: Signal| {
        let pid = house.inspect(name, "{{.State.Pid}}").parse().ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("kill it");
        house.until(name, "{{.State.Status}}", "exited");
    };
    sleep(&house, "running");
    house.why("running", "running", &["it runs", "process "]);
    house.ok(&["pause", "running"]);
    house.why("running", "paused", &[]);

    sleep(&house, "outside");
    kill(&house, "outside", Signal::KILL);
    house.why("outside", "signal", &["SIGKILL", "not through the engine", "exit code 137"]);

    sleep(&house, "stopped");
    house.ok(&["stop", "stopped"]);
    house.why("stopped", "stopped", &["somebody stopped it with `stop`", "the engine sent SIGTERM", "143"]);
    house.ok(&["start", "stopped"]);
    house.why("stopped", "running", &[]);
    house.ok(&["kill", "stopped"]);
    house.until("stopped", "{{.State.Status}}", "exited");
    house.why("stopped", "killed", &["SIGKILL with `kill`"]);

    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    house.ok(&["run", "-d", "--name", "deaf", "bb", "sh", "-c", deaf]);
    assert!(crate::eventually(|| house.ok(&["logs", "deaf"]) == "ready"));
    house.ok(&["stop", "-t", "1", "deaf"]);
    house.why("deaf", "stopped", &["did not end in the time", "SIGKILL"]);

    // Without swap, or it takes long; not PID 1 alone, which a kernel may spare.
    house.run(&["run", "--name", "oom", "-m", "16m", "--memory-swap", "16m", "bb", "tail", "/dev/zero"]);
    house.why("oom", "oom", &["the kernel killed it", "memory limit of 16 MiB", "exit code 137"]);

    let profile = house.directory.path().join("seccomp.json");
    let names = r#"["mkdir", "mkdirat"]"#;
    let rule = format!(r#"{{"names": {names}, "action": "SCMP_ACT_KILL_PROCESS"}}"#);
    std::fs::write(&profile, format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#))
        .expect("write the profile");
    let option = format!("seccomp={}", profile.display());
    house.run(&["run", "--name", "filtered", "--security-opt", &option, "bb", "mkdir", "/x"]);
    house.why("filtered", "seccomp", &["a seccomp filter killed it", "SIGSYS"]);

    house.run(&[
        "run",
        "--name",
        "failed",
        "bb",
        "sh",
        "-c",
        "echo first; echo cannot find my data >&2; exit 3",
    ]);
    house.why("failed", "exited", &["a failure of its own, 3", "its last line: cannot find my data"]);
    house.run(&["run", "--name", "unfound", "bb", "sh", "-c", "no-such-program"]);
    house.why("unfound", "exited", &["a shell in it did not find a program", "no-such-program: not found"]);
    house.run(&["run", "--name", "fine", "bb", "true"]);
    house.why("fine", "exited", &["it finished, and reported success"]);

    // It is known to the next engine, too, and what happened while there was none.
    sleep(&house, "between");
    let pid = house.inspect("between", "{{.State.Pid}}").parse().ok().and_then(Pid::from_raw).expect("a pid");
    house.engine.kill();
    kill_process(pid, Signal::KILL).expect("end it");
    house.engine.run();
    house.why("deaf", "stopped", &["did not end in the time"]);
    house.until("between", "{{.State.Status}}", "exited");
    house.why("between", "signal", &["exit code"]);
}
