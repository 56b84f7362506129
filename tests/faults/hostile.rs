//! Containers that do their worst: the engine stays there, neighbours go on, and they can be removed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Private, kill, parent, runs, until};

/// Resident memory of a process, in KiB (proc_pid_status(5)).
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The most that it ever had.
pub(super) fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Times of clients are cut to seconds: the end of this one.
fn soon() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (now.as_secs() + 1).to_string()
}

#[test]
fn one_that_forks_without_end_is_stopped_at_its_limit() {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "neighbour", "bb", "sleep", "1000"]);
    // In an exec, since a shell that cannot fork ends.
    private.ok(&["run", "-d", "--name", "bomb", "--pids-limit", "50", "bb", "sleep", "1000"]);
    private.ok(&["exec", "-d", "bomb", "sh", "-c", "while :; do sleep 1000 & done"]);
    let stats = ["stats", "--no-stream", "--format", "{{.PIDs}}", "bomb"];
    until("it is at its limit", || private.ok(&stats).parse::<u32>().unwrap() >= 45);
    assert_eq!(private.ok(&["exec", "neighbour", "echo", "fine"]), "fine");
    assert!(private.ok(&["top", "bomb"]).lines().count() >= 45);
    private.ok(&["rm", "-f", "bomb"]);
    private.clean("after the bomb");
}

#[test]
fn one_that_eats_memory_is_killed_and_told_so() {
    let private = Private::start();
    // A variable that doubles for ever.
    let eater = "a=0123456789abcdef; while :; do a=$a$a; done";
    private.ok(&[
        "run",
        "-d",
        "--name",
        "eater",
        "-m",
        "32m",
        "--memory-swap",
        "32m",
        "bb",
        "sh",
        "-c",
        eater,
    ]);
    private.ok(&["wait", "eater"]);
    let state = "{{.State.OOMKilled}} {{.State.ExitCode}}";
    assert_eq!(private.ok(&["inspect", "-f", state, "eater"]), "true 137");
    let events = private.ok(&["events", "--since", "1h", "--until", &soon(), "--filter", "event=oom"]);
    assert!(events.contains("container oom"), "{events}");
    private.ok(&["rm", "eater"]);
    private.clean("after the eater");
}

/// A line without an end costs neither monitor nor engine memory, and comes back whole.
#[test]
fn one_that_writes_a_line_without_an_end() {
    let size: u64 = 200 << 20;
    let private = Private::start();
    let line = format!("head -c {size} /dev/zero | tr '\\0' x; echo end");
    private.ok(&[
        "run",
        "-d",
        "--name",
        "liner",
        "--log-opt",
        "max-size=2g",
        "--log-opt",
        "max-file=1",
        "bb",
        "sh",
        "-c",
        &format!("{line}; sleep 1000"),
    ]);
    let monitor = parent(private.pid("liner"));
    let mut logs = private.engine.client("wharf");
    let mut logs = logs.args(["logs", "-f", "liner"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut counted = 0;
    let mut reader = logs.stdout.take().unwrap();
    let mut buffer = vec![0; 1 << 20];
    while counted < size + 4 {
        let n = std::io::Read::read(&mut reader, &mut buffer).unwrap();
        assert_ne!(n, 0, "the log ended after {counted} bytes");
        let text = &buffer[..n];
        assert!(text.iter().all(|&b| matches!(b, b'x' | b'e' | b'n' | b'd' | b'\n')));
        counted += n as u64;
    }
    assert_eq!(counted, size + 4);
    logs.kill().unwrap();
    logs.wait().unwrap();
    assert!(peak_kib(monitor) < 64 << 10, "the monitor had {} KiB", peak_kib(monitor));
    let engine = private.engine.pid().unwrap();
    assert!(peak_kib(engine) < 200 << 10, "the engine had {} KiB", peak_kib(engine));
    private.ok(&["rm", "-f", "liner"]);
    private.clean("after the line");
}

#[test]
fn one_that_ignores_the_signal_to_stop_is_killed_in_time() {
    let private = Private::start();
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    private.ok(&["run", "-d", "--name", "deaf", "bb", "sh", "-c", deaf]);
    let began = Instant::now();
    private.ok(&["stop", "-t", "1", "deaf"]);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(private.ok(&["inspect", "-f", "{{.State.ExitCode}}", "deaf"]), "137");
    private.ok(&["rm", "deaf"]);
}

/// Without an init nobody reaps them until the end; with one they are gone at once. Either way they can be removed.
#[test]
fn one_that_leaves_zombies() {
    let private = Private::start();
    let factory = "for n in $(seq 30); do (sleep 1 & exec true); done; exec sleep 1000";
    for init in [true, false] {
        let mut args = vec!["run", "-d", "--name", "factory"];
        args.extend(init.then_some("--init"));
        args.extend(["bb", "sh", "-c", factory]);
        private.ok(&args);
        let zombies = || {
            private.ok(&[
                "exec",
                "factory",
                "sh",
                "-c",
                "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true",
            ])
        };
        match init {
            true => until("all are reaped", || zombies() == "0"),
            false => until("they are there", || zombies().parse::<u32>().unwrap() >= 20),
        }
        private.ok(&["rm", "-f", "factory"]);
        private.clean("after the zombies");
    }
}

#[test]
fn a_thousand_created_containers() {
    let private = Private::start();
    std::thread::scope(|scope| {
        for lane in 0..8 {
            let private = &private;
            scope.spawn(move || {
                for n in 0..125 {
                    private.ok(&["create", "--name", &format!("c{lane}-{n}"), "bb", "true"]);
                }
            });
        }
    });
    assert_eq!(private.ok(&["ps", "-aq"]).lines().count(), 1000);
    // An engine that finds them all is there soon, and has not grown much.
    let mut private = private;
    private.engine.kill();
    let began = Instant::now();
    private.engine.run();
    assert_eq!(private.ok(&["ps", "-aq"]).lines().count(), 1000);
    let found = began.elapsed();
    let memory = resident_kib(private.engine.pid().unwrap());
    assert!(memory < 150 << 10, "{memory} KiB");
    assert!(found < Duration::from_secs(20), "{found:?}");
    assert_eq!(
        private.ok(&["container", "prune", "-f"]).lines().filter(|line| line.len() == 64).count(),
        1000
    );
    private.clean("after a thousand");
}

#[test]
fn ten_thousand_events() {
    let private = Private::start();
    private.ok(&["create", "--name", "one", "bb", "true"]);
    // Renamed there and back: an event each. The requests of one connection save ten thousand clients.
    let mut script = String::new();
    for n in 0..5000 {
        let (from, to) = if n % 2 == 0 { ("one", "two") } else { ("two", "one") };
        script.push_str(&format!(
            "POST /containers/{from}/rename?name={to} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
        ));
    }
    let mut watcher = private.engine.client("wharf");
    let watcher =
        watcher.args(["events", "--since", "1h", "--filter", "event=rename", "--format", "{{.Action}}"]);
    let mut watcher = watcher.stdout(Stdio::piped()).spawn().unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(private.engine.socket()).unwrap();
    for half in 0..2 {
        let mut to = stream.try_clone().unwrap();
        let bytes = script.clone().into_bytes();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut to, &bytes).unwrap());
        let mut answers = 0;
        let mut buffer = vec![0; 1 << 16];
        let mut tail = Vec::new();
        while answers < 5000 {
            let n = std::io::Read::read(&mut stream, &mut buffer).unwrap();
            assert_ne!(n, 0, "hung up after {answers} answers of half {half}");
            tail.extend_from_slice(&buffer[..n]);
            while let Some(at) = tail.windows(4).position(|end| end == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&tail[..at]).into_owned();
                assert!(head.starts_with("HTTP/1.1 204"), "{head}");
                tail.drain(..at + 4);
                answers += 1;
            }
        }
        writer.join().unwrap();
    }
    let listed = |engine: &testkit::Engine| {
        let args = [
            "events",
            "--since",
            "1h",
            "--until",
            &soon(),
            "--filter",
            "event=rename",
            "--format",
            "{{.Action}}",
        ];
        let output = engine.wharf(&args);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
        output.stdout.lines().count()
    };
    assert_eq!(listed(&private.engine), 10_000);
    // Whoever watched has seen each of them.
    let mut seen = 0;
    let reader = std::io::BufReader::new(watcher.stdout.take().unwrap());
    for line in std::io::BufRead::lines(reader) {
        assert_eq!(line.unwrap(), "rename");
        seen += 1;
        if seen == 10_000 {
            break;
        }
    }
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    let mut private = private;
    private.engine.kill();
    private.engine.run();
    assert_eq!(listed(&private.engine), 10_000);
}

/// A process that hides behind a name that cannot be parsed, and one whose parent has gone, end with their container.
#[test]
fn orphans_with_odd_names_end_with_their_container() {
    let private = Private::start();
    let script = "cp /bin/busybox '/tmp/busybox) Z (' 2>/dev/null || { mkdir -p /tmp; cp /bin/busybox '/tmp/busybox) Z ('; }; \
                  ('/tmp/busybox) Z (' sleep 1000 & ) ; exec sleep 1000";
    private.ok(&["run", "-d", "--name", "odd", "bb", "sh", "-c", script]);
    let top = ["top", "odd", "-eo", "pid,comm"];
    until("it is there", || private.ok(&top).contains("busybox) Z ("));
    let line = private.ok(&top).lines().find(|line| line.contains("busybox) Z (")).unwrap().to_owned();
    let pid: u32 = line.split_whitespace().next().unwrap().parse().unwrap();
    kill(private.pid("odd"));
    until("all have ended", || !runs(pid));
    until("the engine knows", || private.status("odd") == "exited");
    private.ok(&["rm", "odd"]);
    private.clean("after the orphans");
}
