//! Clients that mean no good, and those that do not know better: each gets its refusal, and the others are served.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::kit::{DEADLINE, Served, binary};

fn served(home: &std::path::Path) -> Served {
    let configuration = format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n",
        home.join("data").display()
    );
    Served::start(binary(), &home.join("served"), &configuration)
}

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", served.port)).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
    stream
}

/// The first line of the answer to what is sent, however much of that is taken.
fn status(served: &Served, request: &[u8]) -> String {
    let mut stream = connect(served);
    let _ = stream.write_all(request);
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn heads_that_never_end_keep_nobody_from_being_served() {
    let directory = testkit::directory();
    let served = served(directory.path());
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect(&served)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("send a beginning");
    }
    assert_eq!(served.ask("GET", "/v2/", b"").0, 200);
    // Thirty seconds are enough for a head.
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let text = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
}

#[test]
fn heads_and_manifests_that_are_too_large_are_refused() {
    let directory = testkit::directory();
    let served = served(directory.path());
    let mut giant = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Giant: ".to_vec();
    giant.resize(8 << 20, b'x');
    let line = status(&served, &giant);
    assert!(line.is_empty() || line.contains(" 431 "), "{line}");
    let many: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let line = status(&served, format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes());
    assert!(line.contains(" 431 ") || line.contains(" 400 "), "{line}");
    // Announced, and not.
    let line =
        status(&served, b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n");
    assert!(line.contains(" 413 "), "{line}");
    let mut stream = connect(&served);
    stream
        .write_all(b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let mut sent = 0;
    let mut piece = b"10000\r\n".to_vec();
    piece.resize(7 + 0x10000, b' ');
    piece.extend(b"\r\n");
    while sent < 100 << 20 && stream.write_all(&piece).is_ok() {
        sent += 0x10000;
    }
    assert!(sent < 32 << 20, "{sent} bytes of a manifest were taken");
    assert_eq!(served.ask("GET", "/v2/", b"").0, 200);
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let directory = testkit::directory();
    let served = served(directory.path());
    std::fs::write(directory.path().join("secret"), "s").unwrap();
    for path in [
        "/v2/../../../secret/manifests/x",
        "/v2/..%2f..%2f/manifests/x",
        "/v2/%2e%2e/%2e%2e/blobs/uploads/",
        "/v2/a/../../b/tags/list",
        "/v2/a/manifests/..%2f..%2fx",
        "/v2/a/blobs/sha256:../../../../secret",
        "/v2/a/blobs/uploads/../../../../secret",
        "/v2/a/blobs/uploads/..%2f..%2fsecret",
        "/v2/a/referrers/sha256:..%2f..",
        "/r/../../secret",
        "/v2/a%00b/tags/list",
    ] {
        for method in ["GET", "PUT", "POST", "DELETE"] {
            let (status, head, body) = served.ask(method, path, b"");
            assert!((400..500).contains(&status), "{method} {path}: {head}");
            assert!(!body.starts_with(b"s"), "{path}");
        }
    }
    let names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}
