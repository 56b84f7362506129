//! Black box, by the door of the API: raw HTTP against a private engine, as clients that are not ours speak it.

mod connections;
mod contract;
mod definition;
mod records;
mod registry;
mod requests;
mod states;
mod stats;
mod streams;
mod websocket;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Engine, busybox_image};

/// Long enough for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

/// An engine with the image `bb`, and its directory.
struct House {
    // Dropped first: it checks what is left below the directory.
    engine: Engine,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The value of a header; the name in lower case.
    fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

trait Stream: Read + Write + Send {}
impl Stream for UnixStream {}
impl Stream for TcpStream {}

impl House {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(flags: &[&str]) -> Self {
        let directory = testkit::directory();
        let engine = Engine::start_with(Path::new(env!("CARGO_BIN_EXE_wharf")), directory.path(), flags);
        let tar = busybox_image(directory.path());
        let imported = engine.wharf(&["import", &tar.display().to_string(), "bb"]);
        assert_eq!(imported.status, 0, "{}", imported.stderr);
        Self { engine, _directory: directory }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.engine.socket()).expect("connect");
        stream.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
        stream
    }

    /// Any bytes; what comes back until the other side closes.
    fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request).expect("send");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer in time");
        answer
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n"
        );
        parse(&self.raw(format!("{head}{body}").as_bytes()))
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    /// It must answer so.
    #[track_caller]
    fn post(&self, path: &str, body: Option<&Value>, status: u16) -> Answer {
        let answer = self.ask("POST", path, body);
        assert_eq!(answer.status, status, "POST {path}: {} {}", answer.head, answer.text());
        answer
    }

    /// A container that runs a shell line; its id.
    #[track_caller]
    fn create(&self, name: &str, line: &str, more: Value) -> String {
        let mut body =
            json!({"Image": "bb", "Cmd": ["sh", "-c", line], "HostConfig": {"NetworkMode": "none"}});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let answer = self.post(&format!("/containers/create?name={name}"), Some(&body), 201);
        answer.json()["Id"].as_str().expect("an id").to_owned()
    }

    #[track_caller]
    fn start(&self, name: &str) {
        self.post(&format!("/containers/{name}/start"), None, 204);
    }

    /// Its exit code, once it has ended.
    #[track_caller]
    fn wait(&self, name: &str) -> i64 {
        let answer = self.post(&format!("/containers/{name}/wait"), None, 200);
        answer.json()["StatusCode"].as_i64().expect("a code")
    }
}

/// Head and body, chunks put together.
#[track_caller]
fn parse(bytes: &[u8]) -> Answer {
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no head: {:?}", String::from_utf8_lossy(bytes));
    });
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut body = bytes[at + 4..].to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = unchunk(&body);
    }
    Answer { status, head, body }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = bytes.windows(2).position(|w| w == b"\r\n") {
        let length = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..at]), 16).expect("a length");
        let rest = &bytes[at + 2..];
        if length == 0 || rest.len() < length {
            break;
        }
        out.extend_from_slice(&rest[..length]);
        bytes = &rest[length + 2..];
    }
    out
}

/// (stream, bytes) of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut out = Vec::new();
    while bytes.len() >= 8 {
        let length = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        out.push((bytes[0], bytes[8..8 + length].to_vec()));
        bytes = &bytes[8 + length..];
    }
    assert!(bytes.is_empty(), "half a frame: {bytes:?}");
    out
}

/// What one stream of the frames carries.
fn of_stream(bytes: &[u8], stream: u8) -> String {
    let parts: Vec<u8> =
        frames(bytes).into_iter().filter(|(s, _)| *s == stream).flat_map(|(_, b)| b).collect();
    String::from_utf8_lossy(&parts).into_owned()
}

/// Whether it becomes true before the deadline.
#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a hijacking request, then `stdin`, closes that side, and reads to the end: head, and the raw bytes after it.
#[track_caller]
fn hijack(mut stream: impl Stream, half_close: impl Fn(&dyn Stream), request: &str, stdin: &[u8]) -> Answer {
    stream.write_all(request.as_bytes()).expect("send");
    stream.write_all(stdin).expect("send input");
    half_close(&stream);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer in time");
    parse(&answer)
}

#[track_caller]
fn hijack_unix(stream: UnixStream, request: &str, stdin: &[u8]) -> Answer {
    let other = stream.try_clone().expect("clone");
    hijack(stream, |_| other.shutdown(Shutdown::Write).expect("half-close"), request, stdin)
}
