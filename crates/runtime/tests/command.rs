//! The command, on a real kernel: as root, with a busybox bundle in a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A bundle and a state directory that vanish together.
struct Bench {
    directory: tempfile::TempDir,
    id: String,
}

impl Bench {
    fn new(name: &str, args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in ["sh", "ps", "sleep", "id", "cat", "uname", "test"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        let bench = Self { directory, id: format!("{name}-{}", std::process::id()) };
        bench.run(&["spec", "--bundle", bench.bundle().to_str().unwrap()]);
        bench.change(|spec| {
            spec["process"]["terminal"] = json!(false);
            spec["process"]["args"] = json!(args);
        });
        bench
    }

    fn bundle(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.bundle().join("config.json");
        let mut spec: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut spec);
        std::fs::write(path, spec.to_string()).unwrap();
    }

    /// Stdout and stderr are files: a detached container keeps them open, a pipe would never end.
    fn run(&self, args: &[&str]) -> Output {
        self.run_with(Command::new(example("oci")), args)
    }

    /// On a kernel before 5.2, as far as the calls for mounting tell.
    fn run_classic(&self, args: &[&str]) -> Output {
        let mut command = Command::new(example("without"));
        let calls = "fsopen,fsconfig,fsmount,fspick,open_tree,move_mount,mount_setattr";
        command.arg(calls).arg(example("oci"));
        self.run_with(command, args)
    }

    fn run_with(&self, mut command: Command, args: &[&str]) -> Output {
        let (out, err) = (self.bundle().join("out"), self.bundle().join("err"));
        let status = command
            .arg("--root")
            .arg(self.bundle().join("state"))
            .args(args)
            .current_dir(self.bundle())
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(std::fs::File::create(&err).unwrap())
            .status()
            .unwrap();
        Output { status, stdout: std::fs::read(out).unwrap(), stderr: std::fs::read(err).unwrap() }
    }

    fn status(&self) -> String {
        let output = self.run(&["state", &self.id]);
        let state: Value = serde_json::from_slice(&output.stdout).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }
}

/// A program among the crate's examples, which are built with its tests.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.run(&["delete", "--force", &self.id]);
    }
}

#[test]
fn a_run_passes_the_exit_status_on_and_leaves_nothing() {
    let bench = Bench::new("run", &["sh", "-c", "exit 7"]);
    assert_eq!(bench.run(&["run", &bench.id]).status.code(), Some(7));
    assert!(!bench.bundle().join("state").join(&bench.id).exists());
    assert!(!Path::new("/sys/fs/cgroup/memory").join(&bench.id).exists());
}

#[test]
fn a_container_lives_through_its_states() {
    let bench = Bench::new("life", &["sleep", "1000"]);
    let ok = |args: &[&str]| {
        let output = bench.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ok(&["create", &bench.id]);
    assert_eq!(bench.status(), "created");
    ok(&["start", &bench.id]);
    assert_eq!(bench.status(), "running");
    assert!(!bench.run(&["delete", &bench.id]).status.success());
    assert!(ok(&["exec", &bench.id, "ps"]).contains("sleep 1000"));
    ok(&["pause", &bench.id]);
    assert_eq!(bench.status(), "paused");
    ok(&["resume", &bench.id]);
    ok(&["delete", "--force", &bench.id]);
    assert!(!bench.run(&["state", &bench.id]).status.success());
}

#[test]
fn failures_have_docker_s_words() {
    for (program, words) in [
        ("nosuch", r#"exec: "nosuch": executable file not found in $PATH"#),
        ("/bin", r#"exec: "/bin": is a directory"#),
        ("/nosuch", r#"exec: "/nosuch": stat /nosuch: no such file or directory"#),
    ] {
        let bench = Bench::new("fail", &[program]);
        let output = bench.run(&["run", &bench.id]);
        // A line as logrus writes it, so with its quotes.
        let text = String::from_utf8_lossy(&output.stderr).replace("\\\"", "\"");
        assert!(!output.status.success() && text.contains(words), "{text}");
    }
}

#[test]
fn a_symlink_at_proc_is_refused() {
    let bench = Bench::new("link", &["id"]);
    std::os::unix::fs::symlink("/tmp", bench.bundle().join("rootfs/proc")).unwrap();
    std::fs::create_dir(bench.bundle().join("rootfs/tmp")).unwrap();
    let output = bench.run(&["run", &bench.id]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/proc"));
}

#[test]
fn a_process_runs_in_a_cgroup_below_the_containers() {
    let bench = Bench::new("below", &["sleep", "1000"]);
    bench.change(|spec| spec["linux"]["cgroupsPath"] = json!(format!("/{}", bench.id)));
    assert!(bench.run(&["run", "--detach", &bench.id]).status.success());
    let group = format!("/sys/fs/cgroup/memory/{}/inner", bench.id);
    // On a v2 machine there is one tree, and the container has not been given a group below its own.
    if !Path::new("/sys/fs/cgroup/memory").is_dir() {
        assert!(!bench.run(&["exec", "--cgroup", "..", &bench.id, "id"]).status.success());
        return;
    }
    std::fs::create_dir(&group).unwrap();
    let run =
        |selector: &str| bench.run(&["exec", "--cgroup", selector, &bench.id, "cat", "/proc/self/cgroup"]);
    let text = String::from_utf8(run("memory:inner").stdout).unwrap();
    assert!(text.lines().any(|l| l.ends_with(":memory:/inner")), "{text}");
    assert!(text.lines().any(|l| l.ends_with(":cpu:/")), "{text}");
    assert!(run("/").status.success());
    for (selector, words) in [
        ("..", "bad sub cgroup path"),
        ("nosuch", "No such file"),
        ("memory:nosuch", "No such file"),
        ("waaat:/", "unknown controller"),
        (":inner", "empty <controller> prefix"),
    ] {
        let output = run(selector);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(255) && text.contains(words), "{selector}: {text}");
    }
}

#[test]
fn an_exec_has_the_containers_personality_and_the_later_variable() {
    let bench = Bench::new("modes", &["sleep", "1000"]);
    bench.change(|spec| {
        spec["linux"]["personality"] = json!({"domain": "LINUX32"});
        spec["process"]["env"] = json!(["PATH=/bin", "A=1", "A=2", "HOME="]);
    });
    assert!(bench.run(&["run", "-d", &bench.id]).status.success());
    let script = "uname -m; echo $A $HOME";
    let output = bench.run(&["exec", "--cwd", "etc", &bench.id, "pwd"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("exec failed: Cwd must be an absolute path"), "{text}");
    let output = bench.run(&["exec", "--env", "A=3", &bench.id, "sh", "-c", script]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "i686\n3 /\n");
}

#[test]
fn a_container_without_a_mount_namespace_takes_its_mounts_with_it() {
    let bench =
        Bench::new("plain", &["sh", "-c", "cat /proc/self/mountinfo >/dev/null && test -c /dev/null"]);
    bench.change(|spec| {
        let linux = &mut spec["linux"];
        linux["namespaces"] = json!([]);
        linux["maskedPaths"] = json!([]);
        linux["readonlyPaths"] = json!([]);
        spec["hostname"] = json!("");
    });
    let mounts = || {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.lines().filter(|l| l.contains(bench.bundle().to_str().unwrap())).count()
    };
    let output = bench.run(&["run", &bench.id]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(mounts(), 0);
    // Also when it fails after they were made.
    bench.change(|spec| spec["process"]["args"] = json!(["nosuch"]));
    assert!(!bench.run(&["run", &bench.id]).status.success());
    assert_eq!(mounts(), 0);
    bench.change(|spec| spec["linux"]["maskedPaths"] = json!(["/proc/keys"]));
    let text = String::from_utf8(bench.run(&["run", &bench.id]).stderr).unwrap();
    assert!(text.contains("without a private MNT namespace"), "{text}");
}

#[test]
fn a_start_hook_without_an_environment_has_the_processs() {
    let bench = Bench::new("hook", &["sh", "-c", "exit 0"]);
    bench.change(|spec| {
        spec["process"]["env"] = json!(["PATH=/bin", "FOO=bar"]);
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "test \"$FOO\" = bar"]});
        spec["hooks"] = json!({"startContainer": [hook]});
    });
    let output = bench.run(&["run", &bench.id]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    bench.change(|spec| spec["hooks"]["startContainer"][0]["env"] = json!(["BAR=foo"]));
    assert!(!bench.run(&["run", &bench.id]).status.success());
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let bench = Bench::new("refused", &["id"]);
    let original = std::fs::read(bench.bundle().join("config.json")).unwrap();
    let refused = |change: fn(&mut Value), words: &str| {
        std::fs::write(bench.bundle().join("config.json"), &original).unwrap();
        bench.change(change);
        let output = bench.run(&["run", &bench.id]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(words), "{words}: {text}");
    };
    refused(|spec| spec["ociVersion"] = json!("invalid"), "unsupported ociVersion");
    refused(
        |spec| spec["linux"]["sysctl"] = json!({"kernel.panic": "5"}),
        "not in a separate kernel namespace",
    );
    refused(|spec| spec["linux"]["intelRdt"] = json!({"closID": "c"}), "linux.intelRdt is not supported");
    refused(|spec| spec["linux"]["netDevices"] = json!({"eth0": {}}), "linux.netDevices is not supported");
    refused(|spec| spec["process"]["cwd"] = json!("etc"), "Cwd must be an absolute path");
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        refused(|spec| spec["linux"]["mountLabel"] = json!("a:b:c:s0"), "linux.mountLabel");
        refused(|spec| spec["process"]["selinuxLabel"] = json!("a:b:c:s0"), "process.selinuxLabel");
    }
    for verb in ["checkpoint", "restore"] {
        let output = bench.run(&[verb, "--image-path", "/tmp/none", &bench.id]);
        assert!(!output.status.success());
        assert!(String::from_utf8(output.stderr).unwrap().contains("not supported"));
    }
    let output = bench.run(&["--systemd-cgroup", "run", &bench.id]);
    assert!(!output.status.success());
}

#[test]
fn unknown_capabilities_are_a_warning() {
    let bench = Bench::new("caps", &["id"]);
    bench.change(|spec| {
        spec["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push(json!("CAP_FLY"));
    });
    let output = bench.run(&["run", &bench.id]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("level=warning msg=\"ignoring unknown or unavailable capabilities: [CAP_FLY]\""));
}

#[test]
fn messages_go_to_the_log_and_errors_to_both() {
    let bench = Bench::new("log", &["id"]);
    let log = bench.bundle().join("log");
    let file = log.to_str().unwrap();
    let output = bench.run(&["-log", file, "-log-format=json", "-debug", "state", "nosuch"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "container does not exist\n");
    let text = std::fs::read_to_string(&log).unwrap();
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&line["level"], &line["msg"]), (&json!("error"), &json!("container does not exist")));
    assert!(bench.run(&["--log", file, "--debug", "run", &bench.id]).status.success());
    assert!(std::fs::read_to_string(&log).unwrap().contains("level=debug"));
}

/// The same container, seen from inside, whether the mount calls of Linux 5.2 and later exist or not.
#[test]
fn mounts_are_the_same_with_the_old_call() {
    let bench = Bench::new("old", &["cat", "/proc/self/mountinfo"]);
    let data = bench.bundle().join("data");
    std::fs::create_dir_all(data.join("deep")).unwrap();
    std::fs::write(data.join("file"), "text").unwrap();
    bench.change(|spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        let data = data.to_str().unwrap();
        mounts.push(json!({"destination": "/data", "source": data, "options": ["rbind", "ro", "nosuid", "noexec"]}));
        mounts.push(json!({"destination": "/file", "source": format!("{data}/file"), "options": ["bind", "noatime"]}));
        mounts.push(json!({"destination": "/all", "source": data, "options": ["rbind", "rro", "rslave"]}));
        mounts.push(json!({"destination": "/t", "type": "tmpfs", "source": "t", "options": ["size=1m", "ro", "tmpcopyup"]}));
        // What the machine has at /proc and /sys differs by machine; these two are everywhere.
        spec["linux"]["maskedPaths"] = json!(["/proc/keys", "/sys/firmware"]);
    });
    let table = |output: Output| {
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line = |line: &str| {
            let (left, right) = line.split_once(" - ").unwrap();
            let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
            // Mount point, attributes, whether it propagates, kind.
            format!("{} {} {} {}", left[4], left[5], left.len() - 6, right[0])
        };
        let mut lines: Vec<String> = text.lines().map(line).collect();
        lines.sort();
        lines
    };
    let new = table(bench.run(&["run", &bench.id]));
    let old = table(bench.run_classic(&["run", &bench.id]));
    assert!(new.len() > 12, "{new:?}");
    assert_eq!(new, old);
    // The process that waits is a sealed copy of the program in memory.
    assert!(bench.run_classic(&["create", &bench.id]).status.success());
    let state: Value = serde_json::from_slice(&bench.run(&["state", &bench.id]).stdout).unwrap();
    let exe = std::fs::read_link(format!("/proc/{}/exe", state["pid"])).unwrap();
    assert!(exe.to_str().unwrap().starts_with("/memfd:wharf"), "{exe:?}");
    assert!(bench.run(&["delete", &bench.id]).status.success());
    // Nothing of it is the host's.
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!host.lines().any(|l| l.contains(" /proc/fs ") || l.contains(bench.bundle().to_str().unwrap())));
    // What the old call cannot do is said.
    bench.change(|spec| {
        let mount = &mut spec["mounts"].as_array_mut().unwrap()[8];
        mount["uidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
        mount["gidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    });
    let output = bench.run_classic(&["run", &bench.id]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("function not implemented"));
}

/// runc's answers beside ours: the same fields of the same kinds. Debian's package of runc is needed.
#[test]
fn answers_have_runc_s_shape() {
    let bench = Bench::new("shape", &["sleep", "1000"]);
    bench.change(|spec| spec["annotations"] = json!({"a.b": "c"}));
    let theirs = bench.bundle().join("theirs");
    let name = format!("{}-theirs", bench.id);
    let runc = |args: &[&str]| {
        let mut command = Command::new("runc");
        command
            .arg("--root")
            .arg(&theirs)
            .args(args)
            .current_dir(bench.bundle())
            .stdin(std::process::Stdio::null());
        command
    };
    let (out, err) = (bench.bundle().join("runc-out"), bench.bundle().join("runc-err"));
    let started = runc(&["run", "-d", &name])
        .stdout(std::fs::File::create(out).unwrap())
        .stderr(std::fs::File::create(err).unwrap())
        .status()
        .unwrap();
    assert!(bench.run(&["run", "-d", &bench.id]).status.success());
    let answers = |verb: &[&str]| {
        let arguments = |id: &str| -> Vec<String> {
            verb.iter().map(|word| if *word == "ID" { id.to_owned() } else { (*word).to_owned() }).collect()
        };
        let (ours, runcs) = (arguments(&bench.id), arguments(&name));
        let strings = |all: &[String]| all.iter().map(String::as_str).collect::<Vec<_>>().join("\0");
        let (ours, runcs) = (strings(&ours), strings(&runcs));
        let ours = bench.run(&ours.split('\0').collect::<Vec<_>>());
        let runcs = runc(&runcs.split('\0').collect::<Vec<_>>()).output().unwrap();
        (String::from_utf8(ours.stdout).unwrap(), String::from_utf8(runcs.stdout).unwrap())
    };
    let asked = std::panic::catch_unwind(|| {
        for verb in [
            &["state", "ID"][..],
            &["list", "-f", "json"],
            &["ps", "-f", "json", "ID"],
            &["events", "--stats", "ID"],
        ] {
            let (ours, runcs) = answers(verb);
            let parse =
                |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            let missing = differences("", &parse(&runcs), &parse(&ours));
            assert!(missing.is_empty(), "{verb:?}: {missing:?}\n{ours}\n{runcs}");
            assert_eq!(ours.ends_with('\n'), runcs.ends_with('\n'), "{verb:?}");
        }
        let header = |text: &str| {
            text.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        for verb in [&["list"][..], &["ps", "ID"]] {
            let (ours, runcs) = answers(verb);
            assert_eq!(header(&ours), header(&runcs), "{verb:?}");
            assert_eq!(ours.lines().count(), runcs.lines().count(), "{ours}\n{runcs}");
        }
    });
    let gone = runc(&["delete", "--force", &name]).status().unwrap();
    asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(started.success() && gone.success());
}

/// Where runc has a field, and a kind of value, that we have not. Numbers that happen to be zero are left out by
/// both, and which device was used is chance, so values are not looked at.
fn differences(path: &str, theirs: &Value, ours: &Value) -> Vec<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => theirs
            .iter()
            .filter(|(key, value)| !value.is_number() || ours.contains_key(*key))
            .flat_map(|(key, value)| {
                let path = format!("{path}/{key}");
                match ours.get(key) {
                    Some(other) => differences(&path, value, other),
                    None => vec![format!("{path} is missing")],
                }
            })
            .collect(),
        (Value::Array(theirs), Value::Array(ours)) => match (theirs.first(), ours.first()) {
            (Some(one), Some(other)) => differences(&format!("{path}[0]"), one, other),
            _ => Vec::new(),
        },
        _ if std::mem::discriminant(theirs) == std::mem::discriminant(ours) => Vec::new(),
        _ => vec![format!("{path}: {theirs} and {ours}")],
    }
}
