//! What a hostile image, container or configuration tries.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::bundle::{Bundle, compile, program, set_mode, until};

/// A directory of the host that nothing may reach, with one file.
fn outside(bundle: &Bundle) -> std::path::PathBuf {
    let path = bundle.beside("outside");
    std::fs::write(path.join("file"), "untouched").unwrap();
    path
}

fn untouched(path: &Path) {
    let names: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["file"], "nothing came to {}", path.display());
    assert_eq!(std::fs::read_to_string(path.join("file")).unwrap(), "untouched");
}

#[test]
fn links_in_an_image_lead_no_mount_out_of_it() {
    for climbing in [false, true] {
        let mut bundle =
            Bundle::sh("links", "cat /link/sub/made /link/bound /link/plain 2>&1; mount | grep -c link");
        let target = outside(&bundle);
        let text = if climbing {
            format!("../../../../../..{}", target.display())
        } else {
            target.display().to_string()
        };
        symlink(&text, bundle.rootfs().join("link")).unwrap();
        symlink("link/deeper", bundle.rootfs().join("second")).unwrap();
        let source = bundle.path().join("source");
        std::fs::write(&source, "content\n").unwrap();
        bundle.mount(json!({"destination": "/link/sub", "type": "tmpfs", "options": ["mode=700"]}));
        bundle.mount(json!({"destination": "/link/bound", "source": source, "options": ["bind"]}));
        bundle.mount(json!({"destination": "/second/mq", "type": "mqueue"}));
        bundle.mount(json!({"destination": "/link/../../../../../../etc/escaped", "type": "tmpfs"}));
        bundle.run();
        untouched(&target);
        assert!(!Path::new("/etc/escaped").exists());
        // It all came to lie inside, as a chroot would have it.
        let inside = bundle.rootfs().join(target.strip_prefix("/").unwrap());
        assert!(
            inside.join("sub").is_dir()
                && inside.join("bound").is_file()
                && inside.join("deeper/mq").is_dir()
        );
    }
}

#[test]
fn links_in_an_image_lead_no_device_out_of_it() {
    let mut bundle = Bundle::new("device-links");
    let target = outside(&bundle);
    // No tmpfs over /dev: what the image has there is what counts.
    bundle.spec["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    std::fs::remove_dir(bundle.rootfs().join("dev")).unwrap();
    symlink(&target, bundle.rootfs().join("dev")).unwrap();
    bundle.spec["linux"]["devices"] = json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]);
    bundle.run();
    untouched(&target);
    let inside = bundle.rootfs().join(target.strip_prefix("/").unwrap());
    assert!(inside.join("x").exists() && inside.join("null").exists());
}

#[test]
fn proc_and_sys_are_not_mounted_through_a_link() {
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let mut bundle = Bundle::new("proc-link");
        let place = bundle.rootfs().join(name);
        std::fs::remove_dir(&place).unwrap();
        symlink("/tmp", &place).unwrap();
        bundle.spec["mounts"] = json!([{"destination": format!("/{name}"), "type": kind, "source": kind}]);
        let text = bundle.refused();
        assert!(text.contains(&format!("/{name}")), "{text}");
    }
}

#[test]
fn only_proc_is_mounted_over_proc() {
    let mount = |mount: serde_json::Value| {
        let mut bundle = Bundle::sh("over-proc", "cat /proc/uptime; cat /proc/self/comm");
        let fake = bundle.beside("fake");
        std::fs::write(fake.join("uptime"), "long ago\n").unwrap();
        symlink("/proc", bundle.rootfs().join("hidden-way")).unwrap();
        bundle.mount(mount);
        bundle.run()
    };
    for (what, words) in [
        (
            json!({"destination": "/proc", "type": "tmpfs"}),
            r#""/proc" cannot be mounted because it is not of type proc"#,
        ),
        (
            json!({"destination": "/proc", "source": "fake", "options": ["bind"]}),
            r#""/proc" cannot be mounted because it is not of type proc"#,
        ),
        (
            json!({"destination": "/hidden-way", "source": "fake", "options": ["bind"]}),
            r#""/proc" cannot be mounted because it is not of type proc"#,
        ),
        (
            json!({"destination": "/proc/sys", "type": "tmpfs"}),
            r#""/proc/sys" cannot be mounted because it is inside /proc"#,
        ),
        (
            json!({"destination": "/proc/self/attr", "source": "fake", "options": ["bind"]}),
            "cannot be mounted because it is inside /proc",
        ),
        (
            json!({"destination": "/hidden-way/1/task", "type": "tmpfs"}),
            "cannot be mounted because it is inside /proc",
        ),
        (
            json!({"destination": "/proc/version", "source": "fake/uptime", "options": ["bind"]}),
            "cannot be mounted because it is inside /proc",
        ),
        (
            json!({"destination": "/", "source": "fake", "options": ["bind"]}),
            "cannot be mounted over the root file system",
        ),
        (json!({"destination": "/tmp/..", "type": "tmpfs"}), "cannot be mounted over the root file system"),
    ] {
        let outcome = mount(what);
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{words}: {outcome:?}");
    }
    // As lxcfs does it, and a procfs of somebody else.
    let outcome = mount(json!({"destination": "/proc/uptime", "source": "fake/uptime", "options": ["bind"]}));
    assert_eq!(outcome.stdout, "long ago\ncat\n", "{outcome:?}");
    let outcome = mount(json!({"destination": "/proc", "source": "/proc", "options": ["rbind"]}));
    assert_eq!(outcome.code, 0, "{outcome:?}");
}

#[test]
fn the_hosts_proc_is_verified() {
    let bundle = Bundle::new("fake-proc");
    let outcome = bundle.shell(
        "exec unshare --mount --propagation private sh -ec 'mount -t tmpfs none /proc; exec $oci run $id'",
    );
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("/proc is not a proc file system"), "{outcome:?}");
    // A part of one is none either.
    let outcome = bundle.shell(
        "exec unshare --mount --propagation private sh -ec 'mount --bind /proc/sys /proc; exec $oci run $id'",
    );
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("/proc is not a proc file system"), "{outcome:?}");
}

#[test]
fn no_descriptor_of_the_caller_or_the_runtime_reaches_the_container() {
    let script = "ls /proc/self/fd > /tmp/n; wc -l < /tmp/n; ls -l /proc/self/fd /proc/1/fd > /tmp/l 2> /dev/null; \
                  grep -v -E ' (0|1|2) -> ' /tmp/l > /tmp/m; grep -e '->' /tmp/m";
    let holder = Bundle::sh("fd-holder", "exec sleep 1000");
    let pid = holder.start();
    let leaky = "exec 3< /etc/passwd 7< / 9< /proc 200< config.json; exec $oci";
    // ls's own directory is the fourth.
    let check = |bundle: &Bundle, verb: &str, rest: &str| {
        let outcome = bundle.shell(&format!("{leaky} {verb} $id {rest}"));
        let said: Vec<&str> = outcome.stdout.lines().collect();
        assert_eq!(said.first(), Some(&"4"), "{verb}: {outcome:?}");
        // The shell keeps its own streams aside while it redirects; those are files of the test.
        let known = |line: &&str| line.contains("/fd") || line.contains("/tmp/#");
        assert!(said[1..].iter().all(known), "{verb}: {outcome:?}");
    };
    let mut bundle = Bundle::sh("fds", script);
    check(&bundle, "run", "");
    bundle.spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]});
    bundle.namespace("network", Some(&format!("/proc/{pid}/ns/net")));
    bundle.namespace("ipc", Some(&format!("/proc/{pid}/ns/ipc")));
    bundle.namespace("time", None);
    bundle.bind("data", "/data", &["idmap"]);
    let map = json!([{"containerID": 0, "hostID": 0, "size": 10}]);
    bundle.spec["mounts"][3]["uidMappings"] = map.clone();
    bundle.spec["mounts"][3]["gidMappings"] = map;
    check(&bundle, "run", "");
    bundle.namespace("time", None);
    bundle.user_namespace();
    check(&bundle, "run", "");
    bundle.script("exec sleep 1000");
    assert_eq!(bundle.shell(&format!("{leaky} run --detach $id")).code, 0);
    check(&bundle, "exec", &format!("sh -c \"{script}\""));

    // Nor a hook that runs in the container.
    let mut bundle = Bundle::new("hook-fds");
    bundle.bind("out", "/out", &[]);
    bundle.spec["hooks"] = json!({"startContainer": [{"path": "/bin/sh", "env": ["PATH=/bin"],
        "args": ["sh", "-c", "ls -l /proc/self/fd > /out/fds"]}]});
    assert_eq!(bundle.shell(&format!("{leaky} run $id")).code, 0);
    let seen = std::fs::read_to_string(bundle.path().join("out/fds")).unwrap();
    // Three streams and the directory that `ls` reads.
    assert_eq!(seen.lines().filter(|line| !line.starts_with("total")).count(), 4, "{seen}");
}

#[test]
fn a_waiting_container_holds_nothing_of_the_host() {
    let bundle = Bundle::new("waiting");
    bundle.good(&["create", &bundle.id]);
    let directory = format!("/proc/{}", bundle.pid());
    let root = std::fs::read_link(format!("{directory}/root")).unwrap();
    assert_eq!(root, Path::new("/"), "as seen in its own mount namespace");
    for fd in std::fs::read_dir(format!("{directory}/fd")).unwrap() {
        let target = std::fs::read_link(fd.unwrap().path()).unwrap();
        let text = target.to_string_lossy().into_owned();
        // Standard streams of the test, and the sockets it waits at.
        let good = text.starts_with("socket:")
            || text.starts_with("/dev/null")
            || text.contains("(deleted)")
            || text == "/proc";
        assert!(good, "{text}");
    }
}

#[test]
fn the_hosts_binary_cannot_be_overwritten_from_inside() {
    // CVE-2019-5736: the container makes the runtime's own file its program, and opens it for writing later.
    let mut bundle = Bundle::new("exe");
    bundle.script("mkfifo -m 666 /tmp/state.json; exec sleep 1000");
    set_mode(&bundle.rootfs().join("tmp"), 0o777);
    let before = std::fs::read(program("oci")).unwrap();
    bundle.start();
    // The host's file on its way: `exec` of /proc/self/exe runs the runtime itself in the container. It waits at a fifo.
    bundle.exec("mkdir -p /s/c; until [ -p /tmp/state.json ]; do sleep 0.02; done; ln /tmp/state.json /s/c/state.json");
    let mut victim = bundle
        .command(&["exec", &bundle.id, "/proc/self/exe", "--root", "/s", "state", "c"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let attack = "for p in /proc/[0-9]*; do case \"$(tr '\\0' ' ' < $p/cmdline)\" in /proc/self/exe*) \
                    exec 9< $p/exe || exit 1; echo found; \
                    for way in /proc/self/fd/9 $p/exe; do echo attack 2> /dev/null > $way && echo written; done; \
                    chmod 777 $p/exe 2> /dev/null && echo changed; \
                    echo > /tmp/state.json; while [ -e $p/cmdline ]; do sleep 0.02; done; \
                    echo attack 2> /dev/null > /proc/self/fd/9 && echo written; exit 0;; esac; done; exit 2";
    let mut said = String::new();
    until("the attack has begun", || {
        let outcome = bundle.oci(&["exec", &bundle.id, "sh", "-c", attack]);
        said = outcome.stdout;
        outcome.code != 2
    });
    assert_eq!(said.trim(), "found", "it was reached, and neither written nor changed");
    crate::bundle::end_of(&mut victim);
    assert_eq!(std::fs::read(program("oci")).unwrap(), before);

    // The same by the container's entry point, and by a script's interpreter.
    for (name, args) in
        [("self", json!(["/proc/self/exe", "--version"])), ("script", json!(["/script", "--version"]))]
    {
        let mut bundle = Bundle::new(name);
        std::fs::write(bundle.rootfs().join("script"), "#!/proc/self/exe\n").unwrap();
        set_mode(&bundle.rootfs().join("script"), 0o755);
        bundle.spec["process"]["args"] = args;
        bundle.run();
        assert_eq!(std::fs::read(program("oci")).unwrap(), before, "{name}");
    }
}

#[test]
fn nothing_in_the_container_looks_into_a_process_on_its_way_in() {
    // What `exec` brings in is not to be traced, nor its descriptors opened, before it has become the program.
    let mut bundle = Bundle::new("tracer");
    bundle.bind("out", "/out", &[]);
    bundle.spec["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push(json!("CAP_SYS_PTRACE"));
    // Looks at all processes as fast as it can, and notes what it could see of a foreign descriptor.
    let spy = r#"
        #include <dirent.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/stat.h>
        #include <unistd.h>
        int main(void) {
            char path[64], target[4096];
            struct stat root, there;
            stat("/", &root);
            FILE *seen = fopen("/out/seen", "a"), *ready = fopen("/out/ready", "w");
            fclose(ready);
            for (;;)
                for (int pid = 2; pid < 200; pid++)
                    for (int fd = 0; fd < 64; fd++) {
                        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
                        long n = readlink(path, target, sizeof target - 1);
                        if (n < 0 || pid == getpid()) continue;
                        target[n] = 0;
                        // The container's own root, in which users are looked up, is no news to it.
                        if (!strcmp(target, "/") && (stat(path, &there) // gone meanwhile
                            || (there.st_dev == root.st_dev && there.st_ino == root.st_ino))) continue;
                        fprintf(seen, "%d %s\n", fd, target); fflush(seen);
                    }
        }"#;
    compile(spy, &bundle.rootfs().join("spy"), &[]);
    bundle.spec["process"]["args"] = json!(["/spy"]);
    let out = bundle.beside("out");
    bundle.start();
    until("it looks", || out.join("ready").exists());
    for _ in 0..20 {
        bundle.good(&["exec", &bundle.id, "true"]);
    }
    let seen = std::fs::read_to_string(out.join("seen")).unwrap_or_default();
    // Its streams, and the channel on which it says why it failed: who takes that can lie about the failure of its own exec.
    let expected = |line: &&str| {
        ["0 ", "1 ", "2 "].iter().any(|standard| line.starts_with(standard)) || line.contains(" socket:[")
    };
    let foreign: Vec<&str> = seen.lines().filter(|line| !expected(line)).collect();
    assert_eq!(foreign, Vec::<&str>::new());
}

#[test]
fn a_working_directory_is_not_one_of_the_runtimes_descriptors() {
    // CVE-2024-21626.
    let leaky = "exec 7< / 8< /etc; exec $oci";
    let mut bundle = Bundle::sh("cwd-leak", "pwd; ls; cat ../../../../etc/shadow");
    for fd in 3..16 {
        bundle.spec["process"]["cwd"] = json!(format!("/proc/self/fd/{fd}"));
        let outcome = bundle.shell(&format!("{leaky} run $id"));
        assert_eq!(outcome.code, 1, "{fd}: {outcome:?}");
        assert!(outcome.stderr.contains("chdir to cwd"), "{fd}: {outcome:?}");
    }
    // By a link of the image, too.
    symlink("/proc/self/fd/7", bundle.rootfs().join("innocent")).unwrap();
    bundle.spec["process"]["cwd"] = json!("/innocent");
    assert_eq!(bundle.shell(&format!("{leaky} run $id")).code, 1);
    bundle.spec["process"]["cwd"] = json!("/");
    bundle.script("exec sleep 1000");
    bundle.start();
    for fd in 3..16 {
        let outcome = bundle.shell(&format!("{leaky} exec --cwd /proc/self/fd/{fd} $id sh -c 'pwd; ls'"));
        assert_ne!(outcome.code, 0, "{fd}: {outcome:?}");
        assert!(outcome.stderr.contains("chdir to cwd"), "{fd}: {outcome:?}");
    }
    let outcome = bundle.shell(&format!("{leaky} exec --preserve-fds 5 --cwd /proc/self/fd/7 $id pwd"));
    assert_ne!(outcome.code, 0, "{outcome:?}");
}

#[test]
fn a_null_device_of_the_image_hides_nothing_and_uncovers_nothing() {
    // CVE-2025-31133: /dev/null as a link has the mask bind something else, over a path or for writing.
    let mut bundle = Bundle::sh(
        "null-link",
        "cat /secret; cat /proc/sys/kernel/core_pattern; echo x > /secret; stat -c '%t %T' /secret",
    );
    bundle.spec["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    std::fs::write(bundle.rootfs().join("secret"), "words").unwrap();
    symlink("/proc/sys/kernel/core_pattern", bundle.rootfs().join("dev/null")).unwrap();
    let before = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    bundle.spec["linux"]["maskedPaths"] = json!(["/secret"]);
    bundle.spec["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    let outcome = bundle.run();
    assert_eq!(outcome.stdout, format!("{before}1 3\n"), "{outcome:?}");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
}

#[test]
fn the_console_is_not_mounted_through_a_link() {
    // CVE-2025-52565: over a path that would otherwise be masked or read-only.
    let mut bundle = Bundle::sh("console-link", "stat -c %F /proc/sysrq-trigger");
    bundle.spec["mounts"] = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
    ]);
    symlink("/proc/sysrq-trigger", bundle.rootfs().join("dev/console")).unwrap();
    bundle.spec["process"]["terminal"] = json!(true);
    let text = bundle.refused();
    assert!(text.contains("/dev/console"), "{text}");
}

#[test]
fn a_terminal_comes_from_a_devpts_only() {
    let mut bundle = Bundle::new("fake-pts");
    bundle.spec["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    std::fs::write(bundle.rootfs().join("dev/ptmx"), "").unwrap();
    bundle.spec["process"]["terminal"] = json!(true);
    let text = bundle.refused();
    assert!(text.contains("devpts"), "{text}");
}

/// Runs through the library, with a user by name.
fn run_as(bundle: &Bundle, user: &str) -> crate::bundle::Outcome {
    drop(bundle.command(&[]));
    bundle.output(Command::new(program("once")).arg(bundle.path()).env("AS", user))
}

#[test]
fn names_come_from_the_containers_own_files() {
    let new = |passwd: &str| {
        let bundle = Bundle::sh("names", "id -u; id -g; echo $HOME");
        std::fs::write(bundle.rootfs().join("etc/passwd"), passwd).unwrap();
        std::fs::write(bundle.rootfs().join("etc/group"), "inside:x:77:\n").unwrap();
        bundle
    };
    let bundle = new("inside:x:1234:77:i:/in:/bin/sh\n");
    assert_eq!(run_as(&bundle, "inside").stdout, "1234\n77\n/in\n");
    assert_eq!(run_as(&bundle, "5:inside").stdout, "5\n77\n/\n");
    // daemon is one of the host's.
    for user in ["daemon", "inside:daemon"] {
        let outcome = run_as(&bundle, user);
        assert!(outcome.stderr.contains("no matching entries in"), "{outcome:?}");
    }
    // A link is followed inside only, absolute or climbing.
    for target in ["/etc/other", "../../../../../../../etc/other"] {
        let bundle = new("");
        let passwd = bundle.rootfs().join("etc/passwd");
        std::fs::remove_file(&passwd).unwrap();
        symlink(target, &passwd).unwrap();
        std::fs::write(bundle.rootfs().join("etc/other"), "inside:x:42:42::/:/bin/sh\n").unwrap();
        assert_eq!(run_as(&bundle, "inside").stdout, "42\n42\n/\n", "{target}");
    }
    for target in ["/etc/passwd-", "../../../../../../../etc/passwd-"] {
        let bundle = new("");
        let passwd = bundle.rootfs().join("etc/passwd");
        std::fs::remove_file(&passwd).unwrap();
        symlink(target, &passwd).unwrap();
        assert!(run_as(&bundle, "daemon").stderr.contains("unable to find user daemon"), "{target}");
        assert_eq!(run_as(&bundle, "7:8").stdout, "7\n8\n/\n");
    }
}

#[test]
fn a_passwd_file_may_be_anything() {
    let new = || {
        // `id` would look into the file itself.
        let bundle = Bundle::sh("odd-passwd", "grep -E '^[UG]id' /proc/self/status | cut -f2");
        (bundle.rootfs().join("etc/passwd"), bundle)
    };
    // A fifo nobody writes to, a device, a directory: none of them is a list of users.
    for kind in ["fifo", "device", "directory", "loop", "proc"] {
        let (passwd, bundle) = new();
        let make = |file: rustix::fs::FileType, device: u64| {
            rustix::fs::mknodat(rustix::fs::CWD, &passwd, file, 0o666.into(), device).unwrap();
        };
        match kind {
            "fifo" => make(rustix::fs::FileType::Fifo, 0),
            "device" => make(rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 5)),
            "directory" => std::fs::create_dir(&passwd).unwrap(),
            "loop" => symlink("passwd", &passwd).unwrap(),
            _ => symlink("/proc/self/fd/0", &passwd).unwrap(),
        }
        let outcome = run_as(&bundle, "7:8");
        assert_eq!(outcome.stdout, "7\n8\n", "{kind}: {outcome:?}");
        assert_ne!(run_as(&bundle, "root").code, 0, "{kind}");
    }
    // Long, and what is asked for comes last.
    let (passwd, bundle) = new();
    let mut text = String::new();
    for n in 0..400_000 {
        text.push_str(&format!("user{n}:x:{}:{}:somebody:/home/user{n}:/bin/sh\n", n + 1000, n + 1000));
    }
    text.push_str("last:x:999:998::/:/bin/sh\n");
    std::fs::write(&passwd, text).unwrap();
    assert_eq!(run_as(&bundle, "last").stdout, "999\n998\n");
    // Larger than memory, and without a line in it.
    let (passwd, bundle) = new();
    std::fs::File::create(&passwd).unwrap().set_len(1 << 42).unwrap();
    let outcome = run_as(&bundle, "last");
    assert!(outcome.stderr.contains("/etc/passwd"), "{outcome:?}");
}
