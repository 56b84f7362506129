//! Where a container's output goes, by driver, and how it is read back.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{DEADLINE, House, eventually};

impl House {
    /// The directory of a container.
    fn place(&self, name: &str) -> PathBuf {
        let hosts = self.inspect(name, "{{.HostsPath}}");
        PathBuf::from(hosts).parent().expect("a directory").to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.engine.client("wharf");
        command.args(words);
        command
    }

    /// A line for its standard input. The client stays until it is dropped.
    fn type_line(&self, name: &str) -> Typing {
        let mut client = self.command(&["attach", name]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("attach");
        client.stdin.as_mut().expect("a pipe").write_all(b"go\n").expect("type");
        Typing(client)
    }

    #[track_caller]
    fn until_logged(&self, options: &[&str], name: &str, wanted: &str) {
        let mut last = String::new();
        let came = eventually(|| {
            last = self.run(&[&["logs"], options, &[name]].concat()).stdout;
            last.contains(wanted)
        });
        assert!(came, "{name}: {last}");
    }
}

struct Typing(std::process::Child);

impl Drop for Typing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (socket, _) = listener.accept().expect("accept");
    socket.set_read_timeout(Some(DEADLINE)).expect("timeout");
    socket
}

#[test]
fn local_is_rotated_compressed_and_read() {
    let house = House::new();
    let options = ["--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "max-file=50"];
    let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo last >&2; printf end";
    house.ok(&[&["run", "--name", "cc"], &options[..], &["bb", "sh", "-c", script]].concat());
    let place = house.place("cc").join("local-logs");
    assert!(place.join("container.log.1.gz").exists() && !house.place("cc").join("cc-json.log").exists());
    assert_eq!(house.inspect("cc", "{{.LogPath}}{{.HostConfig.LogConfig.Type}}"), "local");
    let all = house.run(&["logs", "cc"]);
    let expected: String = (0..2000).map(|n| format!("line {n}\n")).collect();
    assert_eq!((all.stdout, all.stderr.as_str()), (expected + "end", "last\n"));
    assert_eq!(house.run(&["logs", "-n", "1500", "cc"]).stdout.lines().count(), 1499);
    assert_eq!(house.ok(&["logs", "-n", "2", "cc"]), "end");
    // The time of a line splits the log.
    let times = house.ok(&["logs", "-t", "cc"]);
    let (time, _) = times.lines().nth(1000).and_then(|line| line.split_once(' ')).expect("a time");
    let since = house.ok(&["logs", "-t", "--since", time, "cc"]);
    let until = house.ok(&["logs", "-t", "--until", time, "cc"]);
    assert!(since.lines().all(|line| line.split(' ').next() >= Some(time)) && since.contains("line 1999"));
    assert!(until.lines().all(|line| line.split(' ').next() <= Some(time)) && until.contains("line 0\n"));
    assert!(since.lines().count() + until.lines().count() >= 2001);
}

#[test]
fn a_follower_goes_over_rotation_with_each_driver() {
    let house = House::new();
    for driver in ["json-file", "local"] {
        let size = ["--log-driver", driver, "--log-opt", "max-size=10k", "--log-opt", "max-file=99"];
        let script = "read go; i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done";
        house.ok(&[&["run", "-di", "--name", driver], &size[..], &["bb", "sh", "-c", script]].concat());
        let mut follow = house.command(&["logs", "-f", driver]).stdout(Stdio::piped()).spawn().unwrap();
        let _typing = house.type_line(driver);
        let mut seen = String::new();
        follow.stdout.take().unwrap().read_to_string(&mut seen).unwrap();
        assert!(follow.wait().unwrap().success());
        assert_eq!(seen, (0..1000).map(|n| format!("line {n}\n")).collect::<String>(), "{driver}");
    }
}

#[test]
fn what_is_kept_of_labels_and_variables_is_shown() {
    let house = House::new();
    for driver in ["json-file", "local"] {
        let options = [
            "--log-driver",
            driver,
            "--label",
            "team.a=x",
            "--label",
            "team.b=y z",
            "--label",
            "other=1",
            "-e",
            "KEY=v",
            "--log-opt",
            "labels-regex=^team",
            "--log-opt",
            "env-regex=^K",
            "--log-opt",
            "tag={{.Name}}/{{upper .ImageName}}",
        ];
        house.ok(&[&["run", "--name", driver], &options[..], &["bb", "echo", "hi"]].concat());
        assert_eq!(
            house.ok(&["logs", "--details", driver]),
            format!("KEY=v,tag={driver}%2FBB,team.a=x,team.b=y+z hi")
        );
    }
}

#[test]
fn options_are_checked_when_a_container_is_made() {
    let house = House::new();
    for (driver, option, said) in [
        ("local", "x=1", "unknown log opt 'x' for log driver local"),
        ("syslog", "syslog-facility=x", "invalid syslog facility"),
        ("gelf", "tag=x", "gelf-address is a required parameter"),
        ("journald", "x=1", "unknown log opt 'x' for journald log driver"),
        ("fluentd", "fluentd-async=x", "strconv.ParseBool: parsing \"x\": invalid syntax"),
        ("nosuch", "x=1", "logger: no log driver named 'nosuch' is registered"),
        ("json-file", "mode=x", "logger: logging mode not supported: x"),
    ] {
        let (status, error) =
            house.fails(&["create", "--log-driver", driver, "--log-opt", option, "bb", "true"]);
        assert!(status == 1 && error.contains(said), "{driver}: {error}");
    }
    assert_eq!(house.ok(&["ps", "-aq"]), "");
    let listed = house.ok(&["info", "--format", "{{.Plugins.Log}} {{.LoggingDriver}}"]);
    assert_eq!(listed, "[fluentd gelf journald json-file local syslog] json-file");
}

#[test]
fn a_daemon_s_driver_holds_for_its_containers() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = format!("syslog-address=udp://{}", socket.local_addr().unwrap());
    let house =
        House::with(&["--log-driver", "syslog", "--log-opt", &address, "--log-opt", "cache-max-file=2"]);
    assert_eq!(house.ok(&["run", "--name", "cc", "bb", "echo", "hello"]), "hello");
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]);
    let id = house.inspect("cc", "{{.Id}}");
    assert!(text.starts_with("<30>") && text.contains(&format!(" {}[", &id[..12])), "{text}");
    assert!(text.ends_with("]: hello\n"), "{text}");
    // What was sent can be read here, too.
    assert_eq!(house.ok(&["logs", "cc"]), "hello");
    // The limits of what is kept hold for another driver's containers as well; its own options do not.
    house.ok(&["create", "--name", "dd", "--log-driver", "journald", "bb", "true"]);
    assert_eq!(house.inspect("dd", "{{json .HostConfig.LogConfig.Config}}"), r#"{"cache-max-file":"2"}"#);
    // Without them, nothing.
    house.ok(&["run", "--name", "nn", "--log-opt", "cache-disabled=true", "bb", "echo", "gone"]);
    let (_, error) = house.fails(&["logs", "nn"]);
    assert!(error.contains("configured logging driver does not support reading"), "{error}");
}

#[test]
fn logging_outlives_the_engine() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("gelf-address=tcp://{}", listener.local_addr().unwrap());
    let mut house = House::new();
    let script = "echo first; read x; echo second; read y; echo third";
    let options = ["--log-driver", "gelf", "--log-opt", &address];
    house.ok(&[&["run", "-di", "--name", "cc"], &options[..], &["bb", "sh", "-c", script]].concat());
    let mut socket = accept(&listener);
    let mut text = Vec::new();
    let mut until = |socket: &mut TcpStream, wanted: &str| {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&text).contains(wanted) {
            let length = socket.read(&mut buffer).expect("read");
            assert!(length > 0, "no {wanted}: {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&buffer[..length]);
        }
    };
    until(&mut socket, "\"short_message\":\"first\"");
    // The collector goes and comes again, and so does the engine.
    drop(socket);
    house.engine.kill();
    house.engine.run();
    let _typing = house.type_line("cc");
    let mut socket = accept(&listener);
    until(&mut socket, "\"short_message\":\"second\"");
    house.until_logged(&[], "cc", "first\nsecond\n");
    let _typing = house.type_line("cc");
    until(&mut socket, "\"short_message\":\"third\"");
    house.until("cc", "{{.State.Status}}", "exited");
    assert_eq!(house.ok(&["logs", "cc"]), "first\nsecond\nthird");
    // Its forwarder ends with it.
    assert_eq!(socket.read(&mut [0; 10]).unwrap(), 0);
}

#[test]
fn a_dead_collector_fails_the_start_or_not() {
    let house = House::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("syslog-address=tcp://{closed}");
    let (status, error) =
        house.fails(&["run", "--name", "cc", "--log-driver", "syslog", "--log-opt", &address, "bb", "true"]);
    let said = format!(
        "failed to create task for container: failed to initialize logging driver: dial tcp {closed}: connect: \
         connection refused"
    );
    assert!(status == 125 && error.contains(&said), "{status} {error}");
    assert_eq!(house.inspect("cc", "{{.State.Status}} {{.State.ExitCode}}"), "created 128");
    // Fluentd's can wait; the container does not.
    let address = format!("fluentd-address={closed}");
    let options = ["--log-driver", "fluentd", "--log-opt", &address, "--log-opt", "fluentd-async=true"];
    let begun = Instant::now();
    assert_eq!(house.ok(&[&["run", "--name", "dd"], &options[..], &["bb", "echo", "on"]].concat()), "on");
    assert!(begun.elapsed() < Duration::from_secs(9), "it waited for the collector");
    assert_eq!(house.ok(&["logs", "dd"]), "on");
}

#[test]
fn a_stalled_collector_blocks_the_container_or_not() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("gelf-address=tcp://{}", listener.local_addr().unwrap());
    let script =
        "dd if=/dev/zero bs=64k count=600 2>/dev/null | tr '\\0' x | fold -w 1000; touch /done; sleep 100";
    let options = ["--log-driver", "gelf", "--log-opt", &address, "--log-opt", "cache-max-size=1m"];
    let run = |name: &str, mode: &[&str]| {
        house.ok(&[&["run", "-d", "--name", name], &options[..], mode, &["bb", "sh", "-c", script]].concat());
        accept(&listener)
    };
    let done = |name: &str| house.run(&["exec", name, "ls", "/done"]).status == 0;
    let _free = run("free", &["--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=100k"]);
    assert!(eventually(|| done("free")));
    let mut blocked = run("blocked", &[]);
    // 39 MB are more than all buffers on the way; it goes on when somebody reads.
    assert!(!done("blocked"));
    std::thread::spawn(move || std::io::copy(&mut blocked, &mut std::io::sink()));
    assert!(eventually(|| done("blocked")));
    house.ok(&["rm", "-f", "free", "blocked"]);
}

#[test]
fn what_is_typed_can_be_logged() {
    let house = House::new();
    let mut command = house.command(&["run", "-i", "--name", "cc", "--log-opt", "stdin=true", "bb", "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"typed\nunfinished").unwrap();
    drop(stdin);
    assert!(child.wait_with_output().unwrap().status.success());
    let path = house.inspect("cc", "{{.LogPath}}");
    let text = std::fs::read_to_string(path).unwrap();
    for record in [r#""log":"typed\n","stream":"stdin""#, r#""log":"unfinished","stream":"stdin""#] {
        assert_eq!(text.matches(record).count(), 1, "{text}");
        assert_eq!(text.matches(&record.replace("stdin", "stdout")).count(), 1, "{text}");
    }
    let shown = house.ok(&["logs", "cc"]);
    assert_eq!(shown.matches("typed").count(), 2, "{shown}");
    // A terminal's lines end otherwise.
    let mut command =
        house.command(&["run", "-d", "-it", "--name", "tt", "--log-opt", "stdin=true", "bb", "cat"]);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    house.ok(&["rm", "-f", "tt"]);
    house.ok(&["run", "--name", "nn", "bb", "true"]);
    assert_eq!(house.ok(&["logs", "nn"]), "");
}

#[test]
fn logs_are_searched() {
    let house = House::new();
    let script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; echo wrong 7 >&2";
    for driver in ["json-file", "local"] {
        house.ok(&["run", "--name", driver, "--log-driver", driver, "bb", "sh", "-c", script]);
        let found = house.run(&["logs", "--grep", " 1?7$", driver]);
        assert_eq!((found.stdout.as_str(), found.stderr.as_str()), ("line 7\nline 17\n", "wrong 7\n"));
        // The last ones of those that match.
        assert_eq!(
            house.run(&["logs", "--grep", "^line .*5$", "-n", "2", driver]).stdout,
            "line 285\nline 295\n"
        );
        assert!(house.ok(&["logs", "--grep", "nothing", driver]).is_empty());
    }
    let (_, error) = house.fails(&["logs", "--grep", "a(", "local"]);
    assert!(error.contains("error parsing regexp: unclosed group: `a(`"), "{error}");
}

#[test]
fn logs_are_cleared() {
    let house = House::new();
    for driver in ["json-file", "local"] {
        let options = ["--log-driver", driver, "--log-opt", "max-size=1k", "--log-opt", "max-file=4"];
        let script = "i=0; while [ $i -lt 100 ]; do echo old $i; i=$((i+1)); done; read x; echo new; read y";
        house.ok(&[&["run", "-di", "--name", driver], &options[..], &["bb", "sh", "-c", script]].concat());
        house.until_logged(&[], driver, "old 99");
        assert_eq!(house.ok(&["logs", "--clear", driver]), "");
        assert_eq!(house.ok(&["logs", driver]), "");
        let _typing = house.type_line(driver);
        house.until_logged(&[], driver, "new");
        assert_eq!(house.ok(&["logs", driver]), "new");
        house.ok(&["kill", driver]);
        house.until(driver, "{{.State.Status}}", "exited");
        house.ok(&["logs", "--clear", driver]);
        assert_eq!(house.ok(&["logs", driver]), "");
    }
    let (status, error) = house.fails(&["logs", "--clear", "--follow", "local"]);
    assert!(status == 1 && error.contains("conflicting options: --clear and --follow"), "{error}");
    let (_, error) = house.fails(&["logs", "--clear", "nosuch"]);
    assert!(error.contains("No such container: nosuch"), "{error}");
}
