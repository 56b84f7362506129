//! The registry over a bucket: of moto's S3 server, from PyPI. Two registries on one bucket know nothing of each other, as two
//! processes would.

mod kit;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use registry::{BucketSettings, Settings};

use kit::{Registry, noise, settings};

const MOTO: &str = "moto[s3]==5.2.5";
/// What its server needs; its own list for that is of all services, and takes minutes.
const SERVER: [&str; 2] = ["flask", "flask-cors"];

/// moto's server on a port of loopback, with one bucket.
struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    fn start() -> Moto {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", installed())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Moto { child, port };
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "moto does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto.ask("PUT", "/bucket");
        moto
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// All that is in the bucket, and uploads that are not at their end.
    fn keys(&self) -> Vec<String> {
        let listed = self.ask("GET", "/bucket?list-type=2") + &self.ask("GET", "/bucket?uploads");
        listed.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    fn settings(&self, redirect: bool) -> Settings {
        let bucket = BucketSettings {
            bucket: "bucket".into(),
            region: "us-east-1".into(),
            endpoint: format!("http://127.0.0.1:{}", self.port),
            path_style: true,
            access_key: "a".into(),
            secret_key: "s".into(),
            session_token: None,
            chunk_bytes: 5 << 20,
            root: "below".into(),
            storage_class: None,
            encrypt: false,
            key_id: None,
            redirect,
        };
        Settings { bucket: Some(bucket), ..settings(Path::new("/nowhere")) }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Once for all runs: whole, or not at all.
fn installed() -> std::path::PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(MOTO);
    if !place.exists() {
        let staging = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MOTO]);
        pip.args(SERVER).arg("--target");
        assert!(pip.arg(staging.path().join("moto")).status().unwrap().success(), "pip install {MOTO}");
        // Another run may have been faster.
        let _ = std::fs::rename(staging.path().join("moto"), &place);
    }
    place
}

/// The test script asks the registries first, and says in its end what it could not get; by hand it is an error.
fn is_out_of_reach() -> bool {
    std::env::var("WHARF_TEST_WITHOUT").is_ok_and(|without| without.split(' ').any(|name| name == "moto"))
}

#[test]
fn images_come_back_from_a_bucket() {
    if is_out_of_reach() {
        return;
    }
    let moto = Moto::start();
    let registry = Registry::start(moto.settings(false));
    // Three parts and a piece, one that fits a part exactly, and none.
    for bytes in [noise((16 << 20) + 3), noise(5 << 20), Vec::new()] {
        let digest = registry.push("team/app", &bytes);
        let path = format!("/v2/team/app/blobs/{digest}");
        let answer = registry.get(&path);
        assert!(answer.status == 200 && answer.body == bytes, "{}", answer.status);
        let head = registry.ask("HEAD", &path, &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, bytes.len().to_string().as_str()));
        if bytes.len() > 100 {
            let part = registry.ask("GET", &path, &[("Range", "bytes=7-99")], b"");
            assert_eq!((part.status, part.body == bytes[7..100]), (206, true));
        }
    }
    let image = registry.image("team/app", "1", b"layer");
    // Another process, which sends clients to the bucket.
    let second = Registry::start(moto.settings(true));
    let tag = second.get("/v2/team/app/manifests/1");
    assert_eq!((tag.status, tag.header("docker-content-digest")), (200, image.as_str()));
    assert!(String::from_utf8_lossy(&second.get("/v2/_catalog").body).contains("\"team/app\""));
    let layer = second.push("team/app", b"layer");
    let sent = second.get(&format!("/v2/team/app/blobs/{layer}"));
    assert_eq!(sent.status, 307);
    let address =
        sent.header("location").strip_prefix(&format!("http://127.0.0.1:{}", moto.port)).unwrap().to_owned();
    assert!(address.starts_with("/bucket/below/docker/registry/v2/blobs/sha256/"), "{address}");
    assert!(moto.ask("GET", &address).ends_with("\r\n\r\nlayer"));
    assert_eq!(second.ask("HEAD", &format!("/v2/team/app/blobs/{layer}"), &[], b"").status, 200);

    // A wrong digest leaves nothing.
    let wrong = oci::Digest::of(b"something else");
    let refused =
        registry.ask("POST", &format!("/v2/team/app/blobs/uploads/?digest={wrong}"), &[], &noise(6 << 20));
    assert_eq!(refused.code(), "DIGEST_INVALID");
    assert!(!moto.keys().iter().any(|key| key.contains("_uploads")), "{:?}", moto.keys());

    // Collected is what nobody has: the first three blobs, which no image names, once they are taken out.
    let storage = moto.settings(false).storage().unwrap();
    assert_eq!(
        storage.collect(Duration::from_secs(3600), false, false).unwrap().blobs.len(),
        0,
        "all are young"
    );
    for bytes in [noise((16 << 20) + 3), noise(5 << 20), Vec::new()] {
        let path = format!("/v2/team/app/blobs/{}", oci::Digest::of(&bytes));
        assert_eq!(registry.ask("DELETE", &path, &[], b"").status, 202);
    }
    std::thread::sleep(Duration::from_millis(1100));
    let dry = storage.collect(Duration::ZERO, false, true).unwrap();
    let collected = storage.collect(Duration::ZERO, false, false).unwrap();
    assert_eq!(dry, collected);
    assert_eq!(collected.blobs.len(), 3, "{collected:?}");
    assert_eq!(second.get("/v2/team/app/manifests/1").status, 200);
    assert_eq!(second.ask("HEAD", &format!("/v2/team/app/blobs/{layer}"), &[], b"").status, 200);
}

#[test]
fn an_upload_is_continued_by_another_process() {
    if is_out_of_reach() {
        return;
    }
    let moto = Moto::start();
    let bytes = noise((13 << 20) + 17);
    let digest = oci::Digest::of(&bytes);
    let first = Registry::start(moto.settings(false));
    let begun = first.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(begun.status, 202);
    let location = begun.header("location").to_owned();
    // Pieces that fit no part: what is left over is kept with each.
    let mut position = 0;
    for length in [10, 3 << 20, (4 << 20) + 1] {
        let piece = first.ask("PATCH", &location, &[], &bytes[position..position + length]);
        position += length;
        assert_eq!((piece.status, piece.header("range")), (202, format!("0-{}", position - 1).as_str()));
    }
    // Whoever began it is no more.
    drop(first);
    let second = Registry::start(moto.settings(false));
    let status = second.get(&location);
    assert_eq!((status.status, status.header("range")), (204, format!("0-{}", position - 1).as_str()));
    let wrong = second.ask("PATCH", &location, &[("Content-Range", "0-9")], &bytes[..10]);
    assert_eq!(wrong.status, 416);
    let piece = second.ask("PATCH", &location, &[], &bytes[position..position + 100]);
    assert_eq!(piece.status, 202);
    position += 100;
    // A third one ends it, and has seen none of it but the end.
    let third = Registry::start(moto.settings(false));
    let done = third.ask("PUT", &format!("{location}?digest={digest}"), &[], &bytes[position..]);
    assert_eq!(done.status, 201, "{done:?}");
    assert!(second.get(&format!("/v2/a/blobs/{digest}")).body == bytes);
    assert!(!moto.keys().iter().any(|key| key.contains("_uploads")), "{:?}", moto.keys());
    // One that is given up leaves nothing either, also no parts.
    let begun = second.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    let location = begun.header("location").to_owned();
    assert_eq!(second.ask("PATCH", &location, &[], &bytes[..6 << 20]).status, 202);
    assert!(moto.keys().iter().any(|key| key.contains("_uploads")));
    assert_eq!(third.ask("DELETE", &location, &[], b"").status, 204);
    assert!(!moto.keys().iter().any(|key| key.contains("_uploads")), "{:?}", moto.keys());
    assert_eq!(second.get(&location).status, 404);
}
