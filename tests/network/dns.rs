//! A client of DNS that is in whichever namespace, to see each byte of an answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::Duration;

/// Where containers on users' networks ask.
pub(crate) const SERVER: &str = "127.0.0.11:53";
const WAIT: Duration = Duration::from_secs(10);

pub(crate) const A: u16 = 1;
pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: u8,
    pub(crate) is_cut: bool,
    /// Sorted; addresses, names, or what else is there.
    pub(crate) data: Vec<String>,
}

pub(crate) const NO_ERROR: u8 = 0;
pub(crate) const SERVER_FAILURE: u8 = 2;
pub(crate) const NO_SUCH_NAME: u8 = 3;

/// One question, over UDP.
pub(crate) fn ask(pid: u32, name: &str, kind: u16) -> Said {
    let question = question(name, kind);
    inside(pid, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.set_read_timeout(Some(WAIT)).expect("set a time-out");
        socket.connect(SERVER).expect("connect");
        socket.send(&question).expect("ask");
        let mut answer = vec![0; 65536];
        let length = socket.recv(&mut answer).expect("an answer");
        read(&answer[..length])
    })
}

/// The same over TCP.
pub(crate) fn ask_tcp(pid: u32, name: &str, kind: u16) -> Said {
    let question = question(name, kind);
    inside(pid, move || {
        let mut stream = TcpStream::connect(SERVER).expect("connect");
        stream.set_read_timeout(Some(WAIT)).expect("set a time-out");
        let length = u16::try_from(question.len()).expect("a short question");
        stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).expect("ask");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).expect("all of it");
        read(&answer)
    })
}

/// Does it in a thread that is in a process's network namespace.
pub(crate) fn inside<T: Send>(pid: u32, act: impl FnOnce() -> T + Send) -> T {
    let netns = std::fs::File::open(format!("/proc/{pid}/ns/net")).expect("open the namespace");
    let enter = move || {
        use std::os::fd::AsFd;
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(netns.as_fd(), kind).expect("enter the namespace");
        act()
    };
    std::thread::scope(|scope| scope.spawn(enter).join().expect("it goes well"))
}

pub(crate) fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend([kind.to_be_bytes(), 1u16.to_be_bytes()].concat());
    bytes
}

/// An answer to a question, with one address.
pub(crate) fn answer(question: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2..4].copy_from_slice(&[0x81, 0x80]);
    bytes[7] = 1;
    bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    bytes.extend(address.octets());
    bytes
}

fn read(bytes: &[u8]) -> Said {
    assert_eq!(&bytes[..2], [0x12, 0x34], "its id");
    let count = u16::from_be_bytes([bytes[6], bytes[7]]);
    let mut at = name(bytes, 12).1 + 4;
    let mut data = Vec::new();
    for _ in 0..count {
        at = name(bytes, at).1;
        let kind = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let length = usize::from(u16::from_be_bytes([bytes[at + 8], bytes[at + 9]]));
        at += 10;
        data.push(match kind {
            A => Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[at..at + 4]).expect("four bytes")).to_string(),
            PTR => name(bytes, at).0,
            _ => format!("{:?}", &bytes[at..at + length]),
        });
        at += length;
    }
    data.sort();
    Said { code: bytes[3] & 15, is_cut: bytes[2] & 2 != 0, data }
}

/// A name, and where it ends.
fn name(bytes: &[u8], mut at: usize) -> (String, usize) {
    let (mut text, mut end) = (String::new(), None);
    loop {
        let length = usize::from(bytes[at]);
        if length >= 0xc0 {
            end.get_or_insert(at + 2);
            at = (length & 0x3f) << 8 | usize::from(bytes[at + 1]);
        } else if length == 0 {
            return (text, end.unwrap_or(at + 1));
        } else {
            text += &format!("{}.", String::from_utf8_lossy(&bytes[at + 1..at + 1 + length]));
            at += 1 + length;
        }
    }
}
