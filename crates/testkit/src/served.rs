//! A server in a process of its own, on a port of loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::wait::{DEADLINE, PAUSE};

/// Somebody else may take a port that was free.
const ATTEMPTS: usize = 5;

/// A registry: ours, or Docker's, which have the same command line. Killed when it is dropped.
#[derive(Debug)]
pub struct Served {
    pub child: Child,
    pub port: u16,
    log: PathBuf,
}

impl Served {
    /// A program that is called `wharf` serves as `wharf registry serve`. `{port}` in the configuration is one that was free;
    /// the file and what the server says lie in the directory.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(program: &Path, directory: &Path, configuration: &str) -> Served {
        Self::start_in(program, directory, configuration, &[])
    }

    /// With more in its environment.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_in(
        program: &Path,
        directory: &Path,
        configuration: &str,
        environment: &[(&str, &str)],
    ) -> Served {
        std::fs::create_dir_all(directory).expect("make a directory");
        let (file, log) = (directory.join("config.yml"), directory.join("log"));
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let text = configuration.replace("{port}", &port.to_string());
            std::fs::write(&file, text).expect("write a configuration");
            let out = std::fs::File::create(&log).expect("make a log");
            let mut command = Command::new(program);
            if program.ends_with("wharf") {
                command.arg("registry");
            }
            command
                .args(["serve".as_ref(), file.as_os_str()])
                .envs(environment.iter().copied())
                .stdin(Stdio::null())
                .stdout(out.try_clone().expect("share the log"))
                .stderr(out);
            let started = command.spawn();
            let mut child = started.unwrap_or_else(|error| {
                panic!("start {} (Docker's registry is Debian's docker-registry): {error}", program.display())
            });
            let deadline = Instant::now() + DEADLINE;
            while child.try_wait().ok().flatten().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Served { child, port, log };
                }
                assert!(Instant::now() < deadline, "{} does not answer", program.display());
                std::thread::sleep(PAUSE);
            }
        }
        panic!("{}: {}", program.display(), std::fs::read_to_string(log).unwrap_or_default());
    }

    /// With its port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its requests so far, and what it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Status, head and body of the answer.
    ///
    /// # Panics
    /// When there is none.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        ask(self.port, method, path, body)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request to a server on loopback: status, head and body of the answer.
///
/// # Panics
/// When there is none.
pub fn ask(port: u16, method: &str, path: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("ask");
    // A server that refuses need not read all of it.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("read the answer");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer") + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, head, bytes.split_off(end))
}

/// A port that nobody listens on right now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("find a port").port()
}
