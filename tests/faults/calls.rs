//! Faults at any system call: the engine, or spawner, monitor and container, killed before it, or told that there are no
//! more descriptors, processes, or space. What `steps` does at the steps that have a name, this does wherever the kernel
//! is asked for anything; `strace` is the saboteur.
//!
//! `WHARF_TEST_EVERY=1` tries each call; without, every so many, since all of them take minutes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Private, names, runs, spawner, until};

/// What changes files, or speaks to somebody.
const CHANGES: &str = "openat,?mkdir,mkdirat,?rename,renameat,renameat2,?unlink,unlinkat,?rmdir,write,writev,pwrite64,\
                       ftruncate,fsync,fdatasync,sendto,sendmsg,chmod,fchmod,chown,?symlink,?link";
/// What gives a descriptor.
const DESCRIPTORS: &str = "openat,openat2,socket,accept4,pipe2,memfd_create,eventfd2,pidfd_open,epoll_create1,dup,\
                           fsopen,fsmount,open_tree";
const PROCESSES: &str = "clone,clone3,?fork,?vfork";
/// What takes space. Not `write`, which wakes threads and answers clients, too: `disk` has a disk that is really full.
const SPACE: &str =
    "?mkdir,mkdirat,pwrite64,ftruncate,fsync,fdatasync,?rename,renameat,renameat2,?symlink,symlinkat";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Engine,
    /// With all that it starts: monitors, and the containers' first processes until they are the user's.
    Spawner,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    Killed,
    NoDescriptors,
    NoProcesses,
    NoSpace,
}

impl Fault {
    fn calls(self) -> &'static str {
        match self {
            Self::Killed => CHANGES,
            Self::NoDescriptors => DESCRIPTORS,
            Self::NoProcesses => PROCESSES,
            Self::NoSpace => SPACE,
        }
    }

    fn injection(self) -> &'static str {
        match self {
            Self::Killed => "signal=KILL",
            Self::NoDescriptors => "error=EMFILE",
            Self::NoProcesses => "error=EAGAIN",
            Self::NoSpace => "error=ENOSPC",
        }
    }

    /// One of these is in the message.
    pub(super) fn said(self) -> &'static [&'static str] {
        match self {
            Self::Killed => &[],
            Self::NoDescriptors => {
                &["too many open files", "no file descriptors", "unable to open database file"]
            }
            Self::NoProcesses => &["temporarily unavailable"],
            Self::NoSpace => &["no space left on device", "disk is full", "disk i/o error"],
        }
    }
}

/// A `strace` at work; it lets go when it is dropped.
pub(super) struct Saboteur {
    strace: Child,
    pid: u32,
    notes: std::path::PathBuf,
}

impl Saboteur {
    pub(super) fn new(private: &Private, pid: u32, fault: Fault, when: u32) -> Self {
        let notes = private.directory.path().join("strace");
        let calls = fault.calls();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-p", &pid.to_string(), "-e", &format!("trace={calls}"), "-o"]).arg(&notes);
        strace.args(["-e", &format!("inject={calls}:{}:when={when}", fault.injection())]);
        let strace = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("start strace");
        let tracer = format!("TracerPid:\t{}\n", strace.id());
        let tasks = Path::new("/proc").join(pid.to_string()).join("task");
        until("all threads are traced, or it has hit already", || {
            let traced = |thread| {
                let status = std::fs::read_to_string(tasks.join(thread).join("status"));
                status.map_or(true, |status| status.contains(&tracer))
            };
            names(&tasks).iter().all(traced) || !runs(pid)
        });
        Self { strace, pid, notes }
    }

    /// Lets go; whether there was such a call.
    pub(super) fn stop(self) -> bool {
        let notes = self.notes.clone();
        // Nobody else ends it, and the notes may be too late for that.
        let has_ended = !runs(self.pid);
        drop(self);
        let text = String::from_utf8_lossy(&std::fs::read(notes).unwrap()).into_owned();
        has_ended || text.contains("(INJECTED)") || text.contains("killed by SIGKILL")
    }
}

impl Drop for Saboteur {
    fn drop(&mut self) {
        // By a signal that it can answer it detaches, and whom it traced goes on. Of a process that it has just killed it
        // may wait for ever for threads that have gone: then the kernel detaches.
        let pid = rustix::process::Pid::from_raw(self.strace.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let patience = Instant::now() + Duration::from_millis(300);
        while self.strace.try_wait().unwrap().is_none() {
            if !runs(self.pid) || Instant::now() > patience {
                let _ = self.strace.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Something to do, and how to get there and back.
struct Operation {
    prepare: &'static [&'static str],
    args: &'static str,
    /// From whatever came of it.
    undo: &'static [&'static str],
    /// How many calls to go on at a time.
    stride: u32,
}

const LOOP: &str = "run -d --name web bb sleep 1000";
const CREATE: Operation = Operation {
    prepare: &[],
    args: "create --name web -v /vol bb sleep 1000",
    undo: &["rm -f -v web"],
    stride: 9,
};
const START: Operation = Operation {
    prepare: &["create --name web -v /vol bb sleep 1000"],
    args: "start web",
    undo: &["rm -f -v web"],
    stride: 9,
};
const RUN: Operation = Operation {
    prepare: &[],
    args: "run --rm --name web -v /vol bb true",
    undo: &["rm -f -v web"],
    stride: 15,
};
const STOP: Operation =
    Operation { prepare: &[LOOP], args: "stop -t 0 web", undo: &["rm -f web"], stride: 7 };
const PAUSE: Operation = Operation { prepare: &[LOOP], args: "pause web", undo: &["rm -f web"], stride: 5 };
const EXEC: Operation =
    Operation { prepare: &[LOOP], args: "exec web true", undo: &["rm -f web"], stride: 9 };
const RENAME: Operation = Operation {
    prepare: &["create --name web bb true"],
    args: "rename web other",
    undo: &["rm -f web", "rm -f other"],
    stride: 5,
};
const REMOVE: Operation = Operation {
    prepare: &["run --name web -v /vol bb true"],
    args: "rm -v web",
    undo: &["rm -f -v web"],
    stride: 7,
};
const REMOVE_RUNNING: Operation = Operation {
    prepare: &["run -d --rm --name web -v /vol bb sleep 1000"],
    args: "rm -f web",
    undo: &["rm -f -v web"],
    stride: 9,
};
const IMPORT: Operation =
    Operation { prepare: &[], args: "import {other.tar} other", undo: &["rmi other"], stride: 9 };
const LOAD: Operation =
    Operation { prepare: &[], args: "load -i {saved.tar}", undo: &["rmi saved"], stride: 11 };
const TAG: Operation = Operation { prepare: &[], args: "tag bb other", undo: &["rmi other"], stride: 3 };
const UNTAG: Operation =
    Operation { prepare: &["import {other.tar} other"], args: "rmi other", undo: &["rmi other"], stride: 7 };

/// Containers and images as a user sees them, and how much lies of volumes and images on the disk.
type Seen = (Vec<String>, Vec<String>, [usize; 4]);

struct House(Private);

impl House {
    fn new() -> Self {
        let private = Private::start();
        private.ok(&["run", "-d", "--name", "bystander", "bb", "sleep", "1000"]);
        let directory = private.directory.path();
        let other = directory.join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("file"), "other").unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(directory.join("other.tar")).arg("-C").arg(&other).arg(".");
        assert!(tar.status().unwrap().success());
        let house = Self(private);
        house.ok("import {other.tar} saved");
        house.ok("save -o {saved.tar} saved");
        house.ok("rmi saved");
        house
    }

    /// `{name}` is a file in the test's directory.
    fn words(&self, line: &str) -> Vec<String> {
        let place = self.0.directory.path().display().to_string();
        line.split(' ')
            .map(|word| match word.strip_prefix('{') {
                Some(name) => format!("{place}/{}", name.trim_end_matches('}')),
                None => word.to_owned(),
            })
            .collect()
    }

    fn wharf(&self, line: &str) -> testkit::Output {
        let words = self.words(line);
        self.0.engine.wharf(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn ok(&self, line: &str) {
        let output = self.wharf(line);
        assert_eq!(output.status, 0, "{line}: {output:?}\n{}", self.0.engine.log());
    }

    fn seen(&self) -> Seen {
        let list = |args: &[&str]| {
            let mut lines: Vec<String> = self.0.ok(args).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let data = self.0.data();
        (
            list(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]),
            list(&["images", "-a", "--format", "{{.Repository}}"]),
            ["volumes", "content/blobs/sha256", "snapshots/overlay/layers", "content/ingest"]
                .map(|place| names(&data.join(place)).len()),
        )
    }

    /// Does it at each call until nothing is hit any more.
    fn sabotage(mut self, operation: &Operation, victim: Victim, fault: Fault) {
        let stride = if std::env::var_os("WHARF_TEST_EVERY").is_some() { 1 } else { operation.stride };
        let Operation { prepare, args, undo, .. } = operation;
        prepare.iter().for_each(|line| self.ok(line));
        let before = self.seen();
        self.ok(args);
        self.0.clean(args);
        let after = self.seen();
        undo.iter().for_each(|line| drop(self.wharf(line)));

        let mut when = 1;
        loop {
            let what = format!("{args}: {victim:?} {fault:?} at call {when}");
            prepare.iter().for_each(|line| self.ok(line));
            let engine = self.0.engine.pid().unwrap();
            let pid = if victim == Victim::Engine { engine } else { spawner(&self.0.engine) };
            let saboteur = Saboteur::new(&self.0, pid, fault, when);
            let output = self.wharf(args);
            let hit = saboteur.stop();
            if fault == Fault::Killed && victim == Victim::Engine && !runs(engine) {
                self.0.engine.kill();
                self.0.engine.run();
            }
            assert_eq!(self.0.status("bystander"), "running", "{what}");
            let error = format!("{}{}", output.stderr, output.stdout).to_lowercase();
            if output.status != 0 {
                assert!(hit, "{what}: fails without a fault: {output:?}\n{}", self.0.engine.log());
                assert!(error.len() > 10 && !error.contains("panicked"), "{what}: {output:?}");
                let said = fault.said();
                assert!(
                    said.is_empty() || said.iter().any(|text| error.contains(text)),
                    "{what}: {output:?}"
                );
            }
            // A removal that fails on its way leaves a container that is dead, and can be removed again.
            let dead = |now: &Seen| now.0.iter().any(|line| line == "web dead");
            let mut now = self.seen();
            if !dead(&now) {
                self.0.clean(&what);
            }
            let allowed = |now: &Seen| {
                now == &after
                    || output.status != 0 && (now == &before || args.starts_with("rm ") && dead(now))
                    // Its monitor was killed after the news.
                    || victim == Victim::Spawner && fault == Fault::Killed && {
                        let ended = after.0.iter().map(|line| line.replace("web running", "web exited")).collect();
                        *now == (ended, after.1.clone(), after.2)
                    }
            };
            // An end may be on its way.
            let deadline = Instant::now() + super::DEADLINE;
            while !allowed(&now) {
                assert!(
                    Instant::now() < deadline,
                    "{what}: {output:?}\nbefore {before:?}\nafter {after:?}\nnow {now:?}\n{}",
                    self.0.engine.log()
                );
                std::thread::sleep(Duration::from_millis(50));
                now = self.seen();
            }
            undo.iter().for_each(|line| drop(self.wharf(line)));
            self.0.clean(&what);
            if !hit {
                assert_eq!(output.status, 0, "{what}: {output:?}");
                break;
            }
            when += stride;
        }
        assert!(!self.0.engine.log().contains("panicked"), "{}", self.0.engine.log());
    }
}

/// One test for each, so that they run side by side.
macro_rules! sabotaged {
    ($($name:ident: $operation:ident, $victim:ident, $fault:ident;)*) => {$(
        #[test]
        fn $name() {
            House::new().sabotage(&$operation, Victim::$victim, Fault::$fault);
        }
    )*};
}

sabotaged! {
    engine_killed_in_create: CREATE, Engine, Killed;
    engine_killed_in_start: START, Engine, Killed;
    engine_killed_in_run: RUN, Engine, Killed;
    engine_killed_in_stop: STOP, Engine, Killed;
    engine_killed_in_pause: PAUSE, Engine, Killed;
    engine_killed_in_exec: EXEC, Engine, Killed;
    engine_killed_in_rename: RENAME, Engine, Killed;
    engine_killed_in_remove: REMOVE, Engine, Killed;
    engine_killed_in_remove_running: REMOVE_RUNNING, Engine, Killed;
    engine_killed_in_import: IMPORT, Engine, Killed;
    engine_killed_in_load: LOAD, Engine, Killed;
    engine_killed_in_tag: TAG, Engine, Killed;
    engine_killed_in_untag: UNTAG, Engine, Killed;
    spawner_or_monitor_killed_in_start: START, Spawner, Killed;
    spawner_or_monitor_killed_in_run: RUN, Spawner, Killed;
    spawner_or_monitor_killed_in_exec: EXEC, Spawner, Killed;
    no_descriptors_in_create: CREATE, Engine, NoDescriptors;
    no_descriptors_in_start: START, Engine, NoDescriptors;
    no_descriptors_in_run: RUN, Engine, NoDescriptors;
    no_descriptors_in_exec: EXEC, Engine, NoDescriptors;
    no_descriptors_in_rename: RENAME, Engine, NoDescriptors;
    no_descriptors_in_remove: REMOVE, Engine, NoDescriptors;
    no_descriptors_in_import: IMPORT, Engine, NoDescriptors;
    no_descriptors_in_load: LOAD, Engine, NoDescriptors;
    no_space_in_create: CREATE, Engine, NoSpace;
    no_space_in_start: START, Engine, NoSpace;
    no_space_in_run: RUN, Engine, NoSpace;
    no_space_in_rename: RENAME, Engine, NoSpace;
    no_space_in_remove: REMOVE, Engine, NoSpace;
    no_space_in_import: IMPORT, Engine, NoSpace;
    no_space_in_load: LOAD, Engine, NoSpace;
    no_descriptors_for_the_monitor_in_start: START, Spawner, NoDescriptors;
    no_processes_for_the_monitor_in_start: START, Spawner, NoProcesses;
    no_descriptors_for_the_monitor_in_exec: EXEC, Spawner, NoDescriptors;
    no_processes_for_the_monitor_in_exec: EXEC, Spawner, NoProcesses;
    no_threads_in_run: RUN, Engine, NoProcesses;
}
