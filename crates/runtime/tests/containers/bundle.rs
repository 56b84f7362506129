//! A bundle, and the runtime's commands on it.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// 128 and the signal where one ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    /// Without the log's escapes before quotes.
    pub(crate) stderr: String,
}

/// A directory with `rootfs` and a configuration, which is written whenever a container is made from it.
#[derive(Debug)]
pub(crate) struct Bundle {
    directory: tempfile::TempDir,
    pub(crate) id: String,
    pub(crate) spec: Value,
}

impl Bundle {
    /// A container with namespaces and capabilities as engines give them, that does nothing.
    pub(crate) fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("rootfs");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for name in programs() {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let id = format!("wharf-test-{name}-{}", std::process::id());
        Self { directory, id, spec: example() }
    }

    /// One that runs a script.
    pub(crate) fn sh(name: &str, script: &str) -> Self {
        let mut bundle = Self::new(name);
        bundle.script(script);
        bundle
    }

    pub(crate) fn script(&mut self, script: &str) {
        self.spec["process"]["args"] = json!(["sh", "-c", script]);
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// A directory beside the root file system, made where it is missing.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn mount(&mut self, mount: Value) {
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
    }

    /// Binds a directory beside the root file system.
    pub(crate) fn bind(&mut self, name: &str, destination: &str, options: &[&str]) {
        let source = self.beside(name);
        let options: Vec<&str> = [&["bind"], options].concat();
        self.mount(json!({"destination": destination, "type": "bind", "source": source, "options": options}));
    }

    pub(crate) fn namespace(&mut self, kind: &str, path: Option<&str>) {
        self.without_namespace(kind);
        let entry = path.map_or_else(|| json!({"type": kind}), |path| json!({"type": kind, "path": path}));
        self.spec["linux"]["namespaces"].as_array_mut().unwrap().push(entry);
    }

    pub(crate) fn without_namespace(&mut self, kind: &str) {
        self.spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != kind);
    }

    /// A user namespace: root is 100000 and owns the root file system.
    pub(crate) fn user_namespace(&mut self) {
        self.namespace("user", None);
        let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        self.spec["linux"]["uidMappings"] = mapping.clone();
        self.spec["linux"]["gidMappings"] = mapping;
        let owned = Command::new("chown").args(["-hR", "100000:100000"]).arg(self.rootfs()).status().unwrap();
        assert!(owned.success());
        // The way to it is for everybody.
        set_mode(self.path(), 0o755);
    }

    /// The runtime as a command. Standard streams are the caller's to set.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        std::fs::write(self.path().join("config.json"), self.spec.to_string()).unwrap();
        let mut command = Command::new(program("oci"));
        command.arg("--root").arg(self.path().join("state")).args(args).current_dir(self.path());
        command
    }

    /// A shell line around the runtime: `$oci` is the command with its state directory, `$id` the container.
    pub(crate) fn shell(&self, line: &str) -> Outcome {
        self.output(&mut self.shell_command(line))
    }

    pub(crate) fn shell_command(&self, line: &str) -> Command {
        let oci = self.command(&[]);
        let words = [oci.get_program()].into_iter().chain(oci.get_args());
        let words: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
        let mut command = Command::new("/bin/busybox");
        command.args(["sh", "-c", line]).current_dir(self.path());
        command.env("oci", words.join(" ")).env("id", &self.id);
        command
    }

    /// Runs to the end. Stdout and stderr are files: what stays of a container keeps them open, and a pipe would
    /// have no end.
    pub(crate) fn output(&self, command: &mut Command) -> Outcome {
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let share = |file: &File| Stdio::from(file.try_clone().unwrap());
        let status = command.stdin(Stdio::null()).stdout(share(&out)).stderr(share(&err)).status().unwrap();
        let code = status.code().or(status.signal().map(|s| 128 + s)).unwrap();
        Outcome { code, stdout: text(out), stderr: text(err).replace("\\\"", "\"") }
    }

    pub(crate) fn oci(&self, args: &[&str]) -> Outcome {
        self.output(&mut self.command(args))
    }

    /// A command that has to succeed; what it printed.
    pub(crate) fn good(&self, args: &[&str]) -> String {
        let outcome = self.oci(args);
        assert_eq!(outcome.code, 0, "{args:?}: {outcome:?}");
        outcome.stdout.trim().to_owned()
    }

    pub(crate) fn run(&self) -> Outcome {
        self.oci(&["run", &self.id])
    }

    /// Runs the container, which has to succeed; what it printed.
    pub(crate) fn says(&self) -> String {
        self.good(&["run", &self.id])
    }

    /// Runs the container, which must not come up; the reason given.
    pub(crate) fn refused(&self) -> String {
        let outcome = self.run();
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(!self.path().join("state").join(&self.id).exists(), "the name is free again");
        outcome.stderr
    }

    /// Starts it and returns; the host's number of its first process.
    pub(crate) fn start(&self) -> i32 {
        self.good(&["run", "--detach", &self.id]);
        self.pid()
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.good(&["state", &self.id])).unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.state()["pid"].as_i64().unwrap()).unwrap()
    }

    /// Runs a script in the running container; what it printed.
    pub(crate) fn exec(&self, script: &str) -> String {
        self.good(&["exec", &self.id, "sh", "-c", script])
    }

    /// `exec --process` with what the change makes of a plain process.
    pub(crate) fn exec_process(&self, change: impl FnOnce(&mut Value)) -> Outcome {
        let mut process = json!({"args": ["sh", "-c", "true"], "cwd": "/", "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0}});
        change(&mut process);
        let path = self.path().join("process.json");
        std::fs::write(&path, process.to_string()).unwrap();
        self.oci(&["exec", "--process", path.to_str().unwrap(), &self.id])
    }

    pub(crate) fn wait_for(&self, status: &str) {
        until(&format!("{} is {status}", self.id), || self.state()["status"] == status);
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // A failed test may have left it in any state.
        let _ = self.oci(&["delete", "--force", &self.id]);
    }
}

/// An example of the package, which `cargo test` builds beside the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

/// Compiles a C program without the C library.
pub(crate) fn compile(source: &str, to: &Path, flags: &[&str]) {
    let file = to.with_extension("c");
    std::fs::write(&file, source).unwrap();
    let output = Command::new("gcc")
        .args(["-static", "-O1"])
        .args(flags)
        .arg("-o")
        .arg(to)
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for a process; 128 and the signal where one ended it.
pub(crate) fn end_of(child: &mut Child) -> i32 {
    let mut code = None;
    until("the process ends", || {
        let status = child.try_wait().unwrap();
        code = status.and_then(|s| s.code().or(s.signal().map(|n| 128 + n)));
        code.is_some()
    });
    code.unwrap()
}

/// The namespace of a process, as `net:[4026531840]`.
pub(crate) fn namespace_of(pid: impl std::fmt::Display, name: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().to_string_lossy().into_owned()
}

/// A line of `/proc/<pid>/status`.
pub(crate) fn status_of(pid: i32, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Busybox's names.
fn programs() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let output =
            Command::new("/bin/busybox").arg("--list").output().expect("busybox-static is installed");
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        names.lines().filter(|name| *name != "busybox").map(ToOwned::to_owned).collect()
    })
}

fn text(mut file: File) -> String {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn example() -> Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", "true"], "env": ["PATH=/bin"], "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "network"}, {"type": "cgroup"}],
        },
    })
}
