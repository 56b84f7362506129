//! Debian's containerd, driven by its own `ctr`.

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use testkit::Output;

use crate::kit::{Server, Site, eventually, in_terminal};

struct Containerd {
    server: Server,
    site: Site,
}

impl Containerd {
    fn start() -> Self {
        let site = Site::new();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            site.path("root"),
            site.path("state"),
            site.path("sock")
        );
        std::fs::write(site.path("config.toml"), config).unwrap();
        let mut server = site.start("containerd", &["--config", &site.path("config.toml")]);
        let socket = site.path("sock");
        server.wait(|| UnixStream::connect(&socket).is_ok());
        Self { server, site }
    }

    /// In its namespaces: `ctr` makes the FIFOs of a container's streams in `/run`.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.server.pid().to_string(), "-n", "-m", "--", "ctr"]);
        command.args(["--address", &self.site.path("sock")]).args(args).stdin(Stdio::null());
        self.site.mark(&mut command);
        command
    }

    fn ask(&self, args: &[&str]) -> Output {
        Output::of(&mut self.command(args))
    }

    fn good(&self, args: &[&str]) -> String {
        let got = self.ask(args);
        assert_eq!(got.status, 0, "{args:?}: {got:?}\n{}", self.server.log());
        got.stdout.trim().to_owned()
    }

    /// `run`, with Wharf as the runtime, of busybox's directory.
    fn run(&self, flags: &[&str], name: &str, command: &[&str]) -> Command {
        let cgroup = format!("/{}/{name}", self.site.ground.cgroup_parent());
        let (link, root) = (self.site.link.display().to_string(), self.site.path("busybox-root"));
        // A directory, unlike an image, says nothing of PATH.
        let head = ["run", "--env", "PATH=/bin", "--runc-binary", &link, "--cgroup", &cgroup];
        self.command(&[&head[..], flags, &["--rootfs", &root, name], command].concat())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for name in self.ask(&["task", "ls", "-q"]).stdout.lines() {
            self.ask(&["task", "delete", "--force", name]);
        }
        self.server.terminate();
    }
}

#[test]
fn tasks() {
    let containerd = Containerd::start();
    // ctr drops what it has not copied by the time it hears of the end: so the end comes later.
    let script = "echo out; echo err >&2; sleep 0.5; exit 7";
    let got = Output::of(&mut containerd.run(&["--rm"], "first", &["sh", "-c", script]));
    assert_eq!(
        (got.stdout.as_str(), got.stderr.as_str(), got.status),
        ("out\n", "err\n", 7),
        "{}",
        containerd.server.log()
    );
    let typed = in_terminal(&containerd.run(&["--rm", "-t"], "typed", &["tty"]));
    assert!(typed.stdout.contains("/dev/pts/0"), "{typed:?}");
    let line = ["grep", "Seccomp:", "/proc/self/status"];
    let got = Output::of(&mut containerd.run(&["--rm", "--seccomp"], "filtered", &line));
    assert_eq!(got.stdout, "Seccomp:\t2\n", "{got:?}");
    let got = Output::of(&mut containerd.run(&["--rm"], "missing", &["no-such-program"]));
    assert!(got.status != 0 && got.stderr.contains("executable file not found in $PATH"), "{got:?}");

    let script = "trap 'exit 5' TERM; while :; do sleep 0.1; done";
    let got =
        Output::of(&mut containerd.run(&["-d", "--memory-limit", "33554432"], "long", &["sh", "-c", script]));
    assert_eq!(got.status, 0, "{got:?}");
    assert!(containerd.good(&["task", "ls"]).contains("RUNNING"));
    assert_eq!(containerd.site.limit("memory", "long", "memory.limit_in_bytes"), "33554432");
    let exec = containerd.ask(&["task", "exec", "--exec-id", "e", "long", "sh", "-c", "echo inside; exit 9"]);
    assert_eq!((exec.stdout.as_str(), exec.status), ("inside\n", 9), "{exec:?}");
    containerd.good(&["task", "pause", "long"]);
    assert!(containerd.good(&["task", "ls"]).contains("PAUSED"));
    assert_eq!(containerd.site.limit("freezer", "long", "freezer.state"), "FROZEN");
    containerd.good(&["task", "resume", "long"]);
    assert!(containerd.good(&["task", "ps", "long"]).lines().count() >= 2);
    assert!(containerd.good(&["task", "metrics", "long"]).contains("memory.usage_in_bytes"));
    containerd.good(&["task", "kill", "-s", "TERM", "long"]);
    eventually("it ends", || containerd.good(&["task", "ls"]).contains("STOPPED"));
    let deleted = containerd.ask(&["task", "delete", "long"]);
    assert!(deleted.stderr.contains("exit code 5"), "{deleted:?}");
    containerd.good(&["container", "rm", "long"]);
    assert_eq!(containerd.good(&["container", "ls", "-q"]), "");
    let run = format!("/proc/{}/root/run", containerd.server.pid());
    let found =
        Output::of(Command::new("find").args([&run, &containerd.site.path("state"), "-name", "state.json"]));
    assert_eq!(found.stdout, "", "the runtime's records");
}
