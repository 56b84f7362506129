//! Spawner, monitor and runtime together, with real containers. Needs root, and Debian's busybox-static.
//!
//! The test binary is its own spawner, and its own engine to be killed; so it has its own `main`. It runs the
//! tests whose names contain one of the arguments, all without.
#![expect(clippy::print_stdout, reason = "this is a test harness")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use shim::client::{Connection, Observed, observe};
use shim::protocol::{
    Client, Event, ExecRequest, FailureKind, Framing, Io, Order, Reply, Request, Rootfs, Size, StartRequest,
};
use shim::record::{Exit, State};
use shim::spawner::{self, Attached, Handed, Spawner};

const PATIENCE: Duration = Duration::from_secs(20);

const TESTS: &[(&str, fn())] = &[
    ("output_exit_and_records", output_exit_and_records),
    ("missing_executable", missing_executable),
    ("terminal_has_its_size_from_the_start", terminal_has_its_size_from_the_start),
    ("exec_in_a_container", exec_in_a_container),
    ("exec_after_the_end", exec_after_the_end),
    ("reaper_holds_nothing_of_the_monitor", reaper_holds_nothing_of_the_monitor),
    ("client_that_goes_on_reading_after_the_end", client_that_goes_on_reading_after_the_end),
    ("twenty_at_once", twenty_at_once),
    ("spawner_killed", spawner_killed),
    ("engine_killed", engine_killed),
    ("exit_while_nobody_is_connected", exit_while_nobody_is_connected),
    ("monitor_killed", monitor_killed),
    ("gibibyte_through_attach", gibibyte_through_attach),
    ("memory_of_a_monitor", memory_of_a_monitor),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments[0] == spawner::NAME {
        return spawner::main();
    }
    if arguments.get(1).is_some_and(|argument| argument == "--engine") {
        engine(Path::new(&arguments[2]));
    }
    let filters: Vec<&String> = arguments[1..].iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let begun = Instant::now();
        let passed = std::panic::catch_unwind(test).is_ok();
        failed += usize::from(!passed);
        println!("test {name} ... {} ({:?})", if passed { "ok" } else { "FAILED" }, begun.elapsed());
    }
    remove_parent_cgroups();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The cgroups that the tests' own lay in.
fn remove_parent_cgroups() {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let _ = fs::remove_dir(hierarchy.path().join("wharf-shim-test"));
    }
}

/// One throw-away exec root with a busybox root file system.
struct World {
    root: tempfile::TempDir,
    spawner: Spawner,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("tempdir");
        let rootfs = root.path().join("rootfs");
        for directory in ["bin", "proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(rootfs.join(directory)).expect("mkdir");
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("busybox-static is installed");
        for name in ["sh", "sleep", "echo", "cat", "stty", "dd", "true", "id", "ls"] {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name)).expect("symlink");
        }
        Self { root, spawner: Spawner::start().expect("spawner") }
    }

    fn run(&self, script: &str) -> Run {
        self.start(request(self.root.path(), &["sh", "-c", script]), &[])
    }

    fn start(&self, request: StartRequest, clients: &[Attached<'_>]) -> Run {
        let (id, directory) = (request.id.clone(), request.directory.clone());
        let mut request = Request::Start(Box::new(request));
        let connection = self.spawner.submit(&mut request, &[], Handed::default(), clients).expect("submit");
        Run { id, directory, connection }
    }
}

struct Run {
    id: String,
    directory: PathBuf,
    connection: Connection,
}

fn until<T>(connection: &Connection, wanted: impl Fn(&Event) -> Option<T>) -> T {
    loop {
        let event = connection.wait(PATIENCE).expect("event").expect("a monitor");
        if let Some(found) = wanted(&event) {
            return found;
        }
        if let Event::Failed(failure) = event {
            panic!("{failure:?}");
        }
    }
}

impl Run {
    fn started(&self) -> State {
        until(&self.connection, |event| match event {
            Event::Started(state) => Some(state.clone()),
            _ => None,
        })
    }

    fn exit(&self) -> Exit {
        exit_of(&self.connection)
    }

    /// After the exit: what the end of the conversation says.
    fn assert_settled(&self) {
        assert!(matches!(self.connection.wait(PATIENCE), Ok(None)), "the monitor closes it");
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new());
    }

    fn signal(&self, number: i32) {
        self.connection.call(1, Order::Signal(number)).expect("call");
        until(&self.connection, |event| match event {
            Event::Answer { seq: 1, reply: Reply::Done } => Some(()),
            _ => None,
        });
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let Ok(controllers) = fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
        let places = controllers.flatten().map(|entry| entry.path().join("wharf-shim-test").join(&self.id));
        places.filter(|path| path.exists()).collect()
    }
}

fn exit_of(connection: &Connection) -> Exit {
    until(connection, |event| match event {
        Event::Exited(exit) => Some(exit.clone()),
        _ => None,
    })
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn request(root: &Path, args: &[&str]) -> StartRequest {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = root.join("containers").join(&id);
    fs::create_dir_all(&directory).expect("mkdir");
    let cgroup = format!("/wharf-shim-test/{id}");
    let spec = serde_json::json!({
        "ociVersion": "1.2.0",
        "process": { "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 } },
        "root": { "path": root.join("rootfs") },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["newinstance", "ptmxmode=0666", "mode=0620"] },
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" },
            ],
        },
    });
    let labels = Default::default();
    let facts = logs::ContainerFacts {
        id: &id,
        name: "/x",
        image_id: "",
        image_name: "",
        command: &[],
        labels: &labels,
        env: &[],
        created: "",
    };
    let log = logs::resolve("json-file", &Default::default(), &facts, directory.join("log.json"));
    StartRequest {
        id,
        directory,
        spec: serde_json::from_value(spec).expect("spec"),
        rootfs: Rootfs::Directory(root.join("rootfs")),
        cgroup,
        init_reaper: false,
        netns: false,
        ports: false,
        user: None,
        additional_groups: Vec::new(),
        io: Io::default(),
        log: log.expect("log"),
        foreign: None,
        restore: None,
    }
}

fn listener(framing: Framing) -> Client {
    Client { stdout: true, stderr: true, framing, ..Client::default() }
}

fn all(mut socket: UnixStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("read to the end");
    bytes
}

fn output_exit_and_records() {
    let world = World::new();
    let (theirs, ours) = UnixStream::pair().expect("pair");
    let clients = [Attached { client: listener(Framing::Multiplexed), socket: theirs.as_fd(), input: b"" }];
    let request = request(world.root.path(), &["sh", "-c", "echo hello; exit 3"]);
    let run = world.start(request, &clients);
    drop(theirs);
    let state = run.started();
    assert_eq!(all(ours), b"\x01\0\0\0\0\0\0\x06hello\n");
    let exit = run.exit();
    assert_eq!((exit.code, exit.pid), (3, state.pid));
    assert_eq!(Exit::read(&run.directory).expect("read"), Some(exit));
    assert_eq!(State::read(&run.directory).expect("read"), Some(state));
    let log = fs::read_to_string(run.directory.join("log.json")).expect("log");
    assert!(log.contains(r#""log":"hello\n""#), "{log}");
    run.assert_settled();
}

fn missing_executable() {
    let world = World::new();
    let run = world.start(request(world.root.path(), &["nothing-of-this-name"]), &[]);
    let failure = until(&run.connection, |event| match event {
        Event::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    assert_eq!(failure.kind, FailureKind::ExecutableNotFound, "{failure:?}");
    assert!(matches!(run.connection.wait(PATIENCE), Ok(None)), "the monitor goes");
    assert_eq!(run.cgroups(), Vec::<PathBuf>::new());
    assert!(matches!(observe(&run.directory), Ok(Observed::Gone(None))));
}

fn terminal_has_its_size_from_the_start() {
    let world = World::new();
    let (theirs, ours) = UnixStream::pair().expect("pair");
    let clients = [Attached { client: listener(Framing::Raw), socket: theirs.as_fd(), input: b"" }];
    let mut request = request(world.root.path(), &["stty", "size"]);
    request.io =
        Io { tty: true, size: Some(Size { rows: 41, columns: 123 }), stdin_open: true, ..Io::default() };
    let run = world.start(request, &clients);
    drop(theirs);
    assert!(run.started().tty);
    assert_eq!(all(ours), b"41 123\r\n");
    assert_eq!(run.exit().code, 0);
}

fn exec_request(run: &Run, state: &State, args: &[&str]) -> ExecRequest {
    let directory = shim::layout::exec(&run.directory, "e1");
    fs::create_dir_all(&directory).expect("mkdir");
    let process =
        serde_json::json!({ "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 } });
    ExecRequest {
        container: run.id.clone(),
        exec_id: "e1".into(),
        directory,
        container_pid: state.pid,
        container_start_ticks: state.start_ticks,
        cgroup: state.cgroup.clone(),
        process: serde_json::from_value(process).expect("process"),
        user: None,
        additional_groups: Vec::new(),
        io: Io { stdin_open: true, stdin_once: true, ..Io::default() },
        foreign: None,
        time_limit_ms: None,
    }
}

fn exec_in_a_container() {
    let world = World::new();
    let run = world.run("sleep 1000");
    let state = run.started();
    let request = exec_request(&run, &state, &["sh", "-c", "cat; exit 9"]);
    let directory = request.directory.clone();
    let (theirs, mut ours) = UnixStream::pair().expect("pair");
    let client = Client { stdin: true, ..listener(Framing::Multiplexed) };
    let clients = [Attached { client, socket: theirs.as_fd(), input: b"early " }];
    let mut request = Request::Exec(Box::new(request));
    let connection = world.spawner.submit(&mut request, &[], Handed::default(), &clients).expect("submit");
    drop(theirs);
    ours.write_all(b"late").expect("write");
    ours.shutdown(std::net::Shutdown::Write).expect("half close");
    let seen = all(ours);
    assert!(seen.ends_with(b"late") && seen.windows(6).any(|window| window == b"early "), "{seen:?}");
    assert_eq!(exit_of(&connection).code, 9);
    assert_eq!(Exit::read(&directory).expect("read").expect("record").code, 9);
    assert!(state.is_running(), "the container goes on");
    run.signal(9);
    assert_eq!(run.exit().code, 137);
}

fn exec_after_the_end() {
    let world = World::new();
    let run = world.run("true");
    let state = run.started();
    run.exit();
    let mut request = Request::Exec(Box::new(exec_request(&run, &state, &["true"])));
    let connection = world.spawner.submit(&mut request, &[], Handed::default(), &[]).expect("submit");
    let failure = until(&connection, |event| match event {
        Event::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    assert_eq!(failure.kind, FailureKind::NotRunning);
}

/// PID 1 is then our code, which never executes anything: close-on-exec would not help.
fn reaper_holds_nothing_of_the_monitor() {
    let world = World::new();
    let (theirs, mut ours) = UnixStream::pair().expect("pair");
    let client = Client { stdin: true, ..listener(Framing::Multiplexed) };
    let clients = [Attached { client, socket: theirs.as_fd(), input: b"" }];
    let mut request = request(world.root.path(), &["sh", "-c", "read x; sleep 1000 & exit 12"]);
    request.init_reaper = true;
    request.io = Io { stdin_open: true, stdin_once: true, ..Io::default() };
    let run = world.start(request, &clients);
    drop(theirs);
    let state = run.started();
    // Pipes, sockets, the log, cgroups, the spawner's memfd: none of them is for a container.
    let open = fs::read_dir(format!("/proc/{}/fd", state.pid)).expect("PID 1 waits");
    let held: Vec<PathBuf> = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    println!("     {held:?}");
    let bad = |target: &&PathBuf| target.starts_with("/sys") || target.starts_with(world.root.path());
    assert_eq!(held.iter().find(bad), None);
    ours.write_all(b"go\n").expect("write");
    assert_eq!(run.exit().code, 12);
    drop(ours);
    run.assert_settled();
}

/// The exit is told although the client is behind, and the client gets everything.
fn client_that_goes_on_reading_after_the_end() {
    let world = World::new();
    let (theirs, ours) = UnixStream::pair().expect("pair");
    let clients = [Attached { client: listener(Framing::Raw), socket: theirs.as_fd(), input: b"" }];
    // More than the client's socket takes, no more than that and the pipe.
    let run =
        world.start(request(world.root.path(), &["dd", "if=/dev/zero", "bs=1k", "count=250"]), &clients);
    drop(theirs);
    run.started();
    let begun = Instant::now();
    assert_eq!(run.exit().code, 0);
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert!(all(ours).len() >= 250 * 1024);
}

fn twenty_at_once() {
    let world = World::new();
    let begun = Instant::now();
    let runs: Vec<Run> = (0..20).map(|number| world.run(&format!("exit {number}"))).collect();
    let pids: BTreeSet<i32> = runs.iter().map(|run| run.started().monitor_pid).collect();
    let codes: Vec<i32> = runs.iter().map(|run| run.exit().code).collect();
    println!("     20 containers in {:?}", begun.elapsed());
    assert_eq!(pids.len(), 20);
    assert_eq!(codes, (0..20).collect::<Vec<_>>());
}

fn spawner_killed() {
    let mut world = World::new();
    let run = world.run("sleep 1000");
    let state = run.started();
    kill(world.spawner.pid() as i32);
    eventually("the spawner is seen to be dead", || !world.spawner.is_alive());
    let mut lost = Request::Start(Box::new(request(world.root.path(), &["true"])));
    assert!(matches!(
        world.spawner.submit(&mut lost, &[], Handed::default(), &[]),
        Err(shim::Error::Gone(_))
    ));
    assert!(state.is_running());
    world.spawner = Spawner::start().expect("another spawner");
    let next = world.run("exit 5");
    assert_eq!(next.exit().code, 5);
    run.signal(15);
    run.signal(9);
    assert_eq!(run.exit().code, 137);
}

/// Run in a process of its own, to be killed: starts a container that waits for input, and says so.
fn engine(root: &Path) -> ! {
    let spawner = Spawner::start().expect("spawner");
    let mut start = request(root, &["sh", "-c", "echo before; read x; echo after; exit 6"]);
    start.io.stdin_open = true;
    start.io.stdin_once = true;
    let directory = start.directory.clone();
    let mut start = Request::Start(Box::new(start));
    let connection = spawner.submit(&mut start, &[], Handed::default(), &[]).expect("submit");
    until(&connection, |event| matches!(event, Event::Started(_)).then_some(()));
    println!("{}", directory.display());
    loop {
        std::thread::park();
    }
}

fn engine_killed() {
    let world = World::new();
    let mut engine = Command::new("/proc/self/exe")
        .arg0("engine")
        .arg("--engine")
        .arg(world.root.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("engine");
    let mut line = String::new();
    let stdout = engine.stdout.take().expect("stdout");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("line");
    engine.kill().expect("kill -9");
    engine.wait().expect("wait");
    let directory = PathBuf::from(line.trim());

    let Ok(Observed::Monitored(next)) = observe(&directory) else { panic!("a monitor is there") };
    let Ok(Some(Event::Welcome(status))) = next.wait(PATIENCE) else { panic!("welcome") };
    assert!(status.state.is_running());
    let (theirs, mut ours) = UnixStream::pair().expect("pair");
    let client = Client { stdin: true, ..listener(Framing::Multiplexed) };
    next.attach(2, client, theirs.as_fd(), b"").expect("attach");
    drop(theirs);
    ours.write_all(b"go\n").expect("write");
    assert!(all(ours).ends_with(b"after\n"));
    assert_eq!(exit_of(&next).code, 6);
    let log = fs::read_to_string(directory.join("log.json")).expect("log");
    assert!(log.contains("before") && log.contains("after"), "{log}");
}

fn exit_while_nobody_is_connected() {
    let world = World::new();
    let run = world.run("sleep 0.3; exit 8");
    let state = run.started();
    let Run { id, directory, connection } = run;
    drop(connection);
    drop(world.spawner);
    eventually("exit.json", || matches!(Exit::read(&directory), Ok(Some(_))));
    let Ok(Observed::Exited(exit)) = observe(&directory) else { panic!("exited") };
    assert_eq!((exit.code, exit.pid), (8, state.pid));
    let _ = id;
}

fn monitor_killed() {
    let world = World::new();
    let run = world.run("sleep 1000");
    let state = run.started();
    kill(state.monitor_pid);
    assert!(matches!(run.connection.wait(PATIENCE), Ok(None)));
    let Ok(Observed::Orphaned(orphan)) = observe(&run.directory) else { panic!("orphaned") };
    assert_eq!(orphan.state, state);
    assert!(state.is_running());
    orphan.signal(9).expect("signal");
    eventually("the orphan ends", || !state.is_running());
    assert!(matches!(observe(&run.directory), Ok(Observed::Gone(Some(_)))));
    for path in run.cgroups() {
        eventually("cgroup removed", || fs::remove_dir(&path).is_ok());
    }
}

fn gibibyte_through_attach() {
    let world = World::new();
    let (theirs, mut ours) = UnixStream::pair().expect("pair");
    let clients = [Attached { client: listener(Framing::Multiplexed), socket: theirs.as_fd(), input: b"" }];
    let mut request = request(world.root.path(), &["dd", "if=/dev/zero", "bs=1M", "count=1024"]);
    request.log = logs::Destination::NONE;
    let begun = Instant::now();
    let run = world.start(request, &clients);
    drop(theirs);
    let mut buffer = vec![0; 1 << 18];
    let (mut total, mut frame, mut header) = (0u64, 0usize, Vec::new());
    loop {
        let count = ours.read(&mut buffer).expect("read");
        if count == 0 {
            break;
        }
        // Counts what is inside the frames of stdout.
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            if frame == 0 {
                let take = (8 - header.len()).min(rest.len());
                header.extend_from_slice(&rest[..take]);
                rest = &rest[take..];
                if header.len() == 8 {
                    frame = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
                    total += if header[0] == 1 { frame as u64 } else { 0 };
                    header.clear();
                }
            } else {
                let take = frame.min(rest.len());
                frame -= take;
                rest = &rest[take..];
            }
        }
    }
    println!("     1 GiB in {:?}", begun.elapsed());
    assert_eq!(total, 1 << 30);
    assert_eq!(run.exit().code, 0);
}

fn memory_of_a_monitor() {
    let world = World::new();
    let runs: Vec<Run> = (0..10).map(|_| world.run("echo something; sleep 1000")).collect();
    let states: Vec<State> = runs.iter().map(Run::started).collect();
    let pss = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
        let line = text.lines().find(|line| line.starts_with("Pss:")).expect("Pss");
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number")
    };
    // Buffers go back after half a second without events.
    std::thread::sleep(Duration::from_millis(1200));
    let monitors: u64 = states.iter().map(|state| pss(state.monitor_pid)).sum::<u64>() / 10;
    let spawner = pss(world.spawner.pid() as i32);
    println!("     PSS: {monitors} KiB per monitor of ten, {spawner} KiB the spawner");
    for run in &runs {
        run.signal(9);
        run.exit();
    }
    // Unoptimised code is several times the size of what is shipped, and deep in its stack.
    let limit = if cfg!(debug_assertions) { 1536 } else { 512 };
    assert!(monitors + spawner / 10 < limit, "{monitors} KiB per monitor, {spawner} KiB the spawner");
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
}
