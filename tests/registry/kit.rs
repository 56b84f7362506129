//! A registry, what is in front of it, and images to put into it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use oci::Digest;
use tempfile::TempDir;
use testkit::{Engine, Output, Served};
pub(crate) use testkit::{good, wait_until};

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharf"))
}

/// docker-registry on a port of loopback, with a directory of its own.
pub(crate) struct Registry {
    served: Served,
    pub(crate) port: u16,
    directory: TempDir,
}

impl Registry {
    pub(crate) fn start() -> Registry {
        Self::start_with("")
    }

    /// With more lines of its configuration.
    pub(crate) fn start_with(configuration: &str) -> Registry {
        let directory = testkit::directory();
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{{port}}\n{}",
            directory.path().join("data").display(),
            configuration.replace("DIR", &directory.path().to_string_lossy())
        );
        let served = Served::start(Path::new("docker-registry"), directory.path(), &text);
        Registry { port: served.port, served, directory }
    }

    pub(crate) fn host(&self) -> String {
        self.served.host()
    }

    /// Its requests so far, one line each.
    pub(crate) fn log(&self) -> String {
        self.served.log()
    }

    /// Where it keeps a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let below = format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        self.directory.path().join(below)
    }

    /// Puts an image there, with skopeo: another's client.
    pub(crate) fn put(&self, image: &Layout, name: &str) {
        let target = format!("docker://{}/{name}", self.host());
        let source = format!("oci:{}:it", image.directory.display());
        let copied = Output::of(
            Command::new("skopeo")
                .args(["--insecure-policy", "copy", "--all", "--dest-tls-verify=false", &source, &target])
                .env("HOME", self.directory.path()),
        );
        assert_eq!(copied.status, 0, "{copied:?}");
    }
}

/// A layer's files, by path.
pub(crate) type Files<'a> = &'a [(&'a str, &'a [u8])];

/// An image as an OCI layout on disk.
pub(crate) struct Layout {
    directory: PathBuf,
    pub(crate) manifest: Digest,
    pub(crate) config: Digest,
    pub(crate) layers: Vec<Digest>,
    /// Of all blobs.
    pub(crate) bytes: u64,
}

impl Layout {
    /// Makes one below `directory`, of layers that are tars on disk, compressed with gzip here.
    pub(crate) fn make(directory: &Path, architecture: &str, tars: &[Vec<u8>]) -> Layout {
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("make a layout");
        let mut bytes = 0;
        let mut keep = |content: &[u8]| {
            let digest = Digest::of(content);
            std::fs::write(blobs.join(digest.hex()), content).expect("write a blob");
            bytes += content.len() as u64;
            (digest, content.len())
        };
        let mut layers = Vec::new();
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for tar in tars {
            diff_ids.push(Digest::of(tar).to_string());
            let (digest, size) = keep(&gzip(tar));
            descriptors.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size
            }));
            layers.push(digest);
        }
        let config = serde_json::json!({
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}
        });
        let (config, config_size) = keep(config.to_string().as_bytes());
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
            "layers": descriptors
        });
        let (manifest, manifest_size) = keep(manifest.to_string().as_bytes());
        write_index(directory, "application/vnd.oci.image.manifest.v1+json", &manifest, manifest_size);
        Layout { directory: directory.to_owned(), manifest, config, layers, bytes }
    }

    /// One image of several platforms: `(architecture, its layers' tars)`.
    pub(crate) fn make_index(
        directory: &Path,
        platforms: &[(&str, Vec<Vec<u8>>)],
    ) -> (Layout, BTreeMap<String, Digest>) {
        Self::index_of(directory, platforms, false)
    }

    /// The same, with something attested of each: `attested-ARCHITECTURE` is the digest of that manifest.
    pub(crate) fn make_attested(
        directory: &Path,
        platforms: &[(&str, Vec<Vec<u8>>)],
    ) -> (Layout, BTreeMap<String, Digest>) {
        Self::index_of(directory, platforms, true)
    }

    fn index_of(
        directory: &Path,
        platforms: &[(&str, Vec<Vec<u8>>)],
        attested: bool,
    ) -> (Layout, BTreeMap<String, Digest>) {
        let mut manifests = Vec::new();
        let mut by_architecture = BTreeMap::new();
        let mut last = None;
        for (architecture, tars) in platforms {
            let one = Layout::make(directory, architecture, tars);
            let size =
                std::fs::metadata(directory.join("blobs/sha256").join(one.manifest.hex())).unwrap().len();
            manifests.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": one.manifest, "size": size,
                "platform": {"architecture": architecture, "os": "linux"}
            }));
            by_architecture.insert((*architecture).to_owned(), one.manifest.clone());
            last = Some(one);
        }
        // BuildKit puts them last.
        for (architecture, _) in platforms.iter().filter(|_| attested) {
            let subject = &by_architecture[*architecture];
            let (digest, size) = attestation(directory, architecture, subject);
            manifests.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
                "platform": {"architecture": "unknown", "os": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject}
            }));
            by_architecture.insert(format!("attested-{architecture}"), digest);
        }
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests
        });
        let text = index.to_string();
        let digest = Digest::of(text.as_bytes());
        std::fs::write(directory.join("blobs/sha256").join(digest.hex()), &text).expect("write an index");
        write_index(directory, "application/vnd.oci.image.index.v1+json", &digest, text.len());
        (Layout { manifest: digest, ..last.expect("a platform") }, by_architecture)
    }
}

/// A statement about an image, as BuildKit packs one.
fn attestation(directory: &Path, architecture: &str, subject: &Digest) -> (Digest, usize) {
    let keep = |content: String| {
        let digest = Digest::of(content.as_bytes());
        std::fs::write(directory.join("blobs/sha256").join(digest.hex()), &content).expect("write a blob");
        (digest, content.len())
    };
    let (statement, statement_size) = keep(
        serde_json::json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{"name": architecture, "digest": {"sha256": subject.hex()}}], "predicate": {}
        })
        .to_string(),
    );
    let (config, config_size) = keep(
        serde_json::json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [statement]}
        })
        .to_string(),
    );
    keep(
        serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
            "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": statement, "size": statement_size,
                "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}]
        })
        .to_string(),
    )
}

fn write_index(directory: &Path, kind: &str, digest: &Digest, size: usize) {
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": kind, "digest": digest, "size": size,
            "annotations": {"org.opencontainers.image.ref.name": "it"}}]
    });
    std::fs::write(directory.join("index.json"), index.to_string()).expect("write index.json");
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("write oci-layout");
}

/// Through gzip(1), fast.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    piped(Command::new("gzip").args(["-1", "-n", "-c"]), bytes)
}

fn piped(command: &mut Command, bytes: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start a filter");
    let mut stdin = child.stdin.take().expect("its stdin");
    let bytes = bytes.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("wait for a filter");
    feeding.join().expect("feed a filter").expect("feed a filter");
    output.stdout
}

/// A tar of some files.
pub(crate) fn tar_of(files: Files<'_>) -> Vec<u8> {
    let directory = testkit::directory();
    for (path, content) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
        std::fs::write(path, content).expect("write a file");
    }
    tar_below(directory.path())
}

fn tar_below(directory: &Path) -> Vec<u8> {
    let output = Command::new("tar")
        .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(directory)
        .args(["-cf", "-", "."])
        .output()
        .expect("run tar");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// A tar of busybox, which images of more layers have at the bottom.
pub(crate) fn busybox_tar() -> Vec<u8> {
    let directory = testkit::directory();
    std::fs::read(testkit::busybox_image(directory.path())).expect("read busybox's tar")
}

/// Bytes that do not compress, the same each time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Passes connections on to a registry, counts what goes to clients, and breaks off when told.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    sent: AtomicU64,
    /// Connections end when so much has gone to clients; then this is put out of reach.
    cut_at: AtomicU64,
    closed: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(to: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("a port").port();
        let shared = Arc::new(Shared { cut_at: AtomicU64::new(u64::MAX), ..Shared::default() });
        let all = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if all.closed.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                // What the kernel takes in advance was not sent to anybody.
                rustix::net::sockopt::set_socket_send_buffer_size(&client, 32 << 10).expect("set a buffer");
                let up =
                    (client.try_clone().expect("a descriptor"), server.try_clone().expect("a descriptor"));
                std::thread::spawn(move || {
                    let (mut from, mut to) = up;
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
                let shared = all.clone();
                std::thread::spawn(move || pump(&server, &client, &shared));
            }
        });
        Proxy { port, shared }
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Bytes that clients were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Once this much was sent in all, every connection that sends more is reset, once.
    pub(crate) fn cut_at(&self, bytes: u64) {
        self.shared.cut_at.store(bytes, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) {
    let mut buffer = [0; 16 << 10];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        let cut_at = shared.cut_at.load(Ordering::SeqCst);
        let over = shared.sent.load(Ordering::SeqCst) + n as u64 > cut_at;
        if over
            && shared.cut_at.compare_exchange(cut_at, u64::MAX, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        {
            break;
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        shared.sent.fetch_add(n as u64, Ordering::SeqCst);
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// An engine in a directory of the test's.
pub(crate) fn engine(directory: &Path) -> Engine {
    std::fs::create_dir_all(directory).expect("make the engine's directory");
    Engine::start(binary(), directory)
}

/// `GET`, as a client of the newest API.
pub(crate) fn get(engine: &Engine, path: &str) -> serde_json::Value {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-g", "--unix-socket"]).arg(engine.socket()).arg(format!("http://x{path}"));
    let output = curl.output().expect("run curl");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{path}: {error}: {output:?}"))
}
