//! What every peer needs: the two ways to call the runtime, a root file system, and a namespace of its own.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Ground, Output};

/// For a loaded machine; nothing is expected to take so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The commands with which it starts: networks and mounts of its own, and a `/run` and shared memory that nobody
/// else has.
const ALONE: &str = "ip link set lo up && mount -t tmpfs run /run && mount -t tmpfs shm /dev/shm && mkdir -p /run/lock && exec \"$@\"";

pub(crate) struct Site {
    pub(crate) ground: Ground,
    /// Called as `runc`, which is Wharf's binary.
    pub(crate) link: PathBuf,
    /// A script that calls `wharf oci`.
    pub(crate) script: PathBuf,
    pub(crate) tar: PathBuf,
    /// Dropped last.
    _directory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let directory = testkit::directory();
        let ground = Ground::claim(directory.path());
        let at = ground.directory();
        let bin = at.join("bin");
        fs::create_dir(&bin).unwrap();
        let (link, script) = (bin.join("runc"), bin.join("wharf-oci"));
        let wharf = env!("CARGO_BIN_EXE_wharf");
        symlink(wharf, &link).unwrap();
        write_program(&script, &format!("#!/bin/sh\nexec {wharf} oci \"$@\"\n"));
        let tar = testkit::busybox_image(at);
        Self { link, script, tar, ground, _directory: directory }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.ground.directory().join(name).display().to_string()
    }

    /// Starts `program` alone; its output goes to the file `log`.
    pub(crate) fn start(&self, program: &str, args: &[&str]) -> Server {
        let log = fs::File::create(self.ground.directory().join("log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["-n", "-m", "--propagation", "private", "sh", "-ec", ALONE, "sh", program]).args(args);
        self.mark(&mut command);
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Server { child, log: self.ground.directory().join("log") }
    }

    /// So that what it starts is found.
    pub(crate) fn mark(&self, command: &mut Command) {
        command.env("WHARF_TEST_DIRECTORY", self.ground.directory());
    }

    /// A file of the container `name` in a hierarchy, below the ground's cgroup.
    pub(crate) fn limit(&self, controller: &str, name: &str, file: &str) -> String {
        let parent = self.ground.cgroup_parent();
        let path = format!("/sys/fs/cgroup/{controller}/{parent}/{name}/{file}");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
    }
}

/// What was started alone.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `is_up`.
    pub(crate) fn wait(&mut self, is_up: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_up() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "it does not come up\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it, as whoever runs the machine would.
    pub(crate) fn terminate(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub(crate) fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a command does with a pty as its standard streams (`script(1)`).
pub(crate) fn in_terminal(command: &Command) -> Output {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted: Vec<String> =
        words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"))).collect();
    let mut outer = Command::new("script");
    // Open and silent: at the end of its input `script` types a NUL, which the terminal shows.
    let (silent, _open) = UnixStream::pair().expect("a socket");
    outer.args(["-qec", &quoted.join(" "), "/dev/null"]).stdin(OwnedFd::from(silent));
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    Output::of(&mut outer)
}

/// An answer without what differs from one container to the next: ids, the runtime's own path, where newer ones say
/// more, and what an old docker CLI says when its two requests end in the other order.
pub(crate) fn plain(output: &Output, runtime: &str) -> (String, String, i32) {
    let is_id = |word: &str| word.len() >= 64 && word.chars().take(64).all(|c| c.is_ascii_hexdigit());
    let clean = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("error waiting for container"));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
        let text: String = words
            .map(|word| if is_id(word) { format!("<id>{}", &word[64..]) } else { word.into() })
            .collect();
        text.replace(runtime, "<runtime>").replace("error during container init: exec:", "exec:")
    };
    (clean(&output.stdout), clean(&output.stderr), output.status)
}

pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
