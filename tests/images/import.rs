//! Import from a URL, of a server that does what the test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use testkit::{Engine, Output, busybox_image};

use super::{binary, good};

/// Serves one file: `/whole`, `/cut` (broken off twice, can be gone on with), `/torn` (broken off, and cannot), `/moved`,
/// `/secret` (with a password), and nothing else.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(content: Vec<u8>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("a port").port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (all, cuts) = (heads.clone(), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (content, all, cuts) = (content.clone(), all.clone(), cuts.clone());
                std::thread::spawn(move || answer(stream, &content, &all, &cuts));
            }
        });
        Server { port, heads }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn answer(mut stream: TcpStream, content: &[u8], all: &Mutex<Vec<String>>, cuts: &AtomicUsize) {
    let mut head = String::new();
    let mut lines = BufReader::new(stream.try_clone().expect("a descriptor"));
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    all.lock().unwrap().push(head.clone());
    let header = |name: &str| {
        let found = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    };
    let start: usize = header("range")
        .strip_prefix("bytes=")
        .and_then(|range| range.trim_end_matches('-').parse().ok())
        .unwrap_or(0);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let status =
        |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone");
    let (text, end) = match path {
        "/moved" => ("HTTP/1.1 302 Found\r\nLocation: /whole\r\nContent-Length: 0\r\n\r\n".to_owned(), 0),
        "/secret" if header("authorization") != "Basic bWU6cHc=" => (status("401 Unauthorized"), 0),
        "/whole" | "/secret" => {
            (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()), content.len())
        }
        "/torn" => {
            (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()), content.len() / 2)
        }
        "/cut" => {
            let kind = match start {
                0 => "200 OK".to_owned(),
                _ => format!(
                    "206 Partial Content\r\nContent-Range: bytes {start}-{}/{}",
                    content.len() - 1,
                    content.len()
                ),
            };
            let more =
                if cuts.fetch_add(1, Ordering::SeqCst) < 2 { content.len() / 3 } else { content.len() };
            (
                format!(
                    "HTTP/1.1 {kind}\r\nETag: \"one\"\r\nContent-Length: {}\r\n\r\n",
                    content.len() - start
                ),
                content.len().min(start + more),
            )
        }
        _ => (status("404 Not Found"), 0),
    };
    let _ = stream.write_all(text.as_bytes());
    if end > start {
        let _ = stream.write_all(&content[start..end]);
    }
}

#[test]
fn an_image_comes_from_a_url() {
    let directory = testkit::directory();
    let tar = std::fs::read(busybox_image(directory.path())).expect("read busybox's tar");
    let server = Server::start(tar);
    let place = directory.path().join("engine");
    std::fs::create_dir(&place).expect("make the engine's directory");
    let engine = Engine::start(binary(), &place);

    let whole = server.url("/whole");
    let said = good(engine.wharf(&["import", "-c", "CMD [\"echo\",\"hi\"]", &whole, "one"]));
    let id = good(engine.wharf(&["image", "inspect", "-f", "{{.Id}}", "one"]));
    assert_eq!(said, format!("Downloading from {whole}\n{id}"));
    assert_eq!(good(engine.wharf(&["run", "--rm", "one"])), "hi");
    assert_eq!(
        good(engine.wharf(&["history", "--format", "{{.Comment}}", "one"])),
        format!("Imported from {whole}")
    );
    let mut docker = engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    let said =
        good(Output::of(docker.args(["import", "--platform", "linux/arm64", &server.url("/moved"), "two"])));
    assert!(said.contains("Downloading from "), "{said}");
    assert_eq!(good(engine.wharf(&["image", "inspect", "-f", "{{.Architecture}}", "two"])), "arm64");

    // Broken off twice, and gone on with where it was.
    good(engine.wharf(&["import", &server.url("/cut"), "three"]));
    let ranges =
        server.heads.lock().unwrap().iter().filter(|head| head.contains("\r\nif-range: \"one\"")).count();
    assert_eq!(ranges, 2);
    let layers =
        |name: &str| good(engine.wharf(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", name]));
    assert_eq!(layers("three"), layers("one"));

    // Who asks is told to that server, and to nobody who has the image.
    let secret = server.url("/secret").replace("//", "//me:pw@");
    let said = good(engine.wharf(&["import", &secret, "four"]));
    assert!(said.starts_with(&format!("Downloading from {}\n", server.url("/secret"))), "{said}");
    assert!(!good(engine.wharf(&["history", "--no-trunc", "four"])).contains("pw"));
    assert!(!engine.log().contains("me:pw"));
}

#[test]
fn what_does_not_come_whole_leaves_nothing() {
    let directory = testkit::directory();
    let tar = std::fs::read(busybox_image(directory.path())).expect("read busybox's tar");
    let server = Server::start(tar);
    let junk = Server::start(b"<html>this is no archive, whatever the server says</html>".repeat(40));
    let place = directory.path().join("engine");
    std::fs::create_dir(&place).expect("make the engine's directory");
    let engine = Engine::start(binary(), &place);
    for (url, why) in [
        (
            server.url("/nosuch"),
            format!("failed to GET {} with status 404 Not Found: none", server.url("/nosuch")),
        ),
        (server.url("/secret"), "with status 401 Unauthorized".to_owned()),
        (server.url("/torn"), format!("Get \"{}\": EOF", server.url("/torn"))),
        (junk.url("/whole"), "invalid tar header".to_owned()),
        ("http://127.0.0.1:1/x".to_owned(), "dial tcp 127.0.0.1:1: connect: connection refused".to_owned()),
    ] {
        let said = engine.wharf(&["import", &url, "half"]);
        assert!(said.status == 1 && said.stderr.contains(&why), "{url}: {said:?}");
        assert_eq!(good(engine.wharf(&["images", "-aq"])), "", "{url}");
    }
    for place in [
        "content/blobs/sha256",
        "content/ingest",
        "content/partial",
        "snapshots/overlay/layers",
        "snapshots/overlay/tmp",
    ] {
        let left = std::fs::read_dir(engine.directory().join("data").join(place)).expect("list it").count();
        assert_eq!(left, 0, "{place}");
    }
}
