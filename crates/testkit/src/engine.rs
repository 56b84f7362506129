//! A private engine: the built binary, with everything of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::Output;

/// Starting and stopping may wait for a loaded machine, never for ever.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// A running `wharf daemon`. Dropping it removes what it started and checks that nothing is left.
#[derive(Debug)]
pub struct Engine {
    binary: PathBuf,
    directory: PathBuf,
    child: Option<Child>,
    flags: Vec<String>,
}

impl Engine {
    /// Starts an engine below `directory` (empty, and the caller's to remove) and waits until it answers.
    ///
    /// # Panics
    /// When it does not start; its log is in the message.
    pub fn start(binary: &Path, directory: &Path) -> Self {
        let index = next_index();
        let bridge = format!("wt{index}");
        // 10.200.0.0/14 is used by nothing here; each engine has a /24 of it.
        let bip = format!("10.{}.{}.1/24", 200 + (index >> 8) % 4, index & 0xff);
        let flags = vec![format!("--bridge={bridge}"), format!("--bip={bip}")];
        Self::start_with(binary, directory, flags)
    }

    /// As [`Engine::start`], with network flags of the caller's.
    ///
    /// # Panics
    /// As `start`.
    pub fn start_with(binary: &Path, directory: &Path, flags: Vec<String>) -> Self {
        let mut engine = Self { binary: binary.into(), directory: directory.into(), child: None, flags };
        engine.run();
        engine
    }

    /// Starts it again on the same directories, after [`Engine::kill`].
    ///
    /// # Panics
    /// As `start`.
    pub fn run(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join("engine.log"))
            .expect("open the engine's log");
        let path = |name: &str| self.directory.join(name).display().to_string();
        let child = Command::new(&self.binary)
            .arg("daemon")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--config-file", &path("daemon.json"), "-H", &self.host()])
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log)
            .spawn()
            .expect("start the engine");
        self.child = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while UnixStream::connect(self.socket()).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the engine ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "the engine does not answer\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }

    /// Kills the engine as a crash would; containers go on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("engine.sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// What the engine logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("engine.log")).unwrap_or_default()
    }

    /// Process id of the engine.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// A client of this engine, called as `program` (`docker` for Docker's texts).
    pub fn client(&self, program: &str) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.binary);
        command.arg0(program);
        self.configure(&mut command);
        command
    }

    /// The unmodified Docker CLI against this engine; `None` where it is not installed.
    pub fn docker(&self) -> Option<Command> {
        let path =
            ["/usr/local/bin/docker", "/usr/bin/docker"].into_iter().find(|path| Path::new(path).exists())?;
        let mut command = Command::new(path);
        self.configure(&mut command);
        Some(command)
    }

    fn configure(&self, command: &mut Command) {
        command
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_CONFIG", self.directory.join("config"))
            .env("WHARF_AUTOSTART", "0")
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_API_VERSION")
            .stdin(Stdio::null());
    }

    /// Runs a client to its end.
    pub fn wharf(&self, args: &[&str]) -> Output {
        Output::of(self.client("wharf").args(args))
    }

    /// Removes all containers.
    pub fn sweep(&self) {
        let listed = self.wharf(&["ps", "-aq", "--no-trunc"]).stdout;
        for id in listed.lines() {
            self.wharf(&["rm", "-f", "-v", id]);
        }
    }

    /// What is still there of this engine: mounts below its directory, processes that name it.
    fn left_over(&self) -> Vec<String> {
        let here = self.directory.display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut found: Vec<String> =
            mounts.lines().filter(|line| line.contains(&here)).map(|line| format!("mount: {line}")).collect();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if pid != std::process::id() && line.contains(&here) {
                found.push(format!("process {pid}: {line}"));
            }
        }
        found
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        self.sweep();
        if let Some(mut child) = self.child.take() {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let deadline = Instant::now() + DEADLINE;
            while child.try_wait().ok().flatten().is_none() {
                if Instant::now() > deadline {
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
        if let Some(bridge) = self
            .flags
            .iter()
            .find_map(|flag| flag.strip_prefix("--bridge="))
            .filter(|name| name.starts_with("wt"))
        {
            // The engine leaves its bridge, as Docker does; a throw-away one takes its own with it.
            let _ = Command::new("ip").args(["link", "del", bridge]).stderr(Stdio::null()).status();
        }
        let deadline = Instant::now() + DEADLINE;
        let mut left = self.left_over();
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
            left = self.left_over();
        }
        if !std::thread::panicking() {
            assert!(left.is_empty(), "the engine left behind:\n{}\n{}", left.join("\n"), self.log());
        }
    }
}

/// Numbers that no two tests share: processes differ by their id, engines of one by a counter.
fn next_index() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = (std::process::id() & 0x7f) as u16;
    (process << 3 | (NEXT.fetch_add(1, Ordering::Relaxed) & 7)) & 0x3ff
}
