//! Debian's dockerd, which runs its own containerd and `containerd-shim-runc-v2`.

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use testkit::Output;

use crate::kit::{Server, Site, eventually, in_terminal, plain};

struct Docker {
    server: Server,
    site: Site,
}

impl Docker {
    fn start() -> Self {
        let site = Site::new();
        let (link, script) = (site.link.display(), site.script.display());
        // Its key belongs in /etc otherwise.
        let config = format!("{{\"deprecated-key-path\": {:?}}}", site.path("key.json"));
        std::fs::write(site.path("daemon.json"), config).unwrap();
        let flags = [
            format!("--config-file={}", site.path("daemon.json")),
            format!("--data-root={}", site.path("data")),
            format!("--exec-root={}", site.path("exec")),
            format!("--pidfile={}", site.path("pid")),
            format!("--host=unix://{}", site.path("sock")),
            format!("--cgroup-parent=/{}", site.ground.cgroup_parent()),
            format!("--add-runtime=wharf={link}"),
            format!("--add-runtime=script={script}"),
            "--default-runtime=wharf".into(),
        ];
        let mut server = site.start("dockerd", &flags.each_ref().map(String::as_str));
        let socket = site.path("sock");
        server.wait(|| UnixStream::connect(&socket).is_ok());
        let docker = Self { server, site };
        docker.good(&["import", docker.site.tar.to_str().unwrap(), "busybox"]);
        docker
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args).stdin(Stdio::null());
        command.env("DOCKER_HOST", format!("unix://{}", self.site.path("sock")));
        command.env("DOCKER_CONFIG", self.site.path("config")).env_remove("DOCKER_CONTEXT");
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

    fn bad(&self, args: &[&str], status: i32, says: &str) {
        let got = self.ask(args);
        assert_eq!(got.status, status, "{args:?}: {got:?}");
        assert!(got.stderr.contains(says), "{args:?}: {got:?}");
    }

    /// `run --rm` with both runtimes: the same of each.
    fn same(&self, args: &[&str]) -> (String, String, i32) {
        let with = |runtime| {
            let got = self.ask(&[&["run", "--rm", "--runtime", runtime], args].concat());
            plain(&got, "/no/path")
        };
        let of_runc = with("runc");
        assert_eq!(with("wharf"), of_runc, "{args:?} with Wharf (left), with runc (right)");
        of_runc
    }

    /// Files that the runtime keeps of its containers: below dockerd's own `/run` and below its directories.
    fn states(&self) -> Vec<String> {
        let run = format!("/proc/{}/root/run", self.server.pid());
        let found =
            Output::of(Command::new("find").args([&run, &self.site.path("exec"), "-name", "state.json"]));
        found.stdout.lines().map(str::to_owned).collect()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let all = self.ask(&["ps", "-aq"]).stdout;
        for id in all.lines() {
            self.ask(&["rm", "-f", "-v", id]);
        }
        let states = self.states();
        self.server.terminate();
        if !std::thread::panicking() {
            assert_eq!(states, Vec::<String>::new(), "the runtime's records");
        }
    }
}

#[test]
fn a_container_is_as_with_runc() {
    let docker = Docker::start();
    let etc = docker.site.path("busybox-root/etc");
    let volume = format!("{etc}:/host:ro");
    let table: [(&[&str], i32); 14] = [
        (&["busybox", "sh", "-c", "echo out; echo err >&2; exit 7"], 7),
        (
            &[
                "-e",
                "A=b",
                "-u",
                "nobody",
                "-w",
                "/tmp",
                "--group-add",
                "5",
                "busybox",
                "sh",
                "-c",
                "echo $A; id; pwd",
            ],
            0,
        ),
        (&["-h", "mine", "-w", "/new/dir", "busybox", "sh", "-c", "hostname; pwd; umask; ulimit -n"], 0),
        (&["busybox", "grep", "-E", "Cap|Seccomp:|NoNew", "/proc/self/status"], 0),
        (
            &[
                "--cap-drop",
                "all",
                "--cap-add",
                "net_raw",
                "--security-opt",
                "no-new-privileges",
                "busybox",
                "grep",
                "-E",
                "Cap|NoNew",
                "/proc/self/status",
            ],
            0,
        ),
        (&["--security-opt", "seccomp=unconfined", "busybox", "grep", "Seccomp:", "/proc/self/status"], 0),
        (&["busybox", "unshare", "-n", "true"], 1),
        (
            &[
                "-v",
                &volume,
                "--tmpfs",
                "/t:size=1m",
                "--read-only",
                "busybox",
                "sh",
                "-c",
                "ls /host; grep -c ' /t ' /proc/mounts; stat -c %a /t; touch /t/a; touch /host/x; touch /x",
            ],
            1,
        ),
        (
            &[
                "busybox",
                "sh",
                "-c",
                "ls -l /dev /dev/pts | sed 's/[A-Z][a-z][a-z] .*:.. //'; readlink /proc/self/fd/0; cut -d' ' -f2,3 /proc/mounts | sort | grep -v /proc/",
            ],
            0,
        ),
        (
            &[
                "-m",
                "32m",
                "--pids-limit",
                "20",
                "--cpus",
                "0.5",
                "--cpu-shares",
                "300",
                "--oom-score-adj",
                "500",
                "busybox",
                "sh",
                "-c",
                "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares /proc/self/oom_score_adj; cut -d: -f2- /proc/self/cgroup | grep -v ^:",
            ],
            0,
        ),
        (
            &[
                "--sysctl",
                "net.ipv4.ip_forward=1",
                "--ulimit",
                "nofile=100:200",
                "busybox",
                "sh",
                "-c",
                "cat /proc/sys/net/ipv4/ip_forward; ulimit -n; ulimit -Hn",
            ],
            0,
        ),
        (&["--init", "busybox", "sh", "-c", "cat /proc/1/comm; exit 3"], 3),
        (&["busybox", "no-such-program"], 127),
        (&["busybox", "/etc/passwd"], 126),
    ];
    for (args, status) in table {
        let got = docker.same(args);
        assert_eq!(got.2, status, "{args:?}: {got:?}");
    }
    // Newer ones say so, Debian's only "permission denied", by which engines tell it.
    docker.bad(&["run", "--rm", "busybox", "/etc"], 126, "exec: \"/etc\": is a directory: permission denied");
    docker.bad(
        &["run", "--rm", "busybox", "no-such-program"],
        127,
        "OCI runtime create failed: runc create failed: unable to start container process: error during container \
         init: exec: \"no-such-program\": executable file not found in $PATH: unknown",
    );
    docker.bad(&["run", "--rm", "--sysctl", "net.no.such=1", "busybox", "true"], 127, "net.no.such");
    docker.bad(
        &["run", "--rm", "-w", "/etc/passwd", "busybox", "true"],
        125,
        "/etc/passwd is not a directory",
    );
    let open =
        docker.good(&["run", "--rm", "--privileged", "busybox", "grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(open, "Seccomp:\t0");
}

#[test]
fn the_life_of_a_container() {
    let docker = Docker::start();
    let script = "trap 'echo bye; exit 5' TERM; while :; do sleep 0.1; done";
    let id = docker.good(&["run", "-d", "--name", "one", "-m", "64m", "busybox", "sh", "-c", script]);
    assert_eq!(docker.good(&["inspect", "-f", "{{.HostConfig.Runtime}}", "one"]), "wharf");
    assert_eq!(docker.states().len(), 1, "{:?}", docker.states());

    let exec = docker.ask(&[
        "exec",
        "-e",
        "A=b",
        "-u",
        "nobody",
        "-w",
        "/tmp",
        "one",
        "sh",
        "-c",
        "echo $A; id -un >&2; pwd; exit 9",
    ]);
    assert_eq!((exec.stdout.as_str(), exec.stderr.as_str(), exec.status), ("b\n/tmp\n", "nobody\n", 9));
    assert!(docker.good(&["exec", "-t", "one", "tty"]).starts_with("/dev/pts/"));
    let typed =
        in_terminal(&docker.command(&["exec", "-it", "one", "sh", "-c", "test -t 0 && stty size && exit 4"]));
    assert_eq!(typed.status, 4, "{typed:?}");
    docker.bad(&["exec", "one", "no-such-program"], 126, "");
    let said = docker.ask(&["exec", "one", "no-such-program"]);
    assert!(format!("{said:?}").contains("executable file not found in $PATH"), "{said:?}");
    docker.good(&["exec", "-d", "one", "sleep", "1000"]);

    let pids = docker.good(&["top", "one", "-o", "pid,args"]);
    assert!(pids.contains("sleep 1000") && pids.contains("trap"), "{pids}");
    docker.good(&["pause", "one"]);
    assert_eq!(docker.site.limit("freezer", &id, "freezer.state"), "FROZEN");
    assert_eq!(docker.good(&["inspect", "-f", "{{.State.Status}}", "one"]), "paused");
    docker.good(&["unpause", "one"]);
    docker.bad(&["rm", "one"], 1, "cannot remove a running container");
    let stats =
        docker.good(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "one"]);
    assert!(stats.starts_with("one ") && stats.ends_with("/ 64MiB"), "{stats}");

    docker.good(&[
        "update",
        "-m",
        "48m",
        "--memory-swap",
        "96m",
        "--cpus",
        "0.3",
        "--pids-limit",
        "33",
        "one",
    ]);
    assert_eq!(docker.site.limit("memory", &id, "memory.limit_in_bytes"), "50331648");
    assert_eq!(docker.site.limit("memory", &id, "memory.memsw.limit_in_bytes"), "100663296");
    assert_eq!(docker.site.limit("cpu", &id, "cpu.cfs_quota_us"), "30000");
    assert_eq!(docker.site.limit("pids", &id, "pids.max"), "33");

    docker.good(&["stop", "-t", "30", "one"]);
    assert_eq!(docker.good(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one"]), "exited 5");
    assert_eq!(docker.good(&["logs", "one"]), "bye");
    docker.good(&["start", "one"]);
    docker.good(&["restart", "-t", "30", "one"]);
    docker.good(&["kill", "one"]);
    assert_eq!(docker.good(&["wait", "one"]), "137");
    docker.good(&["rm", "one"]);

    let deaf = "trap '' TERM; while :; do sleep 0.1; done";
    docker.good(&["run", "-d", "--name", "deaf", "busybox", "sh", "-c", deaf]);
    docker.good(&["stop", "-t", "1", "deaf"]);
    assert_eq!(docker.good(&["inspect", "-f", "{{.State.ExitCode}}", "deaf"]), "137");
    // Without a pid namespace of its own, the others end with the first as well.
    let crowd = "sleep 47474 & sleep 47475 & exec sleep 47476";
    docker.good(&["run", "-d", "--name", "crowd", "--pid", "host", "busybox", "sh", "-c", crowd]);
    docker.good(&["rm", "-f", "crowd"]);
    eventually("all of a container end", || {
        docker.site.ground.left().iter().all(|line| !line.contains("cgroup") || !line.contains("4747"))
    });
    assert_eq!(docker.good(&["ps", "-q"]), "");
}

#[test]
fn terminals_networks_memory_and_many() {
    let docker = Docker::start();
    let typed = docker.command(&["run", "--rm", "-it", "busybox", "sh", "-c", "tty; test -t 0 && exit 6"]);
    let typed = in_terminal(&typed);
    assert!(typed.stdout.contains("/dev/pts/0") && typed.status == 6, "{typed:?}");

    docker.good(&[
        "run",
        "-d",
        "--name",
        "web",
        "busybox",
        "sh",
        "-c",
        "echo page > /index.html; exec httpd -f -h /",
    ]);
    let address = docker.good(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"]);
    eventually("a page comes over the bridge", || {
        docker.ask(&["run", "--rm", "busybox", "wget", "-qO-", &format!("http://{address}/")]).stdout
            == "page\n"
    });
    let shared =
        ["run", "--rm", "--network", "container:web", "busybox", "wget", "-qO-", "http://127.0.0.1/"];
    assert_eq!(docker.good(&shared), "page");
    docker.good(&["rm", "-f", "web"]);

    let greedy = "exec dd if=/dev/zero of=/dev/null bs=200M";
    let limit = ["-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c"];
    let got = docker.ask(&[&["run", "--name", "greedy"], &limit[..], &[greedy]].concat());
    assert_eq!(got.status, 137, "{got:?}");
    assert_eq!(docker.good(&["inspect", "-f", "{{.State.OOMKilled}}", "greedy"]), "true");

    std::thread::scope(|scope| {
        for n in 0..10 {
            let docker = &docker;
            scope.spawn(move || {
                let runtime = if n % 2 == 0 { "wharf" } else { "script" };
                let got = docker.ask(&[
                    "run",
                    "--rm",
                    "--runtime",
                    runtime,
                    "busybox",
                    "sh",
                    "-c",
                    &format!("echo {n}; exit {n}"),
                ]);
                assert_eq!((got.stdout.trim().to_owned(), got.status), (n.to_string(), n), "{got:?}");
            });
        }
    });
    assert_eq!(docker.good(&["ps", "-aq", "--filter", "name=greedy"]).lines().count(), 1);
}
