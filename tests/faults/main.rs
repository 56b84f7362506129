//! Black box: bad input, full disks, and everything killed at the worst moment. Each fault gets a clear error, leaves
//! nothing behind, and loses nothing that was acknowledged.

mod archives;
mod calls;
mod clients;
mod crash;
mod disk;
mod hostile;
mod images;
mod input;
mod killed;
mod kit;
mod neighbours;
mod races;
mod spoiled;
mod steps;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Engine, busybox_image};

const BINARY: &str = env!("CARGO_BIN_EXE_wharf");
/// A loaded machine may take its time, never for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// An engine with the image `bb`. The directory goes after the engine.
struct Private {
    engine: Engine,
    directory: tempfile::TempDir,
}

impl Private {
    fn start() -> Self {
        Self::with_binary(Path::new(BINARY))
    }

    fn with_binary(binary: &Path) -> Self {
        let directory = testkit::directory();
        let private = Self { engine: Engine::start(binary, directory.path()), directory };
        let tar = busybox_image(private.directory.path());
        private.ok(&["import", tar.to_str().unwrap(), "bb:latest"]);
        private
    }

    /// Runs a client that must succeed; its stdout, trimmed.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.engine.wharf(args);
        assert_eq!(output.status, 0, "{args:?}: {output:?}\n{}", self.engine.log());
        output.stdout.trim().to_owned()
    }

    /// Runs a client that must fail; its stderr.
    #[track_caller]
    fn fails(&self, args: &[&str]) -> String {
        let output = self.engine.wharf(args);
        assert_ne!(output.status, 0, "{args:?}: {output:?}");
        assert!(!output.stderr.trim().is_empty(), "{args:?} failed without a word");
        output.stderr
    }

    fn status(&self, container: &str) -> String {
        self.ok(&["inspect", "-f", "{{.State.Status}}", container])
    }

    fn exists(&self, container: &str) -> bool {
        self.engine.wharf(&["container", "inspect", container]).status == 0
    }

    fn pid(&self, container: &str) -> u32 {
        self.ok(&["inspect", "-f", "{{.State.Pid}}", container]).parse().unwrap()
    }

    /// A directory to share with containers.
    fn share(&self) -> PathBuf {
        let share = self.directory.path().join("share");
        std::fs::create_dir_all(&share).unwrap();
        share
    }

    fn data(&self) -> PathBuf {
        self.engine.directory().join("data")
    }

    /// The parent of its containers' cgroups, in each hierarchy of either version.
    fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = names(root).into_iter().map(|name| root.join(name)).chain([root.to_owned()]);
        let parents = hierarchies.map(|hierarchy| hierarchy.join(self.engine.cgroup_parent()));
        parents.filter(|parent| parent.is_dir()).collect()
    }

    /// What there is of containers on disk and in the cgroups, beyond what `ps` tells of.
    fn residue(&self) -> Vec<String> {
        let all = lines(&self.ok(&["ps", "-aq", "--no-trunc"]));
        let running = lines(&self.ok(&["ps", "-q", "--no-trunc"]));
        let mut found = Vec::new();
        let mut compare = |place: PathBuf, wanted: &BTreeSet<String>| {
            let there = names(&place);
            for name in there.difference(wanted) {
                found.push(format!("{} is left", place.join(name).display()));
            }
            for name in wanted.difference(&there) {
                found.push(format!("{} is missing", place.join(name).display()));
            }
        };
        let data = self.data();
        compare(data.join("containers"), &all);
        for driver in names(&data.join("snapshots")) {
            compare(data.join("snapshots").join(&driver).join("containers"), &all);
            compare(data.join("snapshots").join(&driver).join("tmp"), &BTreeSet::new());
        }
        compare(data.join("content/ingest"), &BTreeSet::new());
        compare(self.engine.directory().join("exec/containers"), &running);
        for parent in self.cgroups() {
            let there =
                names(&parent).into_iter().filter(|name| parent.join(name).is_dir()).collect::<BTreeSet<_>>();
            for name in there.difference(&running) {
                found.push(format!("cgroup {} is left", parent.join(name).display()));
            }
        }
        found
    }

    /// Nothing is left but what `ps` tells of, now or soon.
    #[track_caller]
    fn clean(&self, when: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let residue = self.residue();
            if residue.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{when}:\n{}\n{}", residue.join("\n"), self.engine.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

fn runs(pid: u32) -> bool {
    // A zombie has ended.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
}

fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The engine's only child.
fn spawner(engine: &Engine) -> u32 {
    let pid = engine.pid().unwrap();
    let find = || {
        names(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok()).find(|&other: &u32| {
            std::fs::read_to_string(format!("/proc/{other}/stat")).is_ok() && {
                let stat = std::fs::read_to_string(format!("/proc/{other}/stat")).unwrap_or_default();
                stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1))
                    == Some(&pid.to_string())
            }
        })
    };
    // It may just be dying, and another on its way.
    let mut found = None;
    until("the engine has a spawner", || {
        found = find();
        found.is_some()
    });
    found.unwrap()
}
