//! An engine of answers: a table of requests and what to say, on a socket of its own.
//!
//! For tests of a client: which requests it sends, in which order, and what it makes of the answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What to say to a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status and a JSON body.
    Json(u16, String),
    /// Switch protocols and send these bytes; then read the client's to its end, and close.
    Hijack(Vec<u8>),
    /// A body that begins with this, and then the end of the connection in the middle of it.
    Broken(String),
}

/// The head of a request and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `POST /containers/create?name=x`.
    pub line: String,
    pub body: String,
}

/// A server at work until it is dropped with its process.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers on `<directory>/canned.sock`; `answer` gets the request line and body.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn start(directory: &Path, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let socket = directory.join("canned.sock");
        let listener = UnixListener::bind(&socket).expect("listen");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                // A connection that breaks off is the client's affair.
                std::thread::spawn(move || serve(stream, &log, answer.as_ref()).ok());
            }
        });
        Self { socket, asked }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The requests so far, in the order they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test holds this").clone()
    }
}

fn serve(
    stream: UnixStream,
    log: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&str) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let head = head.trim().trim_end_matches(" HTTP/1.1").to_owned();
        log.lock()
            .expect("no test holds this")
            .push(Asked { line: head.clone(), body: String::from_utf8_lossy(&body).into_owned() });
        match answer(&head) {
            Answer::Json(status, json) => {
                write!(
                    out,
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
                    json.len()
                )?;
            }
            Answer::Broken(json) => {
                write!(
                    out,
                    "HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{json}\r\n",
                    json.len()
                )?;
                return Ok(());
            }
            Answer::Hijack(bytes) => {
                write!(
                    out,
                    "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
                )?;
                out.write_all(&bytes)?;
                let mut typed = Vec::new();
                reader.read_to_end(&mut typed)?;
                log.lock()
                    .expect("no test holds this")
                    .push(Asked { line: "stdin".into(), body: String::from_utf8_lossy(&typed).into_owned() });
                return Ok(());
            }
        }
    }
}

/// One frame of Docker's stream: 1 is stdout, 2 is stderr.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame of a test is short");
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
    bytes
}
