//! The daemon's flags, file, sockets and signals.

use std::io::Read as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use testkit::{Engine, Output};

use crate::{House, binary, eventually};

fn daemon(words: &[&str]) -> Output {
    Output::of(Command::new(binary()).arg("daemon").args(words).stdin(Stdio::null()))
}

#[test]
fn a_configuration_is_checked_before_anything_starts() {
    let directory = testkit::directory();
    let file = directory.path().join("daemon.json");
    let path = file.display().to_string();
    let write = |text: &str| std::fs::write(&file, text).expect("write the file");
    write("{\"debug\":true}");
    let got = daemon(&["--validate", "--config-file", &path]);
    assert_eq!((got.status, got.stderr.as_str()), (0, "configuration OK\n"), "{got:?}");
    for (text, flags, wanted) in [
        ("{\"dbug\":true}", &[][..], "the following directives don't match any configuration option: dbug"),
        (
            "{\"debug\":true}",
            &["--debug"],
            "both as a flag and in the configuration file: debug: (from flag: true, from file: true)",
        ),
        ("{", &[], "unable to configure the Docker daemon with file"),
        ("{}", &["--storage-driver=devicemapper"], "use overlay2 instead"),
        ("{}", &["--storage-driver=aufs"], "use overlay2 instead"),
        ("{}", &["--tlsverify"], "--tlsverify (tlsverify) is not built yet"),
        ("{}", &["--wat"], "unknown flag: --wat\nSee 'dockerd --help'.\n"),
        ("{}", &["--oom-score-adjust=-500"], "--oom-score-adjust (oom-score-adjust) is not built yet"),
    ] {
        write(text);
        let got = daemon(&[&["--validate", "--config-file", &path], flags].concat());
        assert_eq!(got.status, 1, "{got:?}");
        assert!(got.stderr.contains(wanted), "{wanted}: {got:?}");
    }
}

#[test]
fn a_hangup_reloads_what_can_be_reloaded() {
    let house = House::new();
    let asked = "{{.Debug}} {{.Labels}} {{.LiveRestoreEnabled}} {{.DefaultRuntime}}";
    assert_eq!(house.ok(&["info", "--format", asked]), "false [] true runc");
    let file = house.engine.directory().join("daemon.json");
    let text = r#"{"debug":true,"labels":["x=y"],"live-restore":false,"shutdown-timeout":3,
                   "runtimes":{"other":{"path":"/bin/other"}},"default-runtime":"other"}"#;
    std::fs::write(&file, text).expect("write the file");
    house.signal(Signal::HUP);
    assert!(
        eventually(|| house.ok(&["info", "--format", asked]) == "true [x=y] false other"),
        "{}",
        house.engine.log()
    );
    assert!(house.ok(&["info", "--format", "{{json .Runtimes}}"]).contains("/bin/other"));
    let seen = house.events(&["--filter", "type=daemon"], "{{.Action}}");
    assert_eq!(seen, "reload");
    // What is wrong changes nothing, and ends nothing.
    std::fs::write(&file, "{\"labels\":[\"p=q\"],\"default-runtime\":\"gone\"}").expect("write the file");
    house.signal(Signal::HUP);
    assert!(eventually(|| house.engine.log().contains("specified default runtime 'gone' does not exist")));
    assert_eq!(house.ok(&["info", "--format", asked]), "true [x=y] false other");
}

#[test]
fn a_user_signal_writes_the_engines_state_and_ends_nothing() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "told", "bb", "sleep", "1000"]);
    house.signal(Signal::USR1);
    assert!(
        eventually(|| house.engine.log().contains("state of the engine written")),
        "{}",
        house.engine.log()
    );
    let log = house.engine.log();
    let path =
        log.split("path=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a path in the log");
    let text = std::fs::read_to_string(path).expect("the state");
    for wanted in ["pid: ", "thread ", "descriptor ", "tasks: ", "container: ", "told"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(house.inspect("told", "{{.State.Status}}"), "running");
}

#[test]
fn without_live_restore_a_stop_ends_the_containers() {
    let mut house = House::with(&["--live-restore=false"]);
    let line = "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done";
    house.ok(&["run", "-d", "--name", "polite", "bb", "sh", "-c", line]);
    house.ok(&[
        "run",
        "-d",
        "--name",
        "deaf",
        "--stop-timeout",
        "1",
        "bb",
        "sh",
        "-c",
        "trap '' TERM; echo ready; while :; do sleep 0.05; done",
    ]);
    house.ok(&["run", "-d", "--name", "again", "--restart", "unless-stopped", "bb", "sleep", "1000"]);
    for name in ["polite", "deaf"] {
        assert!(eventually(|| house.ok(&["logs", name]) == "ready"));
    }
    let pid = house.inspect("polite", "{{.State.Pid}}");
    house.engine.terminate();
    assert!(!std::path::Path::new("/proc").join(pid).exists());
    house.engine.run();
    assert_eq!(house.inspect("polite", "{{.State.Status}} {{.State.ExitCode}}"), "exited 6");
    assert_eq!(house.inspect("deaf", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    house.until("again", "{{.State.Status}}", "running");
}

#[test]
fn with_live_restore_they_go_on() {
    let mut house = House::new();
    house.ok(&["run", "-d", "--name", "ca", "bb", "sleep", "1000"]);
    let pid = house.inspect("ca", "{{.State.Pid}}");
    house.engine.terminate();
    house.engine.run();
    assert_eq!(house.inspect("ca", "{{.State.Pid}} {{.State.Status}}"), format!("{pid} running"));
}

/// The monitor of a container stands elsewhere than the engine.
#[test]
fn roots_may_be_relative() {
    let mut house = House::new();
    house.engine.terminate();
    let directory = house.engine.directory().to_owned();
    house.engine.run_with(|engine| {
        engine.current_dir(&directory).args(["--data-root", "data", "--exec-root", "exec"]);
    });
    let said = house.ok(&[
        "run",
        "-v",
        "kept:/kept",
        "--name",
        "near",
        "bb",
        "sh",
        "-c",
        "echo here | tee /kept/it",
    ]);
    assert_eq!(said, "here");
    assert_eq!(house.ok(&["logs", "near"]), "here");
    let log = house.inspect("near", "{{.LogPath}}");
    assert!(log.starts_with(&format!("{}/data/", directory.display())), "{log}");
}

fn ping(mut stream: impl std::io::Read + std::io::Write) -> String {
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("be answered");
    answer
}

#[test]
fn several_sockets_and_a_group() {
    let directory = testkit::directory();
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let second = directory.path().join("second.sock");
    let (tcp, unix) = (format!("-H=tcp://127.0.0.1:{port}"), format!("-H=unix://{}", second.display()));
    let engine = Engine::start_with(
        binary(),
        directory.path(),
        &[&tcp, &unix, "--group=7", "--log-format=json", "--containerd=/x"],
    );
    assert!(ping(std::net::TcpStream::connect(("127.0.0.1", port)).expect("connect")).contains("200 OK"));
    assert!(ping(std::os::unix::net::UnixStream::connect(&second).expect("connect")).ends_with("OK"));
    use std::os::unix::fs::MetadataExt as _;
    let status = std::fs::metadata(&second).expect("the socket");
    assert_eq!((status.gid(), status.mode() & 0o777), (7, 0o660));
    let pid = std::fs::read_to_string(directory.path().join("pid")).expect("the pidfile");
    assert_eq!(pid.trim(), engine.pid().expect("it runs").to_string());
    let lines: Vec<serde_json::Value> =
        engine.log().lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
    assert!(
        lines.iter().any(|line| {
            line["level"] == "warning"
                && line["msg"].as_str().is_some_and(|text| text.contains("--containerd has no effect"))
        }),
        "{lines:?}"
    );
    drop(engine);
    assert!(!second.exists() && !directory.path().join("pid").exists(), "socket or pidfile are left");
}

#[test]
fn a_socket_handed_over_is_served() {
    let directory = testkit::directory();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let listener = std::os::unix::net::UnixListener::bind(path("given.sock")).expect("listen");
    // The shell puts the socket at 3, as systemd does.
    let script = "exec env LISTEN_FDS=1 LISTEN_PID=$$ \"$0\" \"$@\" 3<&0 </dev/null";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(binary())
        .args(["daemon", "-H", "fd://", "--bridge=none", "--iptables=false", "--data-root", &path("data")])
        .args(["--exec-root", &path("exec"), "--pidfile", &path("pid")])
        .stdin(std::os::fd::OwnedFd::from(listener))
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let answer = ping(std::os::unix::net::UnixStream::connect(path("given.sock")).expect("connect"));
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, Signal::TERM).expect("stop it");
    let mut log = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut log).expect("read its log");
    assert!(child.wait().expect("it ends").success(), "{log}");
    assert!(answer.contains("200 OK"), "{answer} {log}");
    assert!(directory.path().join("given.sock").exists(), "the socket is not the engine's to remove");
}

#[test]
fn without_a_bridge_or_a_firewall() {
    let directory = testkit::directory();
    let path = |name: &str| directory.path().join(name).display().to_string();
    // Two engines on one data root: the second is refused.
    let house = House::with(&["--iptables=false"]);
    let second = daemon(&[
        "--bridge=none",
        "--data-root",
        &format!("{}/data", house.engine.directory().display()),
        "--exec-root",
        &path("exec"),
        "--pidfile",
        &path("pid"),
        "-H",
        &format!("unix://{}", path("sock")),
    ]);
    assert_eq!(second.status, 1, "{second:?}");
    assert!(second.stderr.contains("failed to start daemon"), "{second:?}");
    let tables = Command::new("nft")
        .args(["list", "tables"])
        .output()
        .map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    assert!(!tables.unwrap_or_default().contains(house.engine.bridge()), "--iptables=false made a table");
    assert!(house.sh(&[], "ip -4 addr show eth0").contains("inet "));
}

#[test]
fn containers_apart_with_icc_off() {
    let house = House::with(&["--icc=false"]);
    house.ok(&["run", "-d", "--name", "server", "bb", "sh", "-c", "while :; do echo hi | nc -l -p 80; done"]);
    let ip = house.inspect("server", "{{.NetworkSettings.Networks.bridge.IPAddress}}");
    house.sh(
        &["--network", "container:server"],
        &format!("until nc -w 1 {ip} 80 </dev/null; do sleep 0.05; done"),
    );
    let got = house.run(&["run", "--rm", "bb", "nc", "-w", "2", &ip, "80"]);
    assert_ne!(got.status, 0, "{got:?}");
}
