//! Attach, exec, logs, wait, events.

use super::*;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

fn attach(name: &str, query: &str, headers: &str) -> String {
    format!("POST /containers/{name}/attach?{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

#[test]
fn attach_in_all_its_forms() {
    let house = House::new();
    let stdin = json!({"OpenStdin": true, "StdinOnce": true});
    for (headers, status) in [(UPGRADE, 101), ("", 200)] {
        let name = format!("cat{status}");
        house.create(&name, "cat; echo err >&2", stdin.clone());
        let stream = house.connect();
        let request = attach(&name, "stream=1&stdin=1&stdout=1&stderr=1", headers);
        let answer = std::thread::scope(|scope| {
            let attached = scope.spawn(|| hijack_unix(stream, &request, b"hello\n"));
            house.start(&name);
            attached.join().expect("an end")
        });
        // Attached before, during or after the start: nothing is lost, and all of it is in the log as well.
        assert_eq!(house.wait(&name), 0);
        assert_eq!(answer.status, status, "{}", answer.head);
        assert_eq!(of_stream(&answer.body, 1), "hello\n");
        assert_eq!(of_stream(&answer.body, 2), "err\n");
        let logged = house.raw(attach(&name, "logs=1&stdout=1&stderr=1", headers).as_bytes());
        assert_eq!(of_stream(&parse(&logged).body, 1), "hello\n");
    }
}

#[test]
fn an_exec_s_client_says_whether_it_wants_frames() {
    let house = House::new();
    house.create("one", "sleep 1000", json!({}));
    house.start("one");
    for (pty, raw, framed) in
        [(true, false, true), (true, true, false), (false, false, true), (false, true, false)]
    {
        let asked = json!({
            "Cmd": ["sh", "-c", "echo out; exit 3"], "AttachStdout": true, "AttachStderr": true, "Tty": pty,
        });
        let exec = house.post("/containers/one/exec", Some(&asked), 201).json();
        let exec = exec["Id"].as_str().expect("an id");
        let body = json!({"Detach": false, "Tty": raw}).to_string();
        let request = format!(
            "POST /exec/{exec}/start HTTP/1.1\r\nHost: x\r\n{UPGRADE}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = hijack_unix(house.connect(), &request, b"");
        // At once: the code is known before the output ends.
        let view = house.get(&format!("/exec/{exec}/json")).json();
        assert_eq!((&view["ExitCode"], &view["Running"]), (&json!(3), &json!(false)));
        let kind = if framed { "multiplexed" } else { "raw" };
        assert_eq!(answer.header("content-type"), Some(&*format!("application/vnd.docker.{kind}-stream")));
        let text = if framed { of_stream(&answer.body, 1) } else { answer.text() };
        assert_eq!(text, if pty { "out\r\n" } else { "out\n" }, "{pty} {raw}");
        let again = house.ask("POST", &format!("/exec/{exec}/start"), Some(&json!({})));
        assert_eq!(again.status, 409, "{}", again.text());
    }
}

/// However its client went: by ending its input, by leaving while the process runs, or before it can have said anything.
#[test]
fn an_exec_s_exit_code_is_there_for_who_asks_later() {
    let house = House::new();
    house.create("one", "sleep 1000", json!({}));
    house.start("one");
    for (line, code, stays) in [
        ("cat; echo after; exit 7", 7, true),
        ("cat; exit 8", 8, false),
        ("until [ -e /go ]; do sleep 0.05; done; exit 9", 9, false),
    ] {
        let asked = json!({"Cmd": ["sh", "-c", line], "AttachStdin": true, "AttachStdout": true});
        let exec = house.post("/containers/one/exec", Some(&asked), 201).json();
        let path = format!("/exec/{}", exec["Id"].as_str().expect("an id"));
        let view = || house.get(&format!("{path}/json")).json();
        assert_eq!((&view()["ExitCode"], &view()["Running"]), (&Value::Null, &json!(false)), "not begun");
        let request = format!(
            "POST {path}/start HTTP/1.1\r\nHost: x\r\n{UPGRADE}Content-Type: application/json\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        );
        let stream = house.connect();
        if stays {
            // Half-closed: what the process says after that still comes.
            let answer = hijack_unix(stream, &request, b"said\n");
            assert_eq!(of_stream(&answer.body, 1), "said\nafter\n");
        } else {
            let mut stream = stream;
            stream.write_all(request.as_bytes()).expect("send");
            stream.read_exact(&mut [0; 12]).expect("an answer in time");
            drop(stream);
        }
        // The answer comes before the process does.
        let until = |what: &str, holds: &dyn Fn(&Value) -> bool| {
            let deadline = Instant::now() + DEADLINE;
            while !holds(&view()) {
                assert!(Instant::now() < deadline, "{line}: not {what}: {}", view());
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        if code == 9 {
            until("running", &|view| view["Running"] == json!(true));
            let asked = json!({"Cmd": ["touch", "/go"]});
            let touch = house.post("/containers/one/exec", Some(&asked), 201).json();
            let touch = touch["Id"].as_str().expect("an id");
            house.post(&format!("/exec/{touch}/start"), Some(&json!({"Detach": true})), 200);
        }
        until("ended", &|view| view["Running"] == json!(false) && !view["ExitCode"].is_null());
        for _ in 0..2 {
            assert_eq!(view()["ExitCode"], json!(code), "{line}");
        }
    }
}

#[test]
fn over_tcp_as_well() {
    // A free port, given back a moment before the engine takes it.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let house = House::with(&["-H", &format!("tcp://127.0.0.1:{port}")]);
    house.create("cat", "cat", json!({"OpenStdin": true, "StdinOnce": true}));
    house.start("cat");
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
        stream
    };
    let stream = connect();
    let other = stream.try_clone().expect("clone");
    let request = attach("cat", "stream=1&stdin=1&stdout=1", UPGRADE);
    let answer =
        hijack(stream, |_| other.shutdown(Shutdown::Write).expect("half-close"), &request, b"over tcp\n");
    assert_eq!(of_stream(&answer.body, 1), "over tcp\n");
    assert_eq!(house.wait("cat"), 0);
    let mut stream = connect();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in time");
    assert!(answer.ends_with("OK"), "{answer}");
}

#[test]
fn logs_are_cut_as_asked() {
    let house = House::new();
    let more = json!({
        "Labels": {"who": "me"},
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"labels": "who"}}},
    });
    house.create("log", "echo a; echo c", more);
    house.create("both", "echo a; echo b >&2; echo c", json!({}));
    for name in ["log", "both"] {
        house.start(name);
        house.wait(name);
    }
    let both = |query: &str| house.get(&format!("/containers/both/logs?{query}")).body;
    let logs = |query: &str| house.get(&format!("/containers/log/logs?{query}")).body;
    assert_eq!(of_stream(&both("stdout=1&stderr=1"), 1), "a\nc\n");
    assert_eq!(of_stream(&both("stderr=1"), 2), "b\n");
    assert_eq!(of_stream(&logs("stdout=1&tail=1"), 1), "c\n");
    assert_eq!(of_stream(&logs("stdout=1&tail=all"), 1), "a\nc\n");
    assert_eq!(of_stream(&logs("stdout=1&details=1&tail=1"), 1), "who=me c\n");
    assert!(logs("stdout=1&since=4000000000").is_empty());
    assert!(logs("stdout=1&until=1").is_empty());
    assert_eq!(of_stream(&logs("stdout=1&since=0&until=0&follow=1"), 1), "a\nc\n");
    let stamped = of_stream(&logs("stdout=1&timestamps=1&tail=1"), 1);
    let (time, rest) = stamped.split_once(' ').expect("a time and a line");
    assert!(time.len() == "2006-01-02T15:04:05.000000000Z".len() && time.ends_with('Z'), "{stamped}");
    assert_eq!(rest, "c\n");
}

#[test]
fn waits_answer_when_what_they_wait_for_has_come() {
    let house = House::new();
    house.create("one", "sleep 1000", json!({}));
    // Not running counts as ended, unless the next exit is asked for.
    assert_eq!(house.wait("one"), 0);
    let begin = |condition: &str| {
        let mut stream = house.connect();
        let request = format!(
            "POST /containers/one/wait?condition={condition} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("send");
        // The head says that the wait is registered.
        let mut head = vec![0; 15];
        stream.read_exact(&mut head).expect("an answer in time");
        (head, stream)
    };
    let end = |(mut bytes, mut stream): (Vec<u8>, UnixStream)| {
        stream.read_to_end(&mut bytes).expect("an answer in time");
        parse(&bytes).json()["StatusCode"].clone()
    };
    let (next, removed) = (begin("next-exit"), begin("removed"));
    house.start("one");
    house.post("/containers/one/kill?signal=KILL", None, 204);
    assert_eq!(end(next), 137);
    assert_eq!(house.ask("DELETE", "/containers/one?v=1", None).status, 204);
    assert_eq!(end(removed), 137);
}

#[test]
fn events_of_a_life_in_order() {
    let house = House::new();
    house.create("one", "exit 4", json!({"Volumes": {"/data": {}}, "Labels": {"k": "v"}}));
    house.start("one");
    house.wait("one");
    assert_eq!(house.ask("DELETE", "/containers/one?v=1", None).status, 204);
    // A whole second after everything that has happened.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = now.as_secs() + 1;
    let events = |query: &str| -> Vec<Value> {
        let text = house.get(&format!("/events?since=0&until={now}&{query}")).text();
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    };
    let words = |events: &[Value]| -> Vec<String> {
        events
            .iter()
            .map(|e| {
                format!("{} {}", e["Type"].as_str().expect("type"), e["Action"].as_str().expect("action"))
            })
            .collect()
    };
    let of_volumes = events("filters={%22type%22:[%22volume%22]}");
    assert_eq!(words(&of_volumes), ["volume create", "volume mount", "volume unmount", "volume destroy"]);
    let mount = &of_volumes[1]["Actor"]["Attributes"];
    assert_eq!((&mount["destination"], &mount["read/write"]), (&json!("/data"), &json!("true")));
    let own = events("filters={%22container%22:[%22one%22],%22type%22:[%22container%22]}");
    assert_eq!(words(&own), ["container create", "container start", "container die", "container destroy"]);
    assert_eq!(own[2]["Actor"]["Attributes"]["exitCode"], "4");
    assert!(own[0].get("status").is_none());
    assert_eq!(events("filters={%22label%22:[%22k=v%22]}").len(), 4);
    assert!(events("filters={%22event%22:[%22nope%22]}").is_empty());
}
