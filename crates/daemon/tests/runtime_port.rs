//! The engine's runtime port with real containers. Needs root, and Debian's busybox-static.
//!
//! Its own `main`, because the spawner is this binary under another name.
#![expect(clippy::print_stdout, reason = "this is a test harness")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use daemon::adapters::runtime::ShimRuntime;
use engine::ports::{
    Attachment, ContainerRuntime, ExecRequest, ProcessRef, Reconnected, Rootfs, RuntimeErrorKind,
    StartRequest, Started, Stdio,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries. Without it a loop never gives way, and `PATIENCE` has no end.
const A_MOMENT: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    if std::env::args().next().as_deref() == Some(shim::spawner::NAME) {
        return shim::spawner::main();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("runtime").block_on(async {
        for (name, test) in [
            ("start_attach_exit", Box::pin(start_attach_exit()) as engine::ports::BoxFuture<'static, ()>),
            ("failures_are_typed", Box::pin(failures_are_typed())),
            ("exec_pause_pids_signal", Box::pin(exec_pause_pids_signal())),
            ("a_dead_spawner_is_replaced", Box::pin(a_dead_spawner_is_replaced())),
            ("the_next_engine_reconnects", Box::pin(the_next_engine_reconnects())),
            (
                "a_killed_monitor_takes_its_process_along",
                Box::pin(a_killed_monitor_takes_its_process_along()),
            ),
            ("another_versions_monitor_is_understood", Box::pin(another_versions_monitor_is_understood())),
        ] {
            tokio::time::timeout(PATIENCE, test).await.expect("in time");
            println!("test {name} ... ok");
        }
    });
    remove_parent_cgroups();
    ExitCode::SUCCESS
}

/// The cgroups that the tests' own lay in.
fn remove_parent_cgroups() {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let _ = fs::remove_dir(hierarchy.path().join("wharf-port-test"));
    }
}

struct World {
    root: tempfile::TempDir,
    port: ShimRuntime,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("tempdir");
        let rootfs = root.path().join("rootfs");
        for directory in ["bin", "proc", "dev"] {
            fs::create_dir_all(rootfs.join(directory)).expect("mkdir");
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("busybox-static is installed");
        for name in ["sh", "sleep", "echo", "cat", "true"] {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name)).expect("symlink");
        }
        let port = ShimRuntime::new(&root.path().join("exec")).expect("port");
        Self { root, port }
    }

    fn request(&self, id: &str, args: &[&str]) -> StartRequest {
        let id = format!("{}-{id}", std::process::id());
        let spec = serde_json::json!({
            "ociVersion": "1.2.0",
            "process": { "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 } },
            "root": { "path": self.root.path().join("rootfs") },
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
            "linux": {
                "cgroupsPath": format!("/wharf-port-test/{id}"),
                "namespaces": [
                    { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" },
                ],
            },
        });
        StartRequest {
            spec: Box::new(serde_json::from_value(spec).expect("spec")),
            rootfs: Rootfs::Directory(self.root.path().join("rootfs")),
            volatile_root: false,
            netns: None,
            ports: None,
            seccomp: None,
            stdio: Stdio { open_stdin: true, stdin_once: true, ..Stdio::default() },
            log: destination(&id, self.log(&id)),
            init_reaper: false,
            user: None,
            additional_groups: Vec::new(),
            attachments: Vec::new(),
            foreign_runtime: None,
            checkpoint: None,
            id,
        }
    }

    fn log(&self, id: &str) -> PathBuf {
        self.root.path().join(format!("{id}.log"))
    }

    async fn start(&self, id: &str, script: &str) -> (ProcessRef, Started) {
        let request = self.request(id, &["sh", "-c", script]);
        let process = ProcessRef::container(request.id.clone());
        (process, self.port.start(request).await.expect("start"))
    }
}

fn attachment() -> (Attachment, UnixStream) {
    let (theirs, ours) = UnixStream::pair().expect("pair");
    let attachment = Attachment {
        framed: false,
        stream: theirs.into(),
        leftover: b"left ".to_vec(),
        stdin: true,
        stdout: true,
        stderr: true,
        detach_keys: Vec::new(),
    };
    (attachment, ours)
}

async fn all(mut socket: UnixStream) -> Vec<u8> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).expect("read");
        bytes
    });
    reading.await.expect("reader")
}

async fn start_attach_exit() {
    let world = World::new();
    let (attachment, mut ours) = attachment();
    let mut request = world.request("attach", &["sh", "-c", "read x; echo got $x; exit 4"]);
    request.attachments.push(attachment);
    let process = ProcessRef::container(request.id.clone());
    let started = world.port.start(request).await.expect("start");
    ours.write_all(b"over\n").expect("write");
    assert!(all(ours).await.ends_with(b"got left over\n"));
    let exit = started.exit.await;
    assert_eq!((exit.code, exit.oom_killed, exit.error), (4, false, None));
    let signalled = world.port.signal(&process, 9).await.expect_err("it has ended");
    assert_eq!(signalled.kind, RuntimeErrorKind::NotRunning);
    assert!(matches!(world.port.reconnect(&process).await, Reconnected::Exited(exit) if exit.code == 4));
    assert_eq!(world.port.leftovers().await, std::slice::from_ref(&process.container));
    world.port.forget(&process).await;
    assert!(world.port.leftovers().await.is_empty());
    assert!(fs::read_to_string(world.log(&process.container)).expect("log").contains("got left over"));
}

async fn failures_are_typed() {
    let world = World::new();
    for (args, kind) in [
        (&["nothing-here"][..], RuntimeErrorKind::ExecutableNotFound),
        (&["/proc"][..], RuntimeErrorKind::IsADirectory),
    ] {
        let error = world.port.start(world.request("fail", args)).await.expect_err("fails");
        assert_eq!(error.kind, kind, "{error:?}");
    }
    let mut request = world.request("user", &["true"]);
    request.user = Some("nobody-of-this-name".into());
    let error = world.port.start(request).await.expect_err("fails");
    assert_eq!(error.kind, RuntimeErrorKind::NoSuchUser, "{error:?}");
    assert!(world.port.leftovers().await.is_empty());
}

async fn exec_pause_pids_signal() {
    let world = World::new();
    let (process, started) = world.start("exec", "sleep 1000").await;
    let spec = serde_json::json!({ "args": ["sh", "-c", "cat; exit 9"], "cwd": "/", "env": ["PATH=/bin"],
        "user": { "uid": 0, "gid": 0 } });
    let (attachment, ours) = attachment();
    ours.shutdown(std::net::Shutdown::Write).expect("half close");
    let exec = ExecRequest {
        process: ProcessRef::exec(&process.container, "e1"),
        pid: started.pid,
        spec: Box::new(serde_json::from_value(spec).expect("process")),
        seccomp: None,
        stdio: Stdio { open_stdin: true, stdin_once: true, ..Stdio::default() },
        user: None,
        additional_groups: Vec::new(),
        cgroup_path: format!("/wharf-port-test/{}", process.container),
        attachment: Some(attachment),
        time_limit: None,
    };
    let run = world.port.exec(exec).await.expect("exec");
    assert!(all(ours).await.ends_with(b"left "));
    assert_eq!(run.exit.await.code, 9);

    assert!(world.port.pids(&process.container).await.expect("pids").contains(&started.pid));
    world.port.pause(&process.container).await.expect("pause");
    assert!(matches!(world.port.reconnect(&process).await, Reconnected::Running { paused: true, .. }));
    world.port.resume(&process.container).await.expect("resume");
    // Nobody sees a size without a terminal, and asking for one is no failure.
    world.port.resize(&process, 1, 1).await.expect("resize");
    world.port.signal(&process, 9).await.expect("signal");
    assert_eq!(started.exit.await.code, 137);
}

async fn a_dead_spawner_is_replaced() {
    let world = World::new();
    let (process, started) = world.start("before", "sleep 1000").await;
    for child in children() {
        let pid = rustix::process::Pid::from_raw(child).expect("pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
    }
    let (_, next) = world.start("after", "exit 5").await;
    assert_eq!(next.exit.await.code, 5);
    world.port.signal(&process, 9).await.expect("the container went on");
    assert_eq!(started.exit.await.code, 137);
}

/// This process's: spawners, and nothing else.
fn children() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").expect("tasks").flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

async fn the_next_engine_reconnects() {
    let world = World::new();
    let (process, _started) = world.start("old", "read x; exit 6").await;
    let next = ShimRuntime::new(&world.root.path().join("exec")).expect("port");
    let Reconnected::Running { started, paused: false } = next.reconnect(&process).await else {
        panic!("running")
    };
    let (attachment, mut ours) = attachment();
    next.attach(&process, attachment).await.expect("attach");
    ours.write_all(b"\n").expect("write");
    assert_eq!(started.exit.await.code, 6);
}

async fn a_killed_monitor_takes_its_process_along() {
    let world = World::new();
    let (process, started) = world.start("orphan", "sleep 1000").await;
    let directory = world.root.path().join("exec/containers").join(&process.container);
    let state = shim::record::State::read(&directory).expect("state").expect("there");
    let monitor = rustix::process::Pid::from_raw(state.monitor_pid).expect("pid");
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).expect("kill");
    let exit = started.exit.await;
    assert_eq!(exit.code, 137, "{exit:?}");
    assert!(exit.error.is_some(), "{exit:?}");
    // Gone, so there is nothing to attach to, and the next engine finds nothing either.
    assert!(world.port.attachable(&process).await.is_err());
    let next = ShimRuntime::new(&world.root.path().join("exec")).expect("port");
    assert!(matches!(next.reconnect(&process).await, Reconnected::Gone));
    next.forget(&process).await;
    assert!(next.leftovers().await.is_empty());
}

/// A monitor of version 1, word by word, and one of a later version than this engine. Containers outlive an upgrade
/// and a downgrade, so these texts never change.
async fn another_versions_monitor_is_understood() {
    let world = World::new();
    let process = ProcessRef::container("old".to_owned());
    let directory = world.root.path().join("exec/containers/old");
    fs::create_dir_all(&directory).expect("mkdir");
    let state = |later: &str| {
        format!(
            r#"{{"version":1,"pid":{},"start_ticks":77,"started_at":"2026-01-02T03:04:05.678Z","monitor_pid":1,"cgroup":"/wharf-port-test/old","tty":true{later}}}"#,
            std::process::id(),
        )
    };
    let welcome = |version: u32, later: &str| {
        let state = state(later);
        format!(r#"{{"Welcome":{{"version":{version},"state":{state},"clients":0,"exit":null{later}}}}}"#)
    };
    let listener = listen(&directory);
    let monitor = std::thread::spawn({
        let (first, later) = (welcome(1, ""), welcome(9, r#","later":{"a":[1]}"#));
        move || {
            // It gives its engine up, as one does that does not listen in time.
            drop(knocked(&listener, &first));
            let engine = knocked(&listener, &first);
            assert_eq!(heard(&engine), r#"{"seq":0,"order":{"Resize":{"rows":5,"columns":7}}}"#);
            said(&engine, r#"{"Answer":{"seq":0,"reply":"Done"}}"#);
            assert_eq!(heard(&engine), r#"{"seq":1,"order":{"Signal":18}}"#);
            said(&engine, r#"{"Answer":{"seq":1,"reply":{"Refused":{"message":"No such process"}}}}"#);
            drop(engine);
            let engine = knocked(&listener, &later);
            said(&engine, r#"{"Weather":{"wind":3}}"#);
            assert_eq!(heard(&engine), r#"{"seq":0,"order":{"Signal":18}}"#);
            said(&engine, r#"{"Answer":{"seq":0,"reply":{"Perhaps":{"odds":0.5}},"more":1}}"#);
            assert_eq!(heard(&engine), r#"{"seq":1,"order":{"Signal":9}}"#);
            said(&engine, r#"{"ClientLeft":{"client":3,"why":"Detached"}}"#);
            said(&engine, r#"{"Answer":{"seq":1,"reply":"Done"}}"#);
            said(
                &engine,
                r#"{"Exited":{"version":1,"pid":1,"code":137,"signal":9,"oom_killed":true,"finished_at":"2026-01-02T03:04:06Z","error":"write log: full","later":{}}}"#,
            );
        }
    });
    let Reconnected::Running { started, paused: false } = world.port.reconnect(&process).await else {
        panic!("it runs")
    };
    assert_eq!(started.pid, std::process::id());
    assert_eq!(started.started_at.to_string(), "2026-01-02T03:04:05.678Z");
    // Until the second connection is there, calls have nobody to go to.
    while world.port.resize(&process, 5, 7).await.is_err() {
        assert!(!monitor.is_finished(), "the monitor was told what it did not expect");
        tokio::time::sleep(A_MOMENT).await;
    }
    let refused = world.port.signal(&process, 18).await.expect_err("refused");
    assert_eq!(refused.kind, RuntimeErrorKind::NotRunning);
    let unclear = loop {
        let error = world.port.signal(&process, 18).await.expect_err("refused");
        if error.message.contains("version") {
            break error;
        }
        assert!(!monitor.is_finished(), "the monitor was told what it did not expect");
        tokio::time::sleep(A_MOMENT).await;
    };
    assert!(unclear.message.contains("another version"), "{unclear:?}");
    world.port.signal(&process, 9).await.expect("signal");
    let exit = started.exit.await;
    assert_eq!((exit.code, exit.oom_killed, exit.error.as_deref()), (137, true, Some("write log: full")));
    monitor.join().expect("the monitor heard what it expected");
}

fn listen(directory: &std::path::Path) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).expect("socket");
    bind(&socket, &SocketAddrUnix::new(directory.join("monitor.sock")).expect("address")).expect("bind");
    listen(&socket, 16).expect("listen");
    socket
}

fn knocked(listener: &std::os::fd::OwnedFd, welcome: &str) -> std::os::fd::OwnedFd {
    loop {
        let engine = rustix::net::accept(listener).expect("accept");
        match rustix::net::send(&engine, welcome.as_bytes(), rustix::net::SendFlags::NOSIGNAL) {
            Ok(_) => return engine,
            // A look whether the monitor lives, gone before it was greeted.
            Err(rustix::io::Errno::PIPE) => {}
            Err(error) => panic!("send: {error}"),
        }
    }
}

fn said(engine: &std::os::fd::OwnedFd, text: &str) {
    rustix::net::send(engine, text.as_bytes(), rustix::net::SendFlags::NOSIGNAL).expect("send");
}

fn heard(engine: &std::os::fd::OwnedFd) -> String {
    let mut buffer = [0; 8192];
    let (length, _) =
        rustix::net::recv(engine, &mut buffer[..], rustix::net::RecvFlags::empty()).expect("receive");
    String::from_utf8(buffer[..length].to_vec()).expect("text")
}

fn destination(id: &str, path: PathBuf) -> logs::Destination {
    let labels = BTreeMap::new();
    let facts = logs::ContainerFacts {
        id,
        name: "/x",
        image_id: "",
        image_name: "",
        command: &[],
        labels: &labels,
        env: &[],
        created: "",
    };
    logs::resolve("json-file", &BTreeMap::new(), &facts, path).expect("a destination")
}
