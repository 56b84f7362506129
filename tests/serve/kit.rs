//! A registry of ours in a process of its own, and images to put into it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci::Digest;
use testkit::Output;

/// Long enough for a machine that is busy with other tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharf"))
}

#[track_caller]
pub(crate) fn good(output: Output) -> String {
    assert_eq!(output.status, 0, "{output:?}");
    output.stdout.trim_end().to_owned()
}

#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(PAUSE);
    }
}

/// A server on a port of loopback; killed when it is dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) port: u16,
    log: PathBuf,
}

impl Served {
    /// Ours, or Debian's docker-registry, which have the same command line. `{port}` in the configuration is one that was
    /// free; the file and what the server says lie in the directory.
    pub(crate) fn start(program: &Path, directory: &Path, configuration: &str) -> Served {
        std::fs::create_dir_all(directory).expect("make a directory");
        let (file, log) = (directory.join("config.yml"), directory.join("log"));
        // Somebody else may take the port in between.
        for _ in 0..5 {
            let port = free_port();
            let text = configuration.replace("{port}", &port.to_string());
            std::fs::write(&file, text).expect("write a configuration");
            let out = std::fs::File::create(&log).expect("make a log");
            let mut command = Command::new(program);
            if program == binary() {
                command.arg("registry");
            }
            let mut child = command
                .args(["serve".as_ref(), file.as_os_str()])
                .stdin(Stdio::null())
                .stdout(out.try_clone().expect("share the log"))
                .stderr(out)
                .spawn()
                .expect("start a registry");
            let deadline = Instant::now() + DEADLINE;
            loop {
                if child.try_wait().ok().flatten().is_some() {
                    break;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Served { child, port, log };
                }
                assert!(Instant::now() < deadline, "{program:?} does not answer");
                std::thread::sleep(PAUSE);
            }
        }
        panic!("{program:?}: {}", std::fs::read_to_string(log).unwrap_or_default());
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its requests so far, and what it said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Status, head and body of the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connect");
        stream.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.host(),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("ask");
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read the answer");
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer") + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, head, bytes.split_off(end))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("find a port").port()
}

/// An image as an OCI layout on disk, with one layer of these bytes; its tag there is `it`.
pub(crate) fn layout(directory: &Path, layer: &[u8]) -> Digest {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("make a layout");
    let keep = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).expect("write a blob");
        serde_json::json!({ "digest": digest.as_str(), "size": bytes.len() })
    };
    let typed = |kind: &str, mut descriptor: serde_json::Value| {
        descriptor["mediaType"] = format!("application/vnd.oci.image.{kind}").into();
        descriptor
    };
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(layer).as_str()] } });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": typed("config.v1+json", keep(config.to_string().as_bytes())),
        "layers": [typed("layer.v1.tar", keep(layer))],
    });
    let manifest = manifest.to_string();
    let mut descriptor = typed("manifest.v1+json", keep(manifest.as_bytes()));
    descriptor["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "it" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [descriptor] });
    std::fs::write(directory.join("index.json"), index.to_string()).expect("write index.json");
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("write oci-layout");
    Digest::of(manifest.as_bytes())
}

/// A tar of one file.
pub(crate) fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let directory = testkit::directory();
    std::fs::write(directory.path().join(name), content).expect("write a file");
    let tar = Command::new("tar").arg("-C").arg(directory.path()).args(["-cf", "-", name]).output();
    tar.expect("run tar").stdout
}

/// skopeo, without certificates.
pub(crate) fn skopeo(home: &Path, args: &[&str]) -> Output {
    Output::of(Command::new("skopeo").arg("--insecure-policy").args(args).env("HOME", home))
}

/// Copies the image of a layout to `host/name:tag`.
pub(crate) fn put(home: &Path, layout: &Path, target: &str) {
    let (source, target) = (format!("oci:{}:it", layout.display()), format!("docker://{target}"));
    good(skopeo(home, &["copy", "--preserve-digests", "--dest-tls-verify=false", &source, &target]));
}

/// The digest that a registry has under a name.
pub(crate) fn digest_of(home: &Path, name: &str) -> String {
    let source = format!("docker://{name}");
    good(skopeo(home, &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source]))
}
