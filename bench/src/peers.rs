//! The contenders: engines and runtimes found on this machine, each brought up in its own network and mount
//! namespace with its own socket and data, so that none sees another and nothing of them stays.

use std::fs;
use std::io::{Error, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Everything that one contender needs to be asked for a container.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The command line in front of `run`, `exec`, ...
    pub(crate) client: Vec<String>,
    /// From exec of the engine to its first answer; `None` for an engine without a daemon.
    pub(crate) ready: Option<Duration>,
    /// The engine's command line.
    pub(crate) start: String,
    daemon: Option<Child>,
    /// Marks this engine's helpers in their command lines.
    mark: PathBuf,
}

impl Engine {
    /// `client` followed by `args`.
    pub(crate) fn command(&self, args: &[&str]) -> Vec<String> {
        self.client.iter().cloned().chain(args.iter().map(|a| (*a).to_owned())).collect()
    }

    /// A process in its network namespace.
    pub(crate) fn namespace(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// All processes of this engine outside containers.
    fn processes(&self) -> Vec<u32> {
        let daemon = self.daemon.as_ref().map(Child::id);
        let host = fs::read_link("/proc/self/ns/pid").ok();
        let mut found = Vec::new();
        for pid in pids() {
            let proc = PathBuf::from(format!("/proc/{pid}"));
            let ours = fs::read(proc.join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&*self.mark.to_string_lossy()))
                || daemon.is_some_and(|daemon| descends(pid, daemon));
            if ours && pid != std::process::id() && fs::read_link(proc.join("ns/pid")).ok() == host {
                found.push(pid);
            }
        }
        found
    }

    /// Proportional set size, in KiB, of its processes.
    pub(crate) fn pss_kib(&self) -> f64 {
        let of = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
                .unwrap_or_default()
                .lines()
                .find_map(|l| l.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        self.processes().iter().map(of).sum::<u64>() as f64
    }

    /// The most memory that its daemons ever had at a time, each by itself: VmHWM of proc_pid_status(5).
    pub(crate) fn peak_mib(&self) -> f64 {
        let own = std::process::id();
        let of = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0)
        };
        let daemon = self.daemon.as_ref().map(Child::id);
        let is_daemon = |pid: u32| daemon.is_some_and(|daemon| descends(pid, daemon)) && pid != own;
        self.processes().iter().filter(|&&pid| is_daemon(pid)).map(of).sum::<u64>() as f64 / 1024.0
    }

    /// Processor time until now of its processes and of those that they have waited for; without its clients.
    pub(crate) fn cpu_ms(&self) -> f64 {
        // A tick is 10 ms wherever Linux tells of ticks (proc(5)).
        const TICK_MS: u64 = 10;
        let (own, daemon) = (std::process::id(), self.daemon.as_ref().map(Child::id));
        let is_client = |pid: u32| descends(pid, own) && !daemon.is_some_and(|daemon| descends(pid, daemon));
        let of = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            // utime, stime, cutime, cstime: fields 14 to 17.
            after
                .split_whitespace()
                .skip(11)
                .take(4)
                .filter_map(|field| field.parse::<u64>().ok())
                .sum::<u64>()
        };
        let processes = self.processes();
        (processes.iter().filter(|&&pid| !is_client(pid)).map(of).sum::<u64>() * TICK_MS) as f64
    }

    fn remove_all(&self) {
        let run = |args: &[&str]| {
            let line = self.command(args);
            Command::new(&line[0]).args(&line[1..]).stderr(Stdio::null()).output()
        };
        let Ok(listed) = run(&["ps", "-aq"]) else { return };
        let listed = String::from_utf8_lossy(&listed.stdout);
        let mut args = vec!["rm", "-f"];
        args.extend(listed.lines());
        if args.len() > 2 {
            // What stays is for the reader of the table to see.
            let _ = run(&args);
        }
    }

    /// Removes the containers that a failed case left, since they outlive an engine; then ends the daemon
    /// politely and waits for it.
    pub(crate) fn stop(&mut self) {
        if self.daemon.is_some() {
            self.remove_all();
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let deadline = Instant::now() + Duration::from_secs(30);
            while Instant::now() < deadline && !matches!(daemon.try_wait(), Ok(Some(_))) {
                sleep(Duration::from_millis(20));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a peer cannot do is said and left out of the table; Wharf has no excuse.
pub(crate) fn excuse(engine: &Engine, outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if engine.name != "wharf" => {
            eprintln!("{}: {error}", engine.name);
            Ok(())
        }
        outcome => outcome,
    }
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

fn descends(mut pid: u32, from: u32) -> bool {
    while pid > 1 {
        if pid == from {
            return true;
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        pid = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0);
    }
    false
}

/// First line that a command prints, or `None` when it isn't installed.
pub(crate) fn version(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&out.stdout).lines().next()?.to_owned())
}

/// Wharf's engine, in namespaces of its own.
pub(crate) fn wharf(binary: &str, dir: &Path) -> Result<Engine, Error> {
    let socket = dir.join("wharf.sock");
    let engine = format!(
        "{binary} daemon --data-root {d}/data --exec-root {d}/exec --pidfile {d}/pid --config-file {d}/engine.json -H unix://{s}",
        d = dir.display(),
        s = socket.display()
    );
    let version = version(binary, &["--version"]).unwrap_or_default();
    start("wharf", version, &engine, dir, &socket, vec![binary.to_owned()])
}

/// Debian's Docker, when it is installed.
pub(crate) fn docker(dir: &Path) -> Result<Option<Engine>, Error> {
    let Some(version) = version("dockerd", &["--version"]) else { return Ok(None) };
    let socket = dir.join("docker.sock");
    let engine = format!(
        "dockerd --userland-proxy=false --data-root {d}/data --exec-root {d}/exec --pidfile {d}/pid --config-file {d}/engine.json -H \
         unix://{s}",
        d = dir.display(),
        s = socket.display()
    );
    start("docker", version, &engine, dir, &socket, vec!["docker".to_owned()]).map(Some)
}

fn start(
    name: &str,
    version: String,
    engine: &str,
    dir: &Path,
    socket: &Path,
    mut client: Vec<String>,
) -> Result<Engine, Error> {
    fs::create_dir_all(dir)?;
    // Not the machine's own configuration.
    fs::write(dir.join("engine.json"), "{}\n")?;
    let log = fs::File::create(dir.join("engine.log"))?;
    // The shell says when it is done with the namespaces, which are none of the engine's.
    let begun = dir.join("begun");
    let begin = Instant::now();
    let line = format!(
        "ip link set lo up; {}; date +%s%N > {}; exec {engine}",
        in_memory(&dir.join("exec"))?,
        begun.display()
    );
    let daemon = ended_with_us("unshare")
        .args(["-n", "-m", "sh", "-c", &line])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    client.extend(["-H".to_owned(), format!("unix://{}", socket.display())]);
    let mut engine = Engine {
        name: name.to_owned(),
        version,
        client,
        ready: None,
        start: engine.to_owned(),
        daemon: Some(daemon),
        mark: dir.to_path_buf(),
    };
    let deadline = begin + Duration::from_secs(60);
    while !answers(socket) {
        if Instant::now() > deadline {
            let said = fs::read_to_string(dir.join("engine.log")).unwrap_or_default();
            return Err(Error::other(format!("{name} did not come up: {said}")));
        }
        sleep(Duration::from_micros(500));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::other)?;
    let begun: u64 = fs::read_to_string(&begun)?.trim().parse().map_err(Error::other)?;
    engine.ready = Some(now.saturating_sub(Duration::from_nanos(begun)));
    Ok(engine)
}

/// A program that is asked to end when this one does, also when this one is killed: setpriv(1).
pub(crate) fn ended_with_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", program]);
    command
}

/// The command, for a mount namespace of the engine's own, that puts its runtime state where every machine has it: on a
/// file system in memory, as `/run` is one.
fn in_memory(dir: &Path) -> Result<String, Error> {
    fs::create_dir_all(dir)?;
    Ok(format!("mount -t tmpfs -o mode=755 tmpfs {}", dir.display()))
}

fn answers(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let mut answer = [0; 12];
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.ends_with(b"200")
}

/// Podman in a namespace that a sleeping process holds open, when it is installed.
pub(crate) fn podman(dir: &Path) -> Result<Option<Engine>, Error> {
    let Some(version) = version("podman", &["--version"]) else { return Ok(None) };
    fs::create_dir_all(dir)?;
    let line = format!(
        "ip link set lo up; {}; umount /sys/fs/cgroup/unified 2>/dev/null; echo ready; exec sleep 100000",
        in_memory(&dir.join("run"))?
    );
    let holder = ended_with_us("unshare")
        .args(["-n", "-m", "sh", "-c", &line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut engine = Engine {
        name: "podman".to_owned(),
        version,
        client: Vec::new(),
        ready: None,
        start: String::new(),
        daemon: Some(holder),
        mark: dir.to_path_buf(),
    };
    let holder = engine.daemon.as_mut().ok_or_else(|| Error::other("no holder"))?;
    if let Some(stdout) = &mut holder.stdout {
        stdout.read_exact(&mut [0; 5])?;
    }
    let pid = holder.id().to_string();
    // Its own defaults raise limits, which not every machine's root may.
    let conf = dir.join("containers.conf");
    fs::write(&conf, "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n")?;
    engine.client = ["nsenter", "-t", &pid, "-n", "-m", "env"].map(str::to_owned).to_vec();
    engine.client.push(format!("CONTAINERS_CONF={}", conf.display()));
    engine.client.extend(["podman", "--cgroup-manager=cgroupfs", "--events-backend=file"].map(str::to_owned));
    engine.client.extend([
        format!("--root={}/root", dir.display()),
        format!("--runroot={}/run", dir.display()),
        format!("--tmpdir={}/tmp", dir.display()),
    ]);
    Ok(Some(engine))
}
