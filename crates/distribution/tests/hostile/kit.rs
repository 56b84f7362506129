//! A server whose every answer the test makes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The head of a request.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// As it stands in the request line.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// Empty where there is none. `name` in small letters.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// What is sent, and how.
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    length: bool,
    cut_after: usize,
    delay: Duration,
    trickle: Option<Duration>,
}

pub(crate) fn answer(status: u16, headers: &str, body: &[u8]) -> Answer {
    Answer {
        status,
        headers: headers.to_owned(),
        body: body.to_vec(),
        length: true,
        cut_after: usize::MAX,
        delay: Duration::ZERO,
        trickle: None,
    }
}

/// The whole, or the range that is asked for.
pub(crate) fn reply(content: &[u8], asked: &Asked, ranges: bool) -> Answer {
    let start = asked
        .header("range")
        .strip_prefix("bytes=")
        .and_then(|range| range.trim_end_matches('-').parse().ok());
    match start {
        Some(start) if ranges => {
            let last = content.len() - 1;
            answer(
                206,
                &format!("Content-Range: bytes {start}-{last}/{}\r\n", content.len()),
                &content[start..],
            )
        }
        _ => answer(200, "", content),
    }
}

impl Answer {
    pub(crate) fn without_length(mut self) -> Self {
        self.length = false;
        self
    }
    pub(crate) fn then(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = bytes;
        self
    }
    pub(crate) fn slowly(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
    pub(crate) fn trickle(mut self, pause: Duration) -> Self {
        self.trickle = Some(pause);
        self
    }
}

pub(crate) struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
        Self::start_counted(move |_, asked| answer(asked))
    }

    /// With the number of the request, from 1 on.
    pub(crate) fn start_counted(answer: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, answer) = (count.clone(), answer.clone());
                // A client that goes away is what some of these tests are about.
                std::thread::spawn(move || serve(stream, &count, &*answer).ok());
            }
        });
        Server { port, asked }
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Requests so far, without TLS' attempts.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    count: &AtomicUsize,
    answer: &dyn Fn(usize, &Asked) -> Answer,
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut asked = Asked::default();
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let first = String::from_utf8_lossy(&line).into_owned();
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        if !matches!(method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT") {
            // TLS: told in a way that is none.
            return out.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
        asked.path = words.next().unwrap_or_default().to_owned();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = answer(number, &asked);
        std::thread::sleep(answer.delay);
        let mut head = format!("HTTP/1.1 {} X\r\n{}", answer.status, answer.headers);
        if answer.length {
            head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
        }
        out.write_all(format!("{head}\r\n").as_bytes())?;
        if let Some(pause) = answer.trickle {
            loop {
                out.write_all(b" ")?;
                std::thread::sleep(pause);
            }
        }
        if method == "HEAD" {
            continue;
        }
        let length = answer.body.len().min(answer.cut_after);
        out.write_all(&answer.body[..length])?;
        if length < answer.body.len() || !answer.length {
            return Ok(());
        }
    }
}
