//! Whoever wants to know is told: of everything, once, and also of what happened while nobody listened.

mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use oci::{Digest, media_type};
use registry::{Endpoint, Notifications, Place, Settings};
use serde_json::{Value, json};

use kit::{Registry, settings};

const PATIENCE: Duration = Duration::from_secs(30);

/// Takes events; the first ones are refused with a status.
fn listener(refusals: usize) -> (String, mpsc::Receiver<(Vec<String>, String)>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    (format!("http://{}/event", socket.local_addr().unwrap()), listen(socket, refusals))
}

fn listen(socket: TcpListener, mut refusals: usize) -> mpsc::Receiver<(Vec<String>, String)> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            let head: Vec<String> =
                reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let length = head
                .iter()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            let status = if refusals > 0 { "503 Later" } else { "200 OK" };
            let _ = (&stream).write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            if refusals > 0 {
                refusals -= 1;
            } else if tell.send((head, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    told
}

fn endpoint(name: &str, url: &str) -> Endpoint {
    Endpoint {
        name: name.into(),
        place: Place::parse(url).unwrap(),
        headers: Vec::new(),
        timeout: Duration::from_secs(10),
        threshold: 2,
        backoff: Duration::from_millis(20),
        ignored_types: Vec::new(),
        ignored_actions: Vec::new(),
    }
}

#[track_caller]
fn next(told: &mpsc::Receiver<(Vec<String>, String)>) -> Value {
    let (_, text) = told.recv_timeout(PATIENCE).expect("an event");
    serde_json::from_str::<Value>(&text).unwrap()["events"][0].clone()
}

#[test]
fn everything_that_is_done_is_told_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    // Refused more often than the threshold.
    let (url, told) = listener(5);
    let (few_url, few) = listener(0);
    let all = Endpoint { headers: vec![("X-Secret".into(), "s".into())], ..endpoint("all", &url) };
    let some = Endpoint {
        ignored_types: vec!["application/octet-stream".into()],
        ignored_actions: vec!["pull".into()],
        ..endpoint("few", &few_url)
    };
    let notifications = Notifications { endpoints: vec![all, some], references: true };
    let registry = Registry::start(Settings { notifications, ..settings(directory.path()) });
    let digest = registry.image("team/app", "v1", b"layer");
    let size = registry.get("/v2/team/app/manifests/v1").body.len();

    let (head, text) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(head[0], "POST /event HTTP/1.1");
    assert!(
        head.iter().any(|line| line
            .eq_ignore_ascii_case("content-type: application/vnd.docker.distribution.events.v2+json")),
        "{head:?}"
    );
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("x-secret: s")), "{head:?}");
    // Letter by letter what Docker's registry sends.
    let event = serde_json::from_str::<Value>(&text).unwrap()["events"][0].clone();
    let word =
        |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path}: {event}"));
    let config = Digest::of(b"{}");
    let expected = format!(
        "{{\n   \"events\": [\n      {{\n         \"id\": \"{}\",\n         \"timestamp\": \"{}\",\n         \"action\": \"push\",\n         \
         \"target\": {{\n            \"mediaType\": \"application/octet-stream\",\n            \"size\": 2,\n            \"digest\": \"{config}\",\n            \
         \"length\": 2,\n            \"repository\": \"team/app\",\n            \"url\": \"http://localhost/v2/team/app/blobs/{config}\"\n         }},\n         \
         \"request\": {{\n            \"id\": \"{}\",\n            \"addr\": \"{}\",\n            \"host\": \"localhost\",\n            \"method\": \"POST\",\n            \
         \"useragent\": \"\"\n         }},\n         \"actor\": {{}},\n         \"source\": {{\n            \"addr\": \"{}\",\n            \"instanceID\": \"{}\"\n         }}\n      }}\n   ]\n}}",
        word("/id"),
        word("/timestamp"),
        word("/request/id"),
        word("/request/addr"),
        word("/source/addr"),
        word("/source/instanceID"),
    );
    assert_eq!(text, expected);
    assert!(word("/source/addr").ends_with(&format!(":{}", registry.address.port())));

    let layer = next(&told);
    assert_eq!((&layer["action"], &layer["target"]["size"]), (&json!("push"), &json!(5)));
    let manifest = next(&told);
    let target = &manifest["target"];
    assert_eq!((&manifest["action"], &target["tag"]), (&json!("push"), &json!("v1")));
    assert_eq!((&target["digest"], &target["size"]), (&json!(digest.as_str()), &json!(size)));
    assert_eq!(target["mediaType"], media_type::OCI_MANIFEST);
    assert_eq!(target["references"].as_array().map(Vec::len), Some(2));
    let pull = next(&told);
    assert_eq!(
        (&pull["action"], &pull["target"]["tag"], &pull["request"]["method"]),
        (&json!("pull"), &json!("v1"), &json!("GET"))
    );

    let layer = Digest::of(b"layer");
    let mount = format!("/v2/other/blobs/uploads/?mount={layer}&from=team/app");
    assert_eq!(registry.ask("POST", &mount, &[], b"").status, 201);
    let event = next(&told);
    assert_eq!((&event["action"], &event["target"]["fromRepository"]), (&json!("mount"), &json!("team/app")));
    registry.get(&format!("/v2/other/blobs/{layer}"));
    assert_eq!(next(&told)["action"], "pull");
    // What is no push yet, and what failed, is not told of.
    let begun = registry.ask("POST", "/v2/other/blobs/uploads/", &[], b"");
    registry.ask("PATCH", begun.header("location"), &[], b"x");
    registry.get("/v2/other/manifests/none");
    registry.ask("DELETE", &format!("/v2/other/blobs/{layer}"), &[], b"");
    let event = next(&told);
    assert_eq!(
        (&event["action"], &event["target"]),
        (&json!("delete"), &json!({ "digest": layer.as_str(), "repository": "other" }))
    );
    registry.ask("DELETE", "/v2/team/app/manifests/v1", &[], b"");
    let event = next(&told);
    assert_eq!(event["target"], json!({ "tag": "v1", "repository": "team/app" }));

    // The other one wanted less.
    let heard: Vec<_> = (0..3).map(|_| next(&few)["action"].clone()).collect();
    assert_eq!(heard, ["push", "delete", "delete"]);
}

#[test]
fn what_happened_while_nobody_listened_is_told_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let with = || {
        let endpoints = vec![endpoint("hook", &format!("http://{address}/"))];
        let notifications = Notifications { endpoints, references: false };
        Settings { notifications, ..settings(directory.path()) }
    };
    let first = Registry::start(with());
    for number in 0..20 {
        first.push("a", format!("blob {number}").as_bytes());
    }
    drop(first);
    // Two processes; only one of them sends.
    let (second, _third) = (Registry::start(with()), Registry::start(with()));
    second.push("a", b"blob 20");
    let told = listen(TcpListener::bind(address).unwrap(), 0);
    for number in 0..=20 {
        let digest = Digest::of(format!("blob {number}").as_bytes());
        assert_eq!(next(&told)["target"]["digest"], digest.as_str(), "{number}");
    }
    assert!(told.recv_timeout(Duration::from_millis(300)).is_err(), "an event came twice");
    let left = std::fs::read_dir(directory.path().join("events/hook")).unwrap().flatten();
    assert_eq!(left.filter(|entry| entry.file_name() != ".lock").count(), 0);
}
