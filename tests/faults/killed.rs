//! Processes killed: engine, spawner, monitor, client. What runs does not notice.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;

use super::{DEADLINE, Private, kill, names, parent, runs, spawner, until};

#[test]
fn an_attached_client_and_the_log_go_on_without_an_engine() {
    let mut private = Private::start();
    let script = "i=0; while [ ! -e /stop ]; do echo tick $i; i=$((i+1)); sleep 0.02; done; exit 7";
    let mut client = private.engine.client("wharf");
    client.args(["run", "--name", "aa", "bb", "sh", "-c", script]);
    let mut client = client.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (sender, ticks) = channel();
    let out = BufReader::new(client.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        out.lines().map_while(Result::ok).for_each(|line| sender.send(line).unwrap_or(()));
    });
    ticks.recv_timeout(DEADLINE).expect("output");
    let pid = private.pid("aa");
    private.engine.kill();
    let mut seen = ticks.try_iter().count() + 1;
    for _ in 0..30 {
        ticks.recv_timeout(DEADLINE).expect("output goes on while no engine runs");
        seen += 1;
    }
    assert!(runs(pid));
    private.engine.run();
    assert_eq!(private.status("aa"), "running");
    assert_eq!(private.pid("aa"), pid);
    let mut second = private.engine.client("wharf");
    let mut second = second.args(["attach", "--no-stdin", "aa"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(second.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("tick "), "{line}");
    private.ok(&["exec", "aa", "touch", "/stop"]);
    assert_eq!(private.ok(&["wait", "aa"]), "7");
    client.wait().unwrap();
    second.wait().unwrap();
    reader.join().unwrap();
    seen += ticks.iter().count();
    let logged = private.ok(&["logs", "aa"]);
    let expected: Vec<String> = (0..seen).map(|number| format!("tick {number}")).collect();
    assert_eq!(logged, expected.join("\n"), "the log has each line once, and so had the client");
    private.ok(&["rm", "aa"]);
    private.clean("after the removal");
}

/// They cannot be gone on with, and say so as Docker's client does.
#[test]
fn streams_of_an_engine_end_with_it() {
    let mut private = Private::start();
    private.ok(&["run", "-d", "--name", "aa", "bb", "sh", "-c", "echo begun; sleep 1000"]);
    let stream = |words: &[&str]| {
        let mut client = private.engine.client("wharf");
        let client = client.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut client = client.unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("begun") || line.contains("image import"), "{line}");
        client
    };
    let clients = [stream(&["logs", "-f", "aa"]), stream(&["events", "--since", "10m"])];
    private.engine.kill();
    for client in clients {
        let ended = client.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*told), (Some(1), "unexpected EOF\n"));
    }
    private.engine.run();
    private.ok(&["rm", "-f", "aa"]);
}

#[test]
fn what_ended_without_an_engine_is_found_by_the_next() {
    let mut private = Private::start();
    let share = private.share();
    let volume = format!("{}:/x", share.display());
    let script = "echo x >> /x/$0; while [ ! -e /x/go ]; do sleep 0.05; done; exit 5";
    let kinds: [(&str, &[&str]); 5] = [
        ("plain", &[]),
        ("auto", &["--rm"]),
        ("always", &["--restart=always"]),
        ("twice", &["--restart=on-failure:1"]),
        ("stays", &["-e", "STAYS=1"]),
    ];
    for (name, flags) in kinds {
        let script = if name == "stays" { "sleep 1000" } else { script };
        let mut args = vec!["run", "-d", "--name", name, "-v", &volume];
        args.extend(flags);
        args.extend(["bb", "sh", "-c", script, name]);
        private.ok(&args);
    }
    let ran = |name: &str| std::fs::read_to_string(share.join(name)).unwrap_or_default().lines().count();
    let pids: Vec<u32> = kinds[..4].iter().map(|(name, _)| private.pid(name)).collect();
    until("all have begun", || kinds[..4].iter().all(|(name, _)| ran(name) == 1));
    private.engine.kill();
    std::fs::write(share.join("go"), "").unwrap();
    until("all have ended", || !pids.iter().any(|&pid| runs(pid)));
    private.engine.run();
    assert_eq!(private.ok(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "plain"]), "exited 5");
    assert_eq!(private.ok(&["wait", "plain"]), "5");
    until("--rm is removed", || !private.exists("auto"));
    until("always runs again", || ran("always") > 1);
    until("on-failure:1 runs once more", || ran("twice") == 2);
    until("and is given up", || private.status("twice") == "exited");
    assert_eq!(private.status("stays"), "running");
    // Its address is still its own.
    private.ok(&["run", "-d", "--name", "new", "bb", "sleep", "1000"]);
    let address =
        |name: &str| private.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name]);
    assert_ne!(address("stays"), address("new"));
    private.ok(&["exec", "new", "ping", "-c", "1", "-W", "10", &address("stays")]);
    private.ok(&["rm", "-f", "always", "plain", "twice", "new", "stays"]);
    private.clean("after the removals");
}

#[test]
fn execs_tell_the_next_engine_how_they_ended() {
    let mut private = Private::start();
    private.ok(&["run", "-d", "--name", "ee", "bb", "sleep", "1000"]);
    let share = format!("/proc/{}/root", private.pid("ee"));
    let go = |name: &str| std::fs::write(format!("{share}/{name}"), "").unwrap();
    let exec = |name: &str, code: u32| {
        let script = format!("echo begun; until [ -e /{name} ]; do sleep 0.02; done; exit {code}");
        let mut client = private.engine.client("wharf");
        client.args(["exec", "ee", "sh", "-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "begun\n");
        client
    };
    let (between, after) = (exec("between", 4), exec("after", 9));
    let known = private.ok(&["inspect", "-f", "{{len .ExecIDs}}", "ee"]);
    assert_eq!(known, "2");
    private.engine.kill();
    go("between");
    let id = names(&private.engine.directory().join("exec/containers")).into_iter().next().unwrap();
    let execs = private.engine.directory().join("exec/containers").join(id).join("execs");
    until("one has ended while there is no engine", || {
        names(&execs).iter().any(|exec| execs.join(exec).join("exit.json").exists())
    });
    private.engine.run();
    assert_eq!(private.ok(&["inspect", "-f", "{{len .ExecIDs}}", "ee"]), "1");
    go("after");
    for (client, code) in [(between, 4), (after, 9)] {
        let got = client.wait_with_output().unwrap();
        assert_eq!((got.status.code(), String::from_utf8_lossy(&got.stderr).as_ref()), (Some(code), ""));
    }
    until("nothing is kept of them", || private.ok(&["inspect", "-f", "{{json .ExecIDs}}", "ee"]) == "null");
    private.ok(&["rm", "-f", "ee"]);
    private.clean("after the removal");
}

#[test]
fn a_killed_spawner_is_replaced() {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "cc", "bb", "sleep", "1000"]);
    let (old, pid) = (spawner(&private.engine), private.pid("cc"));
    kill(old);
    for _ in 0..20 {
        assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
    }
    assert_ne!(spawner(&private.engine), old);
    assert_eq!((private.status("cc").as_str(), private.pid("cc")), ("running", pid));
    assert_eq!(private.ok(&["exec", "cc", "echo", "in"]), "in");
    private.ok(&["rm", "-f", "cc"]);
    private.clean("after the removal");
}

#[test]
fn spawners_killed_in_the_middle_of_starts_are_replaced() {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "cc", "bb", "sleep", "1000"]);
    let pid = private.pid("cc");
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..20)
            .map(|number| {
                let mut client = private.engine.client("wharf");
                let client = client.args(["run", "--rm", "bb", "echo", &number.to_string()]);
                client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        // Twice while they start: a request that two spawners lost may fail, but it says so.
        for _ in 0..2 {
            kill(spawner(&private.engine));
        }
        for (number, client) in clients.drain(..).enumerate() {
            let output = client.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.success() {
                true => assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), number.to_string()),
                false => assert!(said.contains("the spawner died twice"), "{said}\n{}", private.engine.log()),
            }
        }
        assert_eq!((private.status("cc").as_str(), private.pid("cc")), ("running", pid));
    }
    private.ok(&["rm", "-f", "cc"]);
    private.clean("after killed spawners");
}

#[test]
fn a_killed_monitor_is_told_and_leaves_nothing() {
    let mut private = Private::start();
    for (name, engine_too) in [("one", false), ("two", true)] {
        private.ok(&["run", "-d", "--name", name, "bb", "sleep", "1000"]);
        let pid = private.pid(name);
        if engine_too {
            private.engine.kill();
        }
        kill(parent(pid));
        if engine_too {
            private.engine.run();
        } else {
            until("the engine says so", || private.engine.log().contains("monitor was killed"));
        }
        // As with Docker's shim: nobody would read its output or hear of its end.
        until("it is killed as well", || private.status(name) == "exited");
        assert!(!runs(pid));
        assert_eq!(private.ok(&["inspect", "-f", "{{.State.ExitCode}}", name]), "137");
        let error = private.ok(&["inspect", "-f", "{{.State.Error}}", name]);
        assert!(error.contains("monitor"), "{error:?}");
        private.ok(&["rm", name]);
        private.clean("after a monitor was killed");
    }
}

#[test]
fn a_killed_client_leaves_its_container_alone() {
    let private = Private::start();
    for args in [
        &["run", "--rm", "--name", "kk", "bb", "sleep", "1000"][..],
        &["run", "--rm", "-i", "--name", "kk", "bb", "sh", "-c", "while :; do echo flood; done"],
    ] {
        let mut client = private.engine.client("wharf");
        let client = client.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = client.spawn().unwrap();
        until("it runs", || {
            !private.ok(&["ps", "-q", "--filter", "name=kk", "--filter", "status=running"]).is_empty()
        });
        client.kill().unwrap();
        client.wait().unwrap();
        drop(client);
        assert_eq!(private.status("kk"), "running");
        assert_eq!(private.ok(&["exec", "kk", "echo", "in"]), "in");
        private.ok(&["kill", "kk"]);
        until("--rm is the engine's work", || !private.exists("kk"));
    }
    private.clean("after killed clients");
}
