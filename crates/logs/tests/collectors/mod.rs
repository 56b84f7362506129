//! Collectors of this process, and what they understand.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::read::{GzDecoder, ZlibDecoder};
use logs::{Destination, Format, LogWriter, Query, Reader};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const PATIENCE: Duration = Duration::from_secs(30);

/// A driver, and where its records are kept.
pub(crate) struct Place {
    pub(crate) destination: Destination,
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(driver: &str, options: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let destination = crate::common::destination(driver, options, &directory.path().join("cached.log"));
        Self { destination, directory }
    }

    pub(crate) fn open(&self) -> std::io::Result<Box<dyn LogWriter>> {
        logs::open(&self.destination, |remote| {
            let (ours, theirs) = logs::Pipe::pair()?;
            let remote = remote.clone();
            std::thread::spawn(move || logs::forward(&remote, theirs));
            Ok(ours)
        })
    }

    /// The lines kept beside what was sent.
    pub(crate) fn kept(&self) -> Vec<String> {
        let path: PathBuf = self.directory.path().join("cached.log");
        let mut reader = Reader::open(&path, Format::Local, Query::default()).unwrap();
        let mut lines = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            lines.push(String::from_utf8_lossy(entry.bytes).trim_end().to_owned());
        }
        lines
    }
}

pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    false
}

pub(crate) fn udp() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The path of a file of the authority that `testdata` holds; its server is 127.0.0.1.
pub(crate) fn pem(name: &str) -> String {
    format!("{}/tests/testdata/{name}.pem", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn tls_accept(listener: &TcpListener) -> impl Read {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(pem("server")).unwrap().map(Result::unwrap).collect();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(pem("server-key")).unwrap())
        .unwrap();
    let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let mut socket = accept(listener);
    // Refused or not, the client knows.
    let _ = connection.complete_io(&mut socket);
    rustls::StreamOwned::new(connection, socket)
}

/// One GELF message, put together and inflated.
pub(crate) fn gelf(socket: &UdpSocket) -> serde_json::Value {
    let mut buffer = [0; 65536];
    let mut chunks: Vec<Option<Vec<u8>>> = Vec::new();
    let packed = loop {
        let length = socket.recv(&mut buffer).unwrap();
        let datagram = &buffer[..length];
        if !datagram.starts_with(&[0x1e, 0x0f]) {
            break datagram.to_vec();
        }
        assert!(length <= 1420);
        chunks.resize(usize::from(datagram[11]), None);
        chunks[usize::from(datagram[10])] = Some(datagram[12..].to_vec());
        if chunks.iter().all(Option::is_some) {
            break chunks.concat_all();
        }
    };
    let mut json = Vec::new();
    match packed[0] {
        0x1f => GzDecoder::new(&packed[..]).read_to_end(&mut json).map(drop).unwrap(),
        0x78 => ZlibDecoder::new(&packed[..]).read_to_end(&mut json).map(drop).unwrap(),
        _ => json = packed,
    }
    serde_json::from_slice(&json).unwrap()
}

trait ConcatAll {
    fn concat_all(self) -> Vec<u8>;
}

impl ConcatAll for Vec<Option<Vec<u8>>> {
    fn concat_all(self) -> Vec<u8> {
        self.into_iter().flatten().flatten().collect()
    }
}

/// Reads one event of the forward protocol, acknowledges it, and shows it.
pub(crate) fn acknowledge(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 65536];
        let length = socket.read(&mut buffer).unwrap();
        assert!(length > 0, "the end came early");
        bytes.extend_from_slice(&buffer[..length]);
        let mut out = String::new();
        if show(&bytes, &mut out).is_none() {
            continue;
        }
        let chunk = out.rsplit_once("{chunk=").unwrap().1.trim_end_matches("}]").to_owned();
        let mut answer = b"\x81\xa3ack\xd9".to_vec();
        answer.push(chunk.len() as u8);
        answer.extend_from_slice(chunk.as_bytes());
        socket.write_all(&answer).unwrap();
        return out;
    }
}

/// All values, as text.
pub(crate) fn msgpack(mut bytes: &[u8]) -> String {
    let mut out = String::new();
    while !bytes.is_empty() {
        bytes = show(bytes, &mut out).unwrap();
    }
    out
}

fn show<'a>(bytes: &'a [u8], out: &mut String) -> Option<&'a [u8]> {
    let (&head, rest) = bytes.split_first()?;
    let number = |length: usize| {
        let bytes = rest.get(..length)?;
        Some(bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let (length, mut rest) = match head {
        0..=0x7f => {
            write!(out, "{head}").ok()?;
            return Some(rest);
        }
        0x80..=0x9f => (usize::from(head & 0x0f), rest),
        0xa0..=0xbf => (usize::from(head & 0x1f), rest),
        0xce => {
            write!(out, "{}", number(4)?).ok()?;
            return Some(&rest[4..]);
        }
        0xd7 => {
            let nanos = u32::from_be_bytes(rest.get(5..9)?.try_into().ok()?);
            write!(out, "({} {nanos})", u32::from_be_bytes(rest.get(1..5)?.try_into().ok()?)).ok()?;
            return Some(&rest[9..]);
        }
        0xd9 => (number(1)?, &rest[1..]),
        0xda => (number(2)?, &rest[2..]),
        0xdb => (number(4)?, &rest[4..]),
        0xde => (number(2)?, &rest[2..]),
        other => panic!("{other:x}"),
    };
    let is_map = matches!(head, 0x80..=0x8f | 0xde);
    if !is_map && !matches!(head, 0x90..=0x9f) {
        out.push_str(&String::from_utf8_lossy(rest.get(..length)?));
        return Some(&rest[length..]);
    }
    out.push(if is_map { '{' } else { '[' });
    for place in 0..length {
        if place > 0 {
            out.push(' ');
        }
        rest = show(rest, out)?;
        if is_map {
            out.push('=');
            rest = show(rest, out)?;
        }
    }
    out.push(if is_map { '}' } else { ']' });
    Some(rest)
}
