//! The process: who it is, what it may, how it is scheduled, and how it ends.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::bundle::{Bundle, end_of, program, set_mode, status_of, until};

#[test]
fn resource_limits() {
    let mut bundle = Bundle::sh("rlimits", "ulimit -n; ulimit -Hn; grep -E 'core|stack' /proc/self/limits");
    bundle.spec["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": u64::MAX},
        {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 2 << 20},
    ]);
    let said = bundle.says();
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words[..2], ["100", "200"]);
    assert!(said.contains("Max core file size        0 "), "{said}");
    assert!(said.contains("1048576              2097152"), "{said}");
    for (limits, words) in [
        (json!([{"type": "RLIMIT_FLIES", "soft": 1, "hard": 1}]), "RLIMIT_FLIES"),
        (
            json!([{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 1}]),
            "duplicate rlimit",
        ),
        (json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]), "rlimit"),
    ] {
        bundle.spec["process"]["rlimits"] = limits;
        let text = bundle.refused();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_limit_is_for_the_program_and_not_for_its_set_up() {
    let mut bundle = Bundle::sh("low-limits", "ulimit -n; ulimit -f; exec sleep 1000");
    bundle.beside("out");
    bundle.bind("out", "/out", &[]);
    bundle.script("ulimit -n > /dev/null; ulimit -f; exec sleep 1000");
    bundle.spec["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3},
        {"type": "RLIMIT_FSIZE", "soft": 0, "hard": 0},
    ]);
    bundle.spec["hooks"] =
        json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo ran > /out/hook"]}]});
    bundle.good(&["create", &bundle.id]);
    bundle.good(&["start", &bundle.id]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", bundle.pid())).unwrap();
    assert!(limits.contains("Max open files            3                    3"), "{limits}");
    assert_eq!(std::fs::read_to_string(bundle.path().join("out/hook")).unwrap(), "ran\n");
}

#[test]
fn out_of_memory_score() {
    let mut bundle = Bundle::sh("oom", "cat /proc/self/oom_score_adj");
    bundle.spec["process"]["oomScoreAdj"] = json!(321);
    assert_eq!(bundle.says(), "321");
    bundle.spec["process"]["oomScoreAdj"] = json!(4000);
    assert!(bundle.refused().contains("write oom_score_adj 4000"));
}

/// The five sets as the kernel prints them.
fn sets(process: &Value) -> Vec<u64> {
    let mut bundle = Bundle::sh("capabilities", "grep ^Cap /proc/self/status");
    bundle.spec["process"]["capabilities"] = process["capabilities"].clone();
    bundle.spec["process"]["user"] = process["user"].clone();
    let said = bundle.says();
    // Inheritable, permitted, effective, bounding, ambient.
    said.lines().map(|l| u64::from_str_radix(l.split_whitespace().nth(1).unwrap(), 16).unwrap()).collect()
}

#[test]
fn the_five_capability_sets() {
    const CHOWN: u64 = 1;
    const KILL: u64 = 1 << 5;
    const BIND: u64 = 1 << 10;
    let some = json!(["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let few = json!(["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]);
    let root = json!({"uid": 0, "gid": 0});
    let user = json!({"uid": 1000, "gid": 1000});
    // Root gets what the bounding set holds, whatever the other sets say: the kernel's rule at execve.
    let got = sets(&json!({"user": root, "capabilities":
        {"bounding": some, "permitted": few, "effective": few}}));
    assert_eq!(got, [0, CHOWN | KILL | BIND, CHOWN | KILL | BIND, CHOWN | KILL | BIND, 0]);
    // Anybody else keeps what is ambient.
    let got = sets(&json!({"user": user, "capabilities":
        {"bounding": some, "permitted": some, "effective": some, "inheritable": few}}));
    assert_eq!(got, [CHOWN | BIND, 0, 0, CHOWN | KILL | BIND, 0]);
    let got = sets(&json!({"user": user, "capabilities":
        {"bounding": some, "permitted": some, "effective": some, "inheritable": few,
         "ambient": ["CAP_NET_BIND_SERVICE"]}}));
    assert_eq!(got, [CHOWN | BIND, BIND, BIND, CHOWN | KILL | BIND, BIND]);
    // What is ambient has to be inheritable and permitted.
    let got = sets(&json!({"user": user, "capabilities":
        {"bounding": some, "permitted": few, "inheritable": some, "ambient": some}}));
    assert_eq!(got[4], CHOWN | BIND);
    // None named, none had.
    assert_eq!(sets(&json!({"user": root})), [0; 5]);
    assert_eq!(sets(&json!({"user": root, "capabilities": {}})), [0; 5]);
}

#[test]
fn exec_has_the_containers_capabilities_unless_it_names_its_own() {
    let bundle = Bundle::sh("exec-capabilities", "exec sleep 1000");
    let pid = bundle.start();
    let wanted = status_of(pid, "CapBnd");
    let same =
        bundle.exec_process(|p| p["args"] = json!(["grep", "-E", "CapBnd|CapEff", "/proc/self/status"]));
    assert_eq!(same.stdout, format!("CapEff:\t{wanted}\nCapBnd:\t{wanted}\n"));
    let own = bundle.exec_process(|p| {
        p["args"] = json!(["grep", "CapEff", "/proc/self/status"]);
        p["capabilities"] =
            json!({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]});
    });
    assert_eq!(own.stdout, "CapEff:\t0000000000000020\n");
    let more =
        bundle.good(&["exec", "--cap", "CAP_SYS_PTRACE", &bundle.id, "grep", "CapEff", "/proc/self/status"]);
    let bits = |text: &str| u64::from_str_radix(text.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(bits(&more), bits(&wanted) | 1 << 19);
}

#[test]
fn no_new_privileges() {
    let mut bundle = Bundle::sh("nnp", "grep NoNewPrivs /proc/self/status | cut -f2");
    assert_eq!(bundle.says(), "0");
    bundle.spec["process"]["noNewPrivileges"] = json!(true);
    assert_eq!(bundle.says(), "1");
    bundle.spec["process"]["noNewPrivileges"] = json!(false);
    bundle.script("exec sleep 1000");
    bundle.start();
    let flag = ["grep", "NoNewPrivs", "/proc/self/status"];
    assert!(bundle.good(&[&["exec", &bundle.id][..], &flag].concat()).ends_with('0'));
    assert!(bundle.good(&[&["exec", "--no-new-privs", &bundle.id][..], &flag].concat()).ends_with('1'));
}

#[test]
fn user_groups_and_umask() {
    let mut bundle =
        Bundle::sh("who", "id -u; id -g; id -G; umask; touch /tmp/x; stat -c %a /tmp/x; echo $HOME");
    set_mode(&bundle.rootfs().join("tmp"), 0o1777);
    bundle.spec["process"]["user"] =
        json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 77, 1001], "umask": 0o027});
    assert_eq!(bundle.says(), "1000\n1001\n1001 5 77\n0027\n640\n/");
    bundle.spec["process"]["user"] = json!({"uid": 0, "gid": 0});
    bundle.script("id -G; umask; echo $HOME");
    std::fs::write(bundle.rootfs().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    assert_eq!(bundle.says(), "0\n0022\n/root");
    bundle.spec["process"]["env"] = json!(["PATH=/bin", "HOME=/elsewhere"]);
    assert_eq!(bundle.says(), "0\n0022\n/elsewhere");
}

#[test]
fn scheduling_policy() {
    // Field 41 of stat is the policy, 19 the nice value.
    let mut bundle = Bundle::sh("scheduler", "cut -d' ' -f19,41 /proc/self/stat; true");
    bundle.spec["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
    assert_eq!(bundle.says(), "7 3");
    bundle.spec["process"]["scheduler"] = json!({"policy": "SCHED_IDLE"});
    assert_eq!(bundle.says(), "0 5");
    bundle.spec["process"]["scheduler"] =
        json!({"policy": "SCHED_OTHER", "nice": -3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    assert_eq!(bundle.says(), "0 0", "a child does not keep it");
    for (scheduler, words) in [
        (json!({"policy": "SCHED_SOON"}), r#"invalid scheduler policy: "SCHED_SOON""#),
        (json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_MAYBE"]}), "SCHED_FLAG_MAYBE"),
        (json!({"policy": "SCHED_FIFO", "priority": 1000}), "set the scheduling policy"),
    ] {
        bundle.spec["process"]["scheduler"] = scheduler;
        let text = bundle.refused();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn io_priority() {
    let mut bundle = Bundle::sh("ioprio", "ionice -p $$");
    for (class, priority, wanted) in [
        ("IOPRIO_CLASS_BE", 3, "best-effort: prio 3"),
        ("IOPRIO_CLASS_IDLE", 0, "idle"),
        ("IOPRIO_CLASS_RT", 2, "realtime: prio 2"),
    ] {
        bundle.spec["process"]["ioPriority"] = json!({"class": class, "priority": priority});
        assert_eq!(bundle.says(), wanted);
    }
    bundle.spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 8});
    assert!(bundle.refused().contains("invalid ioPriority.priority: 8"));
    bundle.spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_NONE", "priority": 1});
    assert!(bundle.refused().contains("invalid ioPriority.class"));
}

#[test]
fn processors_of_exec() {
    let bundle = Bundle::sh("affinity", "exec sleep 1000");
    bundle.start();
    let on = |initial: &str, last: &str| {
        bundle.exec_process(|p| {
            p["args"] = json!(["sh", "-c", "grep Cpus_allowed_list /proc/self/status | cut -f2"]);
            p["execCPUAffinity"] = json!({"initial": initial, "final": last});
        })
    };
    assert_eq!(on("0", "0").stdout, "0\n");
    assert_eq!(on("", "0").stdout, "0\n");
    let wrong = on("", "0-");
    assert_ne!(wrong.code, 0);
    assert!(wrong.stderr.contains(r#"invalid CPU list "0-""#), "{wrong:?}");
}

#[test]
fn a_container_may_use_all_processors_whatever_its_caller_is_bound_to() {
    let bundle = Bundle::sh("unbound", "grep Cpus_allowed_list /proc/self/status | cut -f2");
    let outcome = bundle.shell("exec taskset -c 0 $oci run $id");
    let all = status_of(1, "Cpus_allowed_list");
    assert_eq!(outcome.stdout.trim(), all, "{outcome:?}");
}

#[test]
fn personality() {
    let mut bundle = Bundle::sh("personality", "uname -m; exec sleep 1000");
    bundle.spec["linux"]["personality"] = json!({"domain": "LINUX32"});
    bundle.script("uname -m");
    let short = if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" };
    assert_eq!(bundle.says(), short);
    bundle.script("exec sleep 1000");
    bundle.start();
    assert_eq!(bundle.exec("uname -m"), short);
    let mut bundle = Bundle::new("personality-wrong");
    bundle.spec["linux"]["personality"] = json!({"domain": "MULTICS"});
    assert!(bundle.refused().contains(r#"invalid personality domain "MULTICS""#));
    bundle.spec["linux"]["personality"] = json!({"domain": "LINUX", "flags": ["STICKY"]});
    assert!(bundle.refused().contains("STICKY"));
}

#[test]
fn memory_policy() {
    let mut bundle = Bundle::sh("mempolicy", "head -n 1 /proc/self/numa_maps | cut -d' ' -f2");
    bundle.spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"});
    assert_eq!(bundle.says(), "interleave:0");
    bundle.spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_RANDOM"});
    assert!(bundle.refused().contains("MPOL_RANDOM"));
}

#[test]
fn labels_are_refused_where_the_kernel_has_no_such_module() {
    let loaded = |path: &str| std::fs::exists(path).unwrap();
    for (key, module, words) in [
        ("apparmorProfile", "/sys/module/apparmor", "AppArmor is not enabled on this machine"),
        ("selinuxLabel", "/sys/fs/selinux/enforce", "SELinux is disabled or not supported on this machine"),
    ] {
        let mut bundle = Bundle::new("label");
        bundle.spec["process"][key] = json!("wharf-test-no-such-label");
        let text = bundle.refused();
        // Where the module is, the label is one that nobody has loaded.
        assert!(
            if loaded(module) { text.contains("unable to apply") } else { text.contains(words) },
            "{text}"
        );
    }
    if !loaded("/sys/module/apparmor") {
        let mut bundle = Bundle::new("unconfined");
        bundle.spec["process"]["apparmorProfile"] = json!("unconfined");
        bundle.says();
    }
}

#[test]
fn the_working_directory_is_made() {
    let mut bundle = Bundle::sh("cwd", "pwd; stat -c '%a %u' .");
    bundle.spec["process"]["cwd"] = json!("/srv/../deep/down");
    bundle.spec["root"]["readonly"] = json!(true);
    assert_eq!(bundle.says(), "/deep/down\n755 0");
    // Not for exec.
    bundle.script("exec sleep 1000");
    bundle.start();
    let missing = bundle.oci(&["exec", "--cwd", "/none", &bundle.id, "pwd"]);
    assert!(
        missing
            .stderr
            .contains(r#"chdir to cwd ("/none") set in config.json failed: no such file or directory"#),
        "{missing:?}"
    );
    // A directory for its user only is entered as that user.
    let mut bundle = Bundle::sh("own-cwd", "pwd");
    let own = bundle.rootfs().join("own");
    std::fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(1000), Some(1000)).unwrap();
    set_mode(&own, 0o700);
    bundle.spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    bundle.spec["process"]["cwd"] = json!("/own");
    assert_eq!(bundle.says(), "/own");
}

#[test]
fn an_exit_status_is_passed_on() {
    for (script, code) in
        [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("trap - TERM; kill -TERM $$; sleep 100", 255)]
    {
        let mut bundle = Bundle::sh("status", script);
        // PID 1 of a pid namespace cannot kill itself.
        bundle.without_namespace("pid");
        bundle.namespace("pid", None);
        if code > 42 {
            bundle.script(&format!("sh -c '{script}'; exit $?"));
        }
        let code = if code == 255 { 143 } else { code };
        assert_eq!(bundle.run().code, code, "{script}");
    }
}

#[test]
fn signals_reach_the_foreground_container() {
    let mut bundle = Bundle::new("proxy");
    bundle.bind("out", "/out", &[]);
    bundle.script(
        "trap 'echo term > /out/got' TERM; trap 'exit 43' USR1; trap 'echo rt > /out/rt' 35; touch /out/ready; \
         while :; do sleep 0.02; done",
    );
    let out = bundle.beside("out");
    let mut child = bundle.command(&["run", &bundle.id]).stdin(Stdio::null()).spawn().unwrap();
    until("it is ready", || out.join("ready").exists());
    let kill = |signal: &str| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    };
    kill("TERM");
    until("it got SIGTERM", || out.join("got").exists());
    kill("35");
    until("it got a real-time signal", || out.join("rt").exists());
    kill("USR1");
    assert_eq!(end_of(&mut child), 43);
    let text = bundle.oci(&["state", &bundle.id]).stderr;
    assert!(text.contains("container does not exist"), "{text}");
}

#[test]
fn kill_sends_any_signal() {
    let mut bundle = Bundle::new("kill");
    bundle.bind("out", "/out", &[]);
    bundle.script("for n in 10 12 37; do trap \"echo $n >> /out/got\" $n; done; touch /out/ready; while :; do sleep 0.02; done");
    let out = bundle.beside("out");
    bundle.start();
    until("it is ready", || out.join("ready").exists());
    for (signal, number) in [("USR1", "10"), ("SIGUSR2", "10\n12"), ("37", "10\n12\n37")] {
        bundle.good(&["kill", &bundle.id, signal]);
        until(signal, || std::fs::read_to_string(out.join("got")).is_ok_and(|t| t.trim() == number));
    }
    for wrong in ["SIGNOTHING", "65", "RTMIN+99", "-1"] {
        let outcome = bundle.oci(&["kill", &bundle.id, wrong]);
        assert_ne!(outcome.code, 0, "{wrong}");
    }
    bundle.good(&["kill", "--all", &bundle.id, "37"]);
    until("37 by --all", || std::fs::read_to_string(out.join("got")).unwrap().lines().count() == 4);
    bundle.good(&["kill", &bundle.id, "KILL"]);
    bundle.wait_for("stopped");
    let text = bundle.oci(&["kill", &bundle.id, "KILL"]).stderr;
    assert!(text.contains("container not running"), "{text}");
    bundle.good(&["kill", "--all", &bundle.id, "KILL"]);
}

#[test]
fn orphans_of_a_container_without_a_pid_namespace_leave_no_zombies() {
    let mut bundle = Bundle::new("orphans");
    bundle.without_namespace("pid");
    bundle.bind("out", "/out", &[]);
    bundle.script(
        "(sleep 0 & echo $! > /out/orphan); touch /out/ready; while [ ! -e /out/end ]; do sleep 0.02; done",
    );
    let out = bundle.beside("out");
    let mut child = bundle.command(&["run", &bundle.id]).stdin(Stdio::null()).spawn().unwrap();
    until("it is ready", || out.join("ready").exists());
    let orphan = std::fs::read_to_string(out.join("orphan")).unwrap();
    until("the orphan is reaped", || !Path::new("/proc").join(orphan.trim()).exists());
    std::fs::write(out.join("end"), "").unwrap();
    assert_eq!(end_of(&mut child), 0);
}

#[test]
fn init_reaps_forwards_and_ends_as_the_program_does() {
    let mut bundle = Bundle::new("init");
    bundle.bind("out", "/out", &[]);
    bundle.script(
        "echo $$ > /out/pid; (sleep 0 & echo $! > /out/orphan); trap 'exit 44' TERM; ls -l /proc/1/fd > /out/fds 2>&1; \
         cat /proc/1/comm > /out/comm; touch /out/ready; while :; do sleep 0.02; done",
    );
    let out = bundle.beside("out");
    // Written by this.
    drop(bundle.command(&[]));
    let mut child = Command::new(program("once"))
        .arg(bundle.path())
        .env("REAPER", "1")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("it is ready", || out.join("ready").exists());
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap().trim().to_owned();
    assert_eq!(read("pid"), "2", "the program is not PID 1");
    let orphan = read("orphan");
    let first = std::fs::read_to_string(format!("/proc/{}/task/{0}/children", child.id())).unwrap();
    let first = first.trim().to_owned();
    until("the orphan is reaped", || {
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        children.split_whitespace().count() == 1
    });
    assert_ne!(orphan, "");
    // Nothing in the container looks into PID 1, which is a copy of the host's binary.
    assert!(read("fds").contains("Permission denied") || !read("fds").contains("->"), "{}", read("fds"));
    let own = std::fs::read_dir(format!("/proc/{first}/fd")).unwrap().count();
    assert_eq!(own, 4, "it keeps the standard streams and the program's pidfd only");
    assert!(Command::new("kill").args(["-TERM", &first]).status().unwrap().success());
    assert_eq!(end_of(&mut child), 44);
}

#[test]
fn descriptors_asked_for_are_passed_on_and_no_others() {
    let mut bundle = Bundle::sh("preserve", "cat <&3; cat <&4; ls /proc/self/fd");
    std::fs::write(bundle.path().join("a"), "a\n").unwrap();
    std::fs::write(bundle.path().join("b"), "b\n").unwrap();
    let line = |verb: &str, more: &str| {
        format!("exec 3< a 4< b 5< a 9< b; exec $oci {verb} --preserve-fds 2 {more}")
    };
    let said = bundle.shell(&line("run", "$id"));
    // The last is the directory that ls reads.
    assert_eq!(said.stdout, "a\nb\n0\n1\n2\n3\n4\n5\n", "{said:?}");
    let none = bundle.shell("exec 3< a; exec $oci run --preserve-fds 2 $id");
    assert_eq!(none.code, 1);
    assert!(
        none.stderr.contains("unable to stat preserved-fd 1 (of 2): no such file or directory"),
        "{none:?}"
    );
    bundle.script("exec sleep 1000");
    bundle.start();
    let said = bundle.shell(&line("exec", "$id sh -c 'cat <&3; cat <&4; ls /proc/self/fd'"));
    assert_eq!(said.stdout, "a\nb\n0\n1\n2\n3\n4\n5\n", "{said:?}");
}

#[test]
fn sockets_of_a_supervisor_are_passed_on() {
    let bundle = Bundle::sh("listen", "echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4");
    std::fs::write(bundle.path().join("a"), "a\n").unwrap();
    std::fs::write(bundle.path().join("b"), "b\n").unwrap();
    let said =
        bundle.shell("exec 3< a 4< b; export LISTEN_FDS=1 LISTEN_PID=$$; exec $oci run --preserve-fds 1 $id");
    assert_eq!(said.stdout, "1 1\na\nb\n", "{said:?}");
    // Meant for another process.
    let said =
        bundle.shell("exec 3< a 4< b; export LISTEN_FDS=1 LISTEN_PID=1; exec $oci run --preserve-fds 2 $id");
    assert_eq!(said.stdout, "\na\nb\n", "{said:?}");
}

#[test]
fn the_pid_is_written() {
    let bundle = Bundle::sh("pid-file", "exec sleep 1000");
    let path = bundle.path().join("pid");
    bundle.good(&["create", "--pid-file", path.to_str().unwrap(), &bundle.id]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), bundle.pid().to_string());
    bundle.good(&["start", &bundle.id]);
    bundle.good(&["exec", "--detach", "--pid-file", path.to_str().unwrap(), &bundle.id, "sleep", "1000"]);
    let pid: i32 = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    assert_ne!(pid, bundle.pid());
    assert_eq!(namespace_pid(pid), namespace_pid(bundle.pid()));
    assert!(bundle.good(&["ps", "--format", "json", &bundle.id]).contains(&pid.to_string()));
}

fn namespace_pid(pid: i32) -> String {
    crate::bundle::namespace_of(pid, "pid")
}
