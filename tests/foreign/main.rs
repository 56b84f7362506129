//! Black box: containers of other OCI runtimes (`--runtime`), Debian's runc and crun.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::{Engine, Output, busybox_image};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn runc() {
    let directory = testkit::directory();
    everything(Path::new(env!("CARGO_BIN_EXE_wharf")), directory.path(), "runc");
}

#[test]
fn crun() {
    let directory = testkit::directory();
    let binary = without_unified_tree(directory.path());
    everything(&binary, directory.path(), "crun");
}

/// crun takes no machine that has both versions of cgroups mounted: an engine that sees one of them only.
fn without_unified_tree(directory: &Path) -> PathBuf {
    let path = directory.join("wharf");
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1\" = daemon ] || exec {binary} \"$@\"\n\
         exec unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" \"$@\"' {binary} \"$@\"\n",
        binary = env!("CARGO_BIN_EXE_wharf")
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

struct Peer {
    engine: Engine,
}

/// One engine for all: each takes a while to start.
fn everything(binary: &Path, directory: &Path, name: &str) {
    let program = ["/usr/bin", "/usr/sbin"].map(|place| Path::new(place).join(name));
    let program = program.iter().find(|path| path.exists());
    let program = program.unwrap_or_else(|| panic!("{name} is not installed"));
    let runtime = format!("peer={}", program.display());
    let tar = busybox_image(directory);
    let engine = Engine::start_with(binary, directory, &["--add-runtime", &runtime]);
    let peer = Peer { engine };
    assert_eq!(peer.ask(&["import", tar.to_str().unwrap(), "busybox"]).status, 0);

    peer.streams_status_and_limits();
    peer.is_really_the_peers(name);
    peer.filter_users_and_failures();
    peer.terminal();
    peer.exec_pause_stop();
    peer.out_of_memory();
    peer.an_engine_later();
    let bundles = directory.join("exec/containers");
    let left: Vec<_> = fs::read_dir(bundles).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

impl Peer {
    fn ask(&self, args: &[&str]) -> Output {
        self.engine.wharf(args)
    }

    /// `run --rm` with the peer.
    fn run(&self, args: &[&str]) -> Output {
        self.ask(&[&["run", "--rm", "--runtime", "peer"], args].concat())
    }

    fn good(&self, args: &[&str]) -> String {
        let got = self.ask(args);
        assert_eq!(got.status, 0, "{args:?}: {got:?}\n{}", self.engine.log());
        got.stdout.trim().to_owned()
    }

    fn streams_status_and_limits(&self) {
        let got = self.run(&["busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!((got.stdout.as_str(), got.stderr.as_str(), got.status), ("out\n", "err\n", 7));
        let id = self.good(&[
            "run",
            "-d",
            "--runtime",
            "peer",
            "-m",
            "64m",
            "--pids-limit",
            "32",
            "busybox",
            "sleep",
            "1000",
        ]);
        let limit = |file: &str| {
            let parent = self.engine.cgroup_parent();
            let places = [
                format!("/sys/fs/cgroup/memory/{parent}/{id}/{file}"),
                format!("/sys/fs/cgroup/pids/{parent}/{id}/{file}"),
                format!("/sys/fs/cgroup/{parent}/{id}/{file}"),
            ];
            places.iter().find_map(|place| fs::read_to_string(place).ok()).map(|text| text.trim().to_owned())
        };
        let memory = limit("memory.limit_in_bytes").or_else(|| limit("memory.max"));
        assert_eq!(memory.as_deref(), Some("67108864"));
        assert_eq!(limit("pids.max").as_deref(), Some("32"));
        let address = self.good(&["exec", &id, "ip", "-4", "addr", "show", "eth0"]);
        assert!(address.contains("inet "), "{address}");
        self.good(&["rm", "-f", &id]);
        assert_eq!(limit("pids.max"), None, "the cgroup is removed");
    }

    fn is_really_the_peers(&self, name: &str) {
        let info = self.good(&["info", "--format", "{{json .Runtimes}}"]);
        assert!(info.contains(&format!("/{name}\"")), "{info}");
        let id = self.good(&["run", "-d", "--runtime", "peer", "busybox", "sleep", "1000"]);
        let state = self.engine.directory().join("exec/containers").join(&id).join("runtime").join(&id);
        assert!(state.is_dir(), "{}", state.display());
        assert_eq!(self.good(&["inspect", "-f", "{{.HostConfig.Runtime}}", &id]), "peer");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&id), "no mount on the host:\n{mounts}");
        self.good(&["rm", "-f", &id]);
    }

    fn filter_users_and_failures(&self) {
        let status = self.run(&["busybox", "grep", "Seccomp:", "/proc/self/status"]);
        assert_eq!(status.stdout.split_whitespace().last(), Some("2"), "{status:?}");
        let denied = self.run(&["busybox", "unshare", "-n", "true"]);
        assert_ne!(denied.status, 0, "{denied:?}");
        let free =
            ["--security-opt", "seccomp=unconfined", "busybox", "grep", "Seccomp:", "/proc/self/status"];
        assert_eq!(self.run(&free).stdout.split_whitespace().last(), Some("0"));
        let id = self.run(&["--user", "nobody", "--group-add", "root", "busybox", "id"]);
        assert!(id.stdout.starts_with("uid=65534(nobody) gid=65534(nogroup)"), "{id:?}");
        assert!(id.stdout.contains("0(root)"), "{id:?}");
        assert_eq!(self.run(&["--user", "stranger", "busybox", "true"]).status, 125);
        let none = self.run(&["busybox", "no-such-program"]);
        assert_eq!(none.status, 127, "{none:?}");
        assert!(none.stderr.contains("not found"), "{none:?}");
        let refused = self.run(&["busybox", "/etc/passwd"]);
        assert_eq!(refused.status, 126, "{refused:?}");
        let init = self.run(&["--init", "busybox", "true"]);
        assert!(init.status == 125 || init.status == 128, "{init:?}");
        assert!(init.stderr.contains("--init"), "{init:?}");
    }

    fn terminal(&self) {
        let id = self.good(&[
            "run",
            "-dt",
            "--runtime",
            "peer",
            "busybox",
            "sh",
            "-c",
            "tty; stty -a; exec sleep 1000",
        ]);
        self.eventually("the terminal's settings are logged", || {
            let logs = self.ask(&["logs", &id]).stdout;
            logs.contains("/dev/pts/0") && logs.contains("speed")
        });
        let exec = self.good(&["exec", "-t", &id, "tty"]);
        assert!(exec.starts_with("/dev/pts/"), "{exec}");
        self.good(&["rm", "-f", &id]);
    }

    fn exec_pause_stop(&self) {
        let script = "trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done";
        let id = self.good(&["run", "-d", "--runtime", "peer", "busybox", "sh", "-c", script]);
        let exec = self.ask(&[
            "exec",
            "-e",
            "A=b",
            "-w",
            "/tmp",
            "-u",
            "nobody",
            &id,
            "sh",
            "-c",
            "pwd; id -un; echo $A >&2; exit 9",
        ]);
        assert_eq!((exec.stdout.as_str(), exec.stderr.as_str(), exec.status), ("/tmp\nnobody\n", "b\n", 9));
        assert_eq!(self.ask(&["exec", &id, "no-such-program"]).status, 127);
        self.good(&["pause", &id]);
        assert_eq!(self.good(&["inspect", "-f", "{{.State.Status}}", &id]), "paused");
        self.good(&["unpause", &id]);
        assert!(self.good(&["top", &id]).contains("sleep"));
        self.good(&["stop", "-t", "30", &id]);
        assert_eq!(
            self.good(&["inspect", "-f", "{{.State.ExitCode}}", &id]),
            "3",
            "its own answer to SIGTERM"
        );
        assert_eq!(self.good(&["logs", &id]), "bye");
        // Once more, on the same bundle.
        self.good(&["start", &id]);
        self.good(&["kill", &id]);
        assert_eq!(self.good(&["wait", &id]), "137");
        self.good(&["rm", &id]);
    }

    fn out_of_memory(&self) {
        let script = "exec dd if=/dev/zero of=/dev/null bs=200M";
        let run = [
            "run",
            "--runtime",
            "peer",
            "--name",
            "oom",
            "-m",
            "16m",
            "--memory-swap",
            "16m",
            "busybox",
            "sh",
            "-c",
            script,
        ];
        assert_eq!(self.ask(&run).status, 137);
        assert_eq!(self.good(&["inspect", "-f", "{{.State.OOMKilled}}", "oom"]), "true");
        self.good(&["rm", "oom"]);
    }

    /// The monitor has the container; an engine that comes later finds it, and its runtime.
    fn an_engine_later(mut self) {
        let id = self.good(&["run", "-d", "--runtime", "peer", "busybox", "sleep", "1000"]);
        self.engine.kill();
        self.engine.run();
        assert_eq!(self.good(&["inspect", "-f", "{{.State.Running}}", &id]), "true");
        assert_eq!(self.good(&["exec", &id, "echo", "here"]), "here");
        self.good(&["rm", "-f", &id]);
    }

    fn eventually(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "not in time: {what}\n{}", self.engine.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
