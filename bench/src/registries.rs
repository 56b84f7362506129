//! Registries: blobs at the speed of loopback, and manifests for a thousand clients at once. Ours beside Debian's
//! docker-registry, over plain sockets, so that no client's work is in the figures but reading.

use std::io::{BufRead, BufReader, Error, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Options;
use crate::measure::Samples;
use crate::table::Row;

const BLOB_BYTES: usize = 1 << 30;
const STREAMS: usize = 2;
const CLIENTS: usize = 1000;
const LOAD: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
/// A client needs little; a thousand of the usual stacks would be much.
const STACK_BYTES: usize = 128 << 10;

struct Server {
    name: &'static str,
    child: Child,
    port: u16,
    command: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn all(rows: &mut Vec<Row>, options: &Options) -> Result<(), Error> {
    let ours = vec![options.wharf.clone(), "registry".into()];
    for (name, program) in [("wharf", ours), ("docker-registry", vec!["docker-registry".into()])] {
        if options.without.iter().any(|other| other == name) {
            continue;
        }
        let server = match start(name, &program, &options.dir.join(format!("registry-{name}"))) {
            Ok(server) => server,
            Err(error) if name != "wharf" => {
                eprintln!("left out: {name}: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        blobs(rows, options, &server)?;
        manifests(rows, &server)?;
    }
    Ok(())
}

fn start(name: &'static str, program: &[String], dir: &Path) -> Result<Server, Error> {
    std::fs::create_dir_all(dir)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let file = dir.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n\
         http: {{addr: '127.0.0.1:{port}'}}\n",
        dir.join("data").display()
    );
    std::fs::write(&file, text)?;
    let (first, rest) = program.split_first().ok_or_else(|| Error::other("no program"))?;
    let mut command = Command::new(first);
    command.args(rest).arg("serve").arg(&file);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let line = format!("{} serve config.yml", program.join(" "));
    let server = Server { name, child, port, command: line };
    let deadline = Instant::now() + PATIENCE;
    while server.connect().is_err() {
        if Instant::now() > deadline {
            return Err(Error::other("it does not answer"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}

impl Server {
    fn connect(&self) -> Result<TcpStream, Error> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Pushes a blob; its digest.
    fn push(&self, dir: &Path, bytes: &[u8]) -> Result<String, Error> {
        let digest = digest(dir, bytes)?;
        let mut stream = BufReader::new(self.connect()?);
        let (status, head) = ask(&mut stream, "POST", "/v2/bench/blobs/uploads/", &[], b"")?;
        let location = head
            .iter()
            .find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("location")));
        let (_, location) = location.ok_or_else(|| Error::other(format!("POST: {status}")))?;
        // Some give a whole address.
        let path = location.find("/v2/").map_or(location, |at| &location[at..]);
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}digest={digest}");
        match ask(&mut stream, "PUT", &path, &["Content-Type: application/octet-stream"], bytes)?.0 {
            201 => Ok(digest),
            status => Err(Error::other(format!("{}: a push was answered with {status}", self.name))),
        }
    }
}

fn blobs(rows: &mut Vec<Row>, options: &Options, server: &Server) -> Result<(), Error> {
    let bytes: Vec<u8> =
        (0..BLOB_BYTES as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let digest = server.push(&options.dir, &bytes)?;
    drop(bytes);
    let path = format!("/v2/bench/blobs/{digest}");
    for (case, streams) in [("1 GiB blob from a registry", 1), ("1 GiB blob, twice at once", STREAMS)] {
        let mut samples = Samples::default();
        for round in 0..=options.rounds.min(7) {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                let all: Vec<_> = (0..streams).map(|_| scope.spawn(|| drain(server, &path))).collect();
                let mut read = all.into_iter().map(|one| one.join());
                read.try_for_each(|one| one.unwrap_or_else(|_| Err(Error::other("a client panicked"))))
            })?;
            let rate = (streams * BLOB_BYTES) as f64 / begun.elapsed().as_secs_f64() / 1e9;
            if round > 0 {
                samples.push(rate);
            }
        }
        let (contender, command) = (server.name.to_owned(), server.command.clone());
        rows.push(Row { case, contender, unit: "GB/s", samples, command });
    }
    Ok(())
}

/// Reads a blob and throws it away.
fn drain(server: &Server, path: &str) -> Result<(), Error> {
    let mut stream = BufReader::with_capacity(1 << 20, server.connect()?);
    send(stream.get_mut(), "GET", path, &[], b"")?;
    let (status, head) = head(&mut stream)?;
    if status != 200 {
        return Err(Error::other(format!("{path}: {status}")));
    }
    let mut left = length(&head);
    while left > 0 {
        let read = stream.fill_buf()?.len();
        if read == 0 {
            return Err(Error::other(format!("{path}: {left} bytes are missing")));
        }
        stream.consume(read);
        left -= read;
    }
    Ok(())
}

fn manifests(rows: &mut Vec<Row>, server: &Server) -> Result<(), Error> {
    let dir = std::env::temp_dir();
    let config = server.push(&dir, b"{}")?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{kind}\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\
         \"digest\":\"{config}\",\"size\":2}},\"layers\":[]}}"
    );
    let mut stream = BufReader::new(server.connect()?);
    let path = "/v2/bench/manifests/latest";
    let header = format!("Content-Type: {kind}");
    let (status, _) = ask(&mut stream, "PUT", path, &[&header], manifest.as_bytes())?;
    if status != 201 {
        return Err(Error::other(format!("{}: a manifest was answered with {status}", server.name)));
    }
    let accept = format!("Accept: {kind}");
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let ready = Barrier::new(CLIENTS + 1);
    let seconds = std::thread::scope(|scope| {
        let client = || {
            let connected = server.connect();
            ready.wait();
            let mut stream = BufReader::with_capacity(4 << 10, connected?);
            while !stop.load(Ordering::Relaxed) {
                let (status, _) = ask(&mut stream, "GET", path, &[&accept], b"")?;
                if status != 200 {
                    return Err(Error::other(format!("{path}: {status}")));
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let mut all = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            all.push(std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, client)?);
        }
        ready.wait();
        let begun = Instant::now();
        std::thread::sleep(LOAD);
        let seconds = begun.elapsed().as_secs_f64();
        let requests = done.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        for one in all {
            one.join().unwrap_or_else(|_| Err(Error::other("a client panicked")))?;
        }
        Ok::<_, Error>(requests as f64 / seconds)
    })?;
    let mut samples = Samples::default();
    samples.push(seconds);
    let (contender, command) = (server.name.to_owned(), server.command.clone());
    rows.push(Row { case: "manifests for 1,000 clients", contender, unit: "requests/s", samples, command });
    Ok(())
}

fn ask(
    stream: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> Result<(u16, Vec<String>), Error> {
    send(stream.get_mut(), method, path, headers, body)?;
    let (status, head) = head(stream)?;
    let length = length(&head);
    std::io::copy(&mut stream.take(length as u64), &mut std::io::sink())?;
    Ok((status, head))
}

fn send(
    stream: &mut TcpStream,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> Result<(), Error> {
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head += header;
        head += "\r\n";
    }
    head += "\r\n";
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn head(stream: &mut BufReader<TcpStream>) -> Result<(u16, Vec<String>), Error> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(Error::other("the connection was closed"));
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    Ok((status.ok_or_else(|| Error::other("no status"))?, lines))
}

fn length(head: &[String]) -> usize {
    let found = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok()).flatten()
    });
    found.unwrap_or(0)
}

/// By sha256sum(1).
fn digest(dir: &Path, bytes: &[u8]) -> Result<String, Error> {
    let path = dir.join(format!("registry-blob-{}", std::process::id()));
    std::fs::write(&path, bytes)?;
    let output = Command::new("sha256sum").arg(&path).output();
    std::fs::remove_file(&path)?;
    let text = String::from_utf8_lossy(&output?.stdout).into_owned();
    let hex = text.split_whitespace().next().ok_or_else(|| Error::other("sha256sum says nothing"))?;
    Ok(format!("sha256:{}", hex.trim_start_matches('\\')))
}
