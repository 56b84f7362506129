//! Debian's podman with conmon. It has no daemon: one process holds the namespaces that its commands enter.

use std::process::{Command, Stdio};

use testkit::Output;

use crate::kit::{Server, Site, eventually, in_terminal, plain};

struct Podman {
    holder: Server,
    site: Site,
}

impl Podman {
    fn new() -> Self {
        let site = Site::new();
        // As many open files as it likes to give each container, only the machine's root may.
        let config = "[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=4096:8192\"]\n";
        std::fs::write(site.path("containers.conf"), config).unwrap();
        std::fs::write(site.path("registries.conf"), "unqualified-search-registries = []\n").unwrap();
        let ready = site.path("ready");
        let mut holder = site.start("sh", &["-c", &format!("touch {ready}; exec sleep infinity")]);
        holder.wait(|| std::path::Path::new(&ready).exists());
        let podman = Self { holder, site };
        podman.good(&["import", podman.site.tar.to_str().unwrap(), "busybox"]);
        podman
    }

    fn command(&self, runtime: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.pid().to_string(), "-n", "-m", "--", "podman"]);
        command.args(["--root", &self.site.path("root"), "--runroot", &self.site.path("runroot")]);
        command.args(["--tmpdir", &self.site.path("tmp"), "--cgroup-manager", "cgroupfs"]);
        command.args(["--storage-driver", "vfs", "--events-backend", "file", "--runtime", runtime]);
        command.args(args).stdin(Stdio::null());
        command.env("CONTAINERS_CONF", self.site.path("containers.conf"));
        command.env("CONTAINERS_REGISTRIES_CONF", self.site.path("registries.conf"));
        self.site.mark(&mut command);
        command
    }

    fn with(&self, runtime: &str, args: &[&str]) -> Output {
        Output::of(&mut self.command(runtime, args))
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.with(&self.site.link.display().to_string(), args)
    }

    fn good(&self, args: &[&str]) -> String {
        let got = self.ask(args);
        assert_eq!(got.status, 0, "{args:?}: {got:?}");
        got.stdout.trim().to_owned()
    }

    fn bad(&self, args: &[&str], status: i32, says: &str) {
        let got = self.ask(args);
        assert_eq!(got.status, status, "{args:?}: {got:?}");
        assert!(got.stderr.contains(says), "{args:?}: {got:?}");
    }

    /// `run` and `create` without a network, below the ground's cgroup.
    fn place(&self) -> String {
        format!("--cgroup-parent=/{}", self.site.ground.cgroup_parent())
    }

    fn same(&self, args: &[&str]) -> (String, String, i32) {
        let place = self.place();
        let run = [&["run", "--rm", "--network", "none", &place], args].concat();
        let with = |runtime: &str| plain(&self.with(runtime, &run), runtime);
        let of_runc = with("/usr/sbin/runc");
        let of_wharf = with(&self.site.link.display().to_string());
        assert_eq!(of_wharf, of_runc, "{args:?} with Wharf (left), with runc (right)");
        of_runc
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.ask(&["rm", "-f", "-a", "-t", "0"]);
        let run = format!("/proc/{}/root/run", self.holder.pid());
        let found = Output::of(Command::new("find").args([&run, "-name", "state.json"]));
        self.holder.terminate();
        if !std::thread::panicking() {
            assert_eq!(found.stdout, "", "the runtime's records");
            // conmon's, which it makes beside those of the containers and leaves. The last one may still be ending.
            let parent = self.site.ground.cgroup_parent().to_owned();
            eventually("conmon's cgroups are empty", || {
                let hierarchies =
                    std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
                let mut all = hierarchies.chain([std::path::PathBuf::from("/sys/fs/cgroup")]);
                all.all(|hierarchy| {
                    let group = hierarchy.join(&parent).join("conmon");
                    std::fs::remove_dir(&group).is_ok() || !group.exists()
                })
            });
        }
    }
}

#[test]
fn a_container_is_as_with_runc() {
    let podman = Podman::new();
    let volume = format!("{}:/host:ro", podman.site.path("busybox-root/etc"));
    let table: [(&[&str], i32); 11] = [
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
                "--umask",
                "077",
                "busybox",
                "sh",
                "-c",
                "echo $A; id; pwd; umask",
            ],
            0,
        ),
        (&["-h", "mine", "busybox", "sh", "-c", "hostname; ulimit -n; cat /proc/self/oom_score_adj"], 0),
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
                "Cap|NoNew|Seccomp:",
                "/proc/self/status",
            ],
            0,
        ),
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
                "ls -l /dev /dev/pts | sed 's/[A-Z][a-z][a-z] .*:.. //'; cut -d' ' -f2,3 /proc/mounts | sort | grep -v /proc/",
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
                "busybox",
                "sh",
                "-c",
                "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares",
            ],
            0,
        ),
        (
            &[
                "--uidmap",
                "0:100000:65536",
                "--gidmap",
                "0:100000:65536",
                "busybox",
                "sh",
                "-c",
                "cat /proc/self/uid_map; id -u; touch /tmp/x && ls -ln /tmp/x | cut -c 1-40",
            ],
            0,
        ),
        (&["busybox", "no-such-program"], 127),
        (&["busybox", "/etc/passwd"], 126),
    ];
    for (args, status) in table {
        let got = podman.same(args);
        assert_eq!(got.2, status, "{args:?}: {got:?}");
    }
    let place = podman.place();
    let run = ["run", "--rm", "--network", "none", &place];
    podman.bad(&[&run[..], &["busybox", "/etc"]].concat(), 126, "is a directory");
    podman.bad(&[&run[..], &["-w", "/no/such", "busybox", "true"]].concat(), 126, "/no/such");
    let status = podman.good(
        &[&run[..], &["--init", "--init-path", "/usr/bin/tini-static", "busybox", "cat", "/proc/1/comm"]]
            .concat(),
    );
    assert!(status.contains("init"), "{status}");
    // The script with `wharf oci` is a runtime, too.
    let script = podman.site.script.display().to_string();
    let got = podman.with(&script, &[&run[..], &["busybox", "sh", "-c", "echo hi; exit 3"]].concat());
    assert_eq!((got.stdout.as_str(), got.status), ("hi\n", 3), "{got:?}");
}

#[test]
fn the_life_of_a_container() {
    let podman = Podman::new();
    let place = podman.place();
    let start = ["run", "-d", "--network", "none", &place];
    let script = "trap 'echo bye; exit 5' TERM; while :; do sleep 0.1; done";
    let id =
        podman.good(&[&start[..], &["--name", "one", "-m", "64m", "busybox", "sh", "-c", script]].concat());
    let cgroup = format!("libpod-{id}");
    let runtime = podman.good(&["inspect", "-f", "{{.OCIRuntime}}", "one"]);
    assert_eq!(runtime, podman.site.link.display().to_string());

    let exec = podman.ask(&[
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
    let link = podman.site.link.display().to_string();
    let typed = podman.command(&link, &["exec", "-it", "one", "sh", "-c", "tty; test -t 0 && exit 4"]);
    let typed = in_terminal(&typed);
    assert!(typed.stdout.contains("/dev/pts/") && typed.status == 4, "{typed:?}");
    podman.bad(&["exec", "one", "no-such-program"], 127, "executable file not found in $PATH");
    podman.bad(&["exec", "one", "/etc/passwd"], 126, "permission denied");
    podman.bad(&["exec", "one", "/etc"], 126, "permission denied");
    podman.bad(&["exec", "-w", "/no/such", "one", "true"], 127, "/no/such");

    let top = podman.good(&["top", "one", "pid", "comm"]);
    assert!(top.contains("sh") && top.contains("sleep"), "{top}");
    podman.good(&["pause", "one"]);
    assert_eq!(podman.site.limit("freezer", &cgroup, "freezer.state"), "FROZEN");
    assert_eq!(podman.good(&["inspect", "-f", "{{.State.Status}}", "one"]), "paused");
    podman.good(&["unpause", "one"]);
    podman.bad(&["rm", "one"], 2, "as it is running");
    podman.good(&["update", "-m", "48m", "--cpus", "0.3", "one"]);
    assert_eq!(podman.site.limit("memory", &cgroup, "memory.limit_in_bytes"), "50331648");
    assert_eq!(podman.site.limit("cpu", &cgroup, "cpu.cfs_quota_us"), "30000");

    podman.good(&["stop", "-t", "30", "one"]);
    assert_eq!(podman.good(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one"]), "exited 5");
    assert_eq!(podman.good(&["logs", "one"]), "bye");
    podman.good(&["start", "one"]);
    podman.good(&["restart", "-t", "30", "one"]);
    podman.good(&["kill", "one"]);
    assert_eq!(podman.good(&["wait", "one"]), "137");
    podman.good(&["rm", "one"]);

    let deaf = "trap '' TERM; while :; do sleep 0.1; done";
    podman.good(&[&start[..], &["--name", "deaf", "busybox", "sh", "-c", deaf]].concat());
    podman.good(&["stop", "-t", "1", "deaf"]);
    assert_eq!(podman.good(&["inspect", "-f", "{{.State.ExitCode}}", "deaf"]), "137");
    podman.good(&[&start[..], &["--name", "running", "busybox", "sleep", "1000"]].concat());
    podman.good(&["rm", "-f", "-t", "0", "running"]);

    // Two steps, as the runtime knows them.
    let create =
        ["create", "--network", "none", &place, "--name", "two", "busybox", "sh", "-c", "echo begun"];
    podman.good(&create);
    podman.good(&["init", "two"]);
    assert_eq!(podman.good(&["inspect", "-f", "{{.State.Status}}", "two"]), "initialized");
    podman.good(&["start", "two"]);
    eventually("it ran", || podman.ask(&["logs", "two"]).stdout == "begun\n");
}

#[test]
fn terminals_networks_memory_and_many() {
    let podman = Podman::new();
    let place = podman.place();
    let link = podman.site.link.display().to_string();
    let typed = podman.command(
        &link,
        &[
            "run",
            "--rm",
            "-it",
            &place,
            "--network",
            "host",
            "busybox",
            "sh",
            "-c",
            "tty; ls /sys/class/net; test -t 0 && exit 6",
        ],
    );
    let typed = in_terminal(&typed);
    // The namespace that the holder made has the loopback device only.
    assert!(typed.stdout.contains("/dev/pts/0\r\nlo\r\n") && typed.status == 6, "{typed:?}");

    podman.good(&[
        "run",
        "-d",
        "--name",
        "net",
        "--network",
        "none",
        &place,
        "busybox",
        "sh",
        "-c",
        "ip link set lo up; echo page > /index.html; exec httpd -f -h /",
    ]);
    eventually("another one in the same network namespace", || {
        let args = [
            "run",
            "--rm",
            "--network",
            "container:net",
            &place,
            "busybox",
            "wget",
            "-qO-",
            "http://127.0.0.1/",
        ];
        podman.ask(&args).stdout == "page\n"
    });

    // (conmon, which looks for the cause itself, finds none on version 1: with runc neither.)
    let greedy = [
        "run",
        "--name",
        "greedy",
        "--network",
        "none",
        &place,
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "sh",
        "-c",
        "exec dd if=/dev/zero of=/dev/null bs=200M",
    ];
    assert_eq!(podman.ask(&greedy).status, 137);

    std::thread::scope(|scope| {
        for n in 0..10 {
            let (podman, place) = (&podman, &place);
            scope.spawn(move || {
                let got = podman.ask(&[
                    "run",
                    "--rm",
                    "--network",
                    "none",
                    place,
                    "busybox",
                    "sh",
                    "-c",
                    &format!("echo {n}; exit {n}"),
                ]);
                assert_eq!((got.stdout.trim().to_owned(), got.status), (n.to_string(), n), "{got:?}");
            });
        }
    });
}
