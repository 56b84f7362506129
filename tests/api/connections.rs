//! The connection itself: heads and bodies that are unusual or wrong, and clients that go.

use super::*;

#[track_caller]
fn lives(house: &House) {
    assert_eq!(house.get("/_ping").text(), "OK");
}

#[test]
fn odd_clients_harm_nobody() {
    let house = House::new();
    // A head without end, sent for ever: refused, closed, or both.
    let mut stream = house.connect();
    let sent =
        stream.write_all(format!("GET /_ping HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(4 << 20)).as_bytes());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    assert!(
        answer.starts_with(b"HTTP/1.1 431")
            || answer.starts_with(b"HTTP/1.1 400")
            || sent.is_err()
            || read.is_err(),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    lives(&house);
    // A hijacking request with a giant head is looked at before hyper sees it.
    let mut stream = house.connect();
    let _ = stream.write_all(
        format!("POST /containers/x/attach HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(4 << 20)).as_bytes(),
    );
    let _ = stream.read_to_end(&mut Vec::new());
    lives(&house);
    // Twenty that say half a word and wait: others are served meanwhile.
    let idle: Vec<_> = (0..20)
        .map(|n| {
            let mut stream = house.connect();
            stream.write_all(&b"POST /containers/x/attach HTT"[..n]).expect("send");
            stream
        })
        .collect();
    lives(&house);
    drop(idle);
    let nonsense = house.raw(b"\x16\x03\x01\x02\x00 nonsense\r\n\r\n");
    assert!(nonsense.is_empty() || nonsense.starts_with(b"HTTP/1.1 400"), "{nonsense:?}");
    // A client that has closed its side still gets its answer.
    let mut stream = house.connect();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").expect("send");
    stream.shutdown(Shutdown::Write).expect("half-close");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in time");
    assert!(answer.ends_with("OK"), "{answer}");
}

#[test]
fn bodies_come_in_any_form() {
    let house = House::new();
    let body = json!({"Image": "bb", "Cmd": ["true"]}).to_string();
    let head = "POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let (first, second) = body.split_at(7);
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    assert_eq!(parse(&house.raw(chunked.as_bytes())).status, 201);
    for (kind, status) in [("application/json; charset=utf-8", 201), ("text/plain", 400), ("", 400)] {
        let request = format!(
            "POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = parse(&house.raw(request.as_bytes()));
        assert_eq!(answer.status, status, "{kind}: {}", answer.text());
    }
    // A body that is only sent when it is wanted.
    let mut stream = house.connect();
    let waits = format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(waits.as_bytes()).expect("send");
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).expect("an answer in time");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).expect("send");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer in time");
    assert_eq!(parse(&answer).status, 201);
    // An upload that breaks off makes no image.
    let mut stream = house.connect();
    let upload =
        "POST /images/create?fromSrc=-&repo=half HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(upload.as_bytes()).expect("send");
    stream.write_all(&[0; 700]).expect("send");
    drop(stream);
    lives(&house);
    assert_eq!(house.get("/images/half/json").status, 404);
}

#[test]
fn clients_that_go_are_noticed() {
    let house = House::new();
    let id = house.create("one", "while :; do sleep 1000; done", json!({}));
    house.start("one");
    for request in [
        "GET /events HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        format!("GET /containers/{id}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("POST /containers/{id}/wait HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("POST /containers/{id}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let mut stream = house.connect();
        stream.write_all(request.as_bytes()).expect("send");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer in time");
        assert_eq!(&head, b"HTTP/1.1 200", "{request}");
    }
    until("nobody listens to events", || house.get("/info").json()["NEventsListener"] == 0);
    let running = &house.get("/containers/one/json").json()["State"]["Running"];
    assert_eq!(running, true);
}
