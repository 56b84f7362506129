//! Other registries behind this one: fetched once, kept, and served when nobody answers there.

mod kit;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use oci::Digest;
use registry::{Settings, Upstream};
use serde_json::json;

use kit::{Answer, Registry, noise, settings, wait_until};

fn upstream(address: SocketAddr, place: &str) -> Upstream {
    Upstream {
        place: place.into(),
        namespace: Some(place.to_owned()).filter(|name| !name.is_empty()),
        url: format!("http://{address}"),
        username: String::new(),
        password: String::new(),
        ttl: None,
    }
}

fn cache(root: &Path, upstreams: Vec<Upstream>) -> Registry {
    Registry::start(Settings { upstreams, ..settings(root) })
}

/// How many requests of a kind a registry has answered well.
fn answered(registry: &Registry, handler: &str, method: &str) -> usize {
    let text = String::from_utf8(registry.get("/metrics").body).unwrap();
    let start = format!(
        "wharf_registry_http_request_duration_seconds_count{{handler=\"{handler}\",method=\"{method}\",code=\"200\"}} "
    );
    text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or(0)
}

#[test]
fn what_another_registry_has_is_fetched_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let origin = Registry::start(settings(&path("origin")));
    let bytes = noise(5_000_000);
    let image = origin.image("team/app", "v1", &bytes);
    let layer = Digest::of(&bytes);
    let here = cache(&path("cache"), vec![upstream(origin.address, "far.example")]);

    // Asked for, but not for itself.
    let blob = format!("/v2/far.example/team/app/blobs/{layer}");
    let head = here.ask("HEAD", &blob, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, "5000000"));
    assert_eq!(answered(&origin, "blob", "GET"), 0);
    let manifest = here.get("/v2/far.example/team/app/manifests/v1");
    assert_eq!(manifest.header("docker-content-digest"), image.as_str());
    // Many at once are one there, and each gets all of it, or its part.
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| here.get(&blob).body)).collect();
        let part = scope.spawn(|| here.ask("GET", &blob, &[("Range", "bytes=1000000-1999999")], b""));
        for one in all {
            assert!(one.join().unwrap() == bytes);
        }
        let part = part.join().unwrap();
        assert_eq!((part.status, part.body == bytes[1_000_000..2_000_000]), (206, true));
    });
    assert_eq!(answered(&origin, "blob", "GET"), 1);
    // In the name of the other one, as containerd asks.
    let named = here.get("/v2/team/app/manifests/v1?ns=far.example");
    assert_eq!(Digest::of(&named.body), image);
    assert_eq!(here.get("/v2/team/app/manifests/v1?ns=other.example").code(), "NAME_UNKNOWN");
    assert_eq!(here.get("/v2/team/app/manifests/v1").code(), "MANIFEST_UNKNOWN");
    // Nothing is pushed into it; beside it, as ever.
    let refused = here.ask("POST", "/v2/far.example/team/app/blobs/uploads/", &[], b"");
    assert_eq!((refused.status, refused.code().as_str()), (405, "UNSUPPORTED"));
    here.image("own/app", "v1", b"own");

    // A tag that means something else by now is noticed.
    let moved = origin.image("team/app", "v1", b"newer");
    let manifest = here.get("/v2/far.example/team/app/manifests/v1");
    assert_eq!(Digest::of(&manifest.body), moved);
    origin.image("team/app", "v2", b"never asked for");
    assert_eq!(here.get("/v2/far.example/team/app/tags/list").json()["tags"], json!(["v1", "v2"]));
    assert_eq!(here.get("/v2/far.example/none/manifests/v1").code(), "MANIFEST_UNKNOWN");
    assert_eq!(
        here.get(&format!("/v2/far.example/team/app/blobs/{}", Digest::of(b"no"))).code(),
        "BLOB_UNKNOWN"
    );

    // Nobody answers there any more: what was fetched is still here, also for the next process.
    let address = origin.address;
    drop(origin);
    drop(here);
    let here = cache(&path("cache"), vec![upstream(address, "far.example")]);
    assert_eq!(Digest::of(&here.get("/v2/far.example/team/app/manifests/v1").body), moved);
    assert_eq!(Digest::of(&here.get(&format!("/v2/far.example/team/app/manifests/{image}")).body), image);
    assert!(here.get(&blob).body == bytes);
    assert_eq!(here.get("/v2/far.example/team/app/tags/list").json()["tags"], json!(["v1"]));
    assert_eq!(here.get("/v2/far.example/team/app/manifests/v2").code(), "UNAVAILABLE");
}

#[test]
fn what_was_fetched_is_given_up_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Registry::start(settings(&directory.path().join("origin")));
    origin.image("app", "v1", b"layer");
    let layer = Digest::of(b"layer");
    let upstream = Upstream { ttl: Some(Duration::from_secs(1)), ..upstream(origin.address, "") };
    let root = directory.path().join("cache");
    let here = cache(&root, vec![upstream]);
    assert_eq!(here.get(&format!("/v2/app/blobs/{layer}")).body, b"layer");
    assert_eq!(here.get("/v2/app/manifests/v1").status, 200);
    let data = root.join("docker/registry/v2/blobs/sha256").join(&layer.hex()[..2]).join(layer.hex());
    assert!(data.exists());
    wait_until("it is given up", || !data.exists());
    // It is fetched again.
    assert_eq!(here.get(&format!("/v2/app/blobs/{layer}")).body, b"layer");
}

/// One blob, of a server that sends what it is told to send.
struct Fake {
    address: SocketAddr,
    /// How many bytes to send of each answer, before its connection ends; the next answer waits for the next number.
    send: mpsc::Sender<usize>,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    fn start(bytes: Vec<u8>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (send, numbers) = mpsc::channel();
        let (numbers, asked) = (Arc::new(Mutex::new(numbers)), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (bytes, numbers, count) = (bytes.clone(), numbers.clone(), count.clone());
                std::thread::spawn(move || answer(&stream, &bytes, &numbers, &count));
            }
        });
        Fake { address, send, asked }
    }
}

fn answer(stream: &TcpStream, bytes: &[u8], numbers: &Mutex<mpsc::Receiver<usize>>, asked: &AtomicUsize) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut out = stream;
    while let Some(first) = lines.next() {
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let range = head.iter().find_map(|line| {
            line.to_lowercase().strip_prefix("range: bytes=")?.trim_end_matches('-').parse().ok()
        });
        let from: usize = range.unwrap_or(0);
        if first.starts_with("GET /v2/ ") {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            continue;
        }
        let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\r\n",
            bytes.len() - from,
            bytes.len() - 1,
            bytes.len()
        );
        let _ = out.write_all(answer.as_bytes());
        if first.starts_with("HEAD") {
            continue;
        }
        asked.fetch_add(1, Ordering::SeqCst);
        let Ok(to) = numbers.lock().unwrap().recv() else { return };
        let _ = out.write_all(&bytes[from..to.min(bytes.len())]);
        if to < bytes.len() {
            // Held open until the test says how it ends.
            let _ = numbers.lock().unwrap().recv();
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

#[test]
fn a_client_gets_what_has_come_before_all_has() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(1_000_000);
    let digest = Digest::of(&bytes);
    let fake = Fake::start(bytes.clone());
    let here = cache(directory.path(), vec![upstream(fake.address, "")]);
    let ask = || {
        let mut stream = here.connect();
        let head = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    fake.send.send(400_000).unwrap();
    let mut first = ask();
    // The beginning is here while the end is nowhere.
    let mut got = vec![0; 300_000];
    std::io::Read::read_exact(&mut first, &mut got).unwrap();
    let start = got.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(got[start..] == bytes[..got.len() - start]);
    let mut second = ask();
    // The first connection breaks off; it goes on from there, for both.
    fake.send.send(0).unwrap();
    fake.send.send(bytes.len()).unwrap();
    std::io::Read::read_to_end(&mut first, &mut got).unwrap();
    assert!(got[start..] == bytes);
    assert!(Answer::read(&mut second).body == bytes);
    assert_eq!(fake.asked.load(Ordering::SeqCst), 2);
    // From here, from now on.
    assert!(here.get(&format!("/v2/a/blobs/{digest}")).body == bytes);
    assert_eq!(fake.asked.load(Ordering::SeqCst), 2);
}

#[test]
fn what_an_upstream_lies_about_is_not_kept_and_not_whole() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(noise(100_000));
    let here = cache(directory.path(), vec![upstream(fake.address, "")]);
    let promised = Digest::of(b"something else");
    fake.send.send(100_000).unwrap();
    let mut stream = here.connect();
    let head = format!("GET /v2/a/blobs/{promised} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut got = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut got);
    let body = got.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| got.len() - at - 4);
    assert!(body < 100_000, "all of it was sent");
    let blobs = directory.path().join("docker/registry/v2/blobs/sha256");
    assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0);
}
