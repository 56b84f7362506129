//! A private engine: the built binary, with everything of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Output;
use crate::keeper::Keeper;
use crate::left::left_over;
use crate::place::Place;

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
    keeper: Keeper,
    place: Place,
    patience: Duration,
}

impl Engine {
    /// Starts an engine below `directory` (empty, and the caller's to remove) and waits until it answers.
    ///
    /// # Panics
    /// When it does not start; its log is in the message.
    pub fn start(binary: &Path, directory: &Path) -> Self {
        Self::start_with(binary, directory, &[])
    }

    /// As [`Engine::start`], with more flags. Bridge, subnet and cgroup parent are the engine's own in any case.
    ///
    /// # Panics
    /// As `start`.
    pub fn start_with(binary: &Path, directory: &Path, flags: &[&str]) -> Self {
        let directory = directory.canonicalize().expect("find the engine's directory");
        let place = Place::claim();
        let mut engine = Self {
            binary: binary.into(),
            keeper: Keeper::watch(&directory, &place),
            directory,
            child: None,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            place,
            patience: DEADLINE,
        };
        engine.run();
        engine
    }

    /// The cgroup that its containers are in, below each hierarchy: `wharf-test-<n>`.
    pub fn cgroup_parent(&self) -> &str {
        &self.place.cgroup
    }

    /// Name of its bridge.
    pub fn bridge(&self) -> &str {
        &self.place.bridge
    }

    /// Where everything of it lies; `data` and `exec` are its roots.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts it again on the same directories, after [`Engine::kill`].
    ///
    /// # Panics
    /// As `start`.
    pub fn run(&mut self) {
        self.run_with(|_| {});
    }

    /// As [`Engine::run`], with changes to its command (environment, more flags).
    ///
    /// # Panics
    /// As `start`.
    pub fn run_with(&mut self, change: impl FnOnce(&mut Command)) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join("engine.log"))
            .expect("open the engine's log");
        let mut command = self.daemon();
        change(&mut command);
        let child = command
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

    /// The command that starts it: also for a second engine that is to be refused.
    ///
    /// # Panics
    /// When its configuration file cannot be made.
    pub fn daemon(&self) -> Command {
        let path = |name: &str| self.directory.join(name).display().to_string();
        // A named configuration file must exist; what a test wrote there stays.
        let config = std::fs::OpenOptions::new().create(true).append(true).open(path("daemon.json"));
        config.expect("make the configuration file");
        let mut command = Command::new(&self.binary);
        command
            .arg("daemon")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--config-file", &path("daemon.json"), "-H", &self.host()])
            .args(self.place.flags())
            .args(&self.flags)
            // What it starts inherits this, and can be found by it.
            .env("WHARF_TEST_DIRECTORY", &self.directory)
            .stdin(Stdio::null());
        command
    }

    /// Waits for an engine that ends by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_for_end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let deadline = Instant::now() + DEADLINE;
        while child.try_wait().ok().flatten().is_none() {
            if Instant::now() > deadline {
                self.child = Some(child);
                panic!("the engine goes on\n{}", self.log());
            }
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

    /// The unmodified Docker CLI against this engine: `WHARF_TEST_DOCKER`, or an installed one; `None` where none is.
    pub fn docker(&self) -> Option<Command> {
        let named = std::env::var_os("WHARF_TEST_DOCKER").map(PathBuf::from);
        let installed = ["/usr/local/bin/docker", "/usr/bin/docker"].map(PathBuf::from);
        let path = named.into_iter().chain(installed).find(|path| path.exists())?;
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

    /// What there is now of mounts, cgroups, interfaces and processes that have to do with it: all that must be gone
    /// when it is dropped.
    pub fn left(&self) -> Vec<String> {
        left_over(&self.directory, &self.place, self.keeper.pid())
    }

    /// How long to wait at the end for what is on its way out (30 seconds).
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Ends it as its supervisor would, and waits for it. Containers go on (`live-restore`).
    pub fn terminate(&mut self) {
        let Some(mut child) = self.child.take() else { return };
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
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.child.is_none() && !std::thread::panicking() {
            // A killed engine's containers run on: only an engine can end them.
            self.run();
        }
        if self.child.is_some() {
            self.sweep();
        }
        self.terminate();
        let deadline = Instant::now() + self.patience;
        let mut left = self.left();
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
            left = self.left();
        }
        // The keeper takes it away.
        let log = self.log();
        if left.is_empty() {
            self.keeper.dismiss();
            self.place.clear();
            left = self.place.remains();
        } else {
            self.keeper.clean();
        }
        #[expect(clippy::print_stderr, reason = "what a failing test shows")]
        match std::thread::panicking() {
            // The first failure is the one to show; this may be its cause.
            true => eprintln!("the engine's log:\n{log}\nleft: {left:?}"),
            false => {
                assert!(left.is_empty(), "the engine left behind:\n{}\n{log}", left.join("\n"));
            }
        }
    }
}
