//! Attach over a WebSocket, as a browser does it.

use super::*;

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A frame as a client sends it.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 1, 9, 4];
    let mut frame = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).expect("a short one")];
    frame.extend(mask);
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

struct Socket(UnixStream);

impl Socket {
    fn open(house: &House, path: &str) -> Self {
        let mut stream = house.connect();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n").as_bytes())
            .expect("send");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        Self(stream)
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.0.write_all(&masked(opcode, payload)).expect("send");
    }

    /// Opcode and payload of the next frame; `None` at the end.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut two = [0; 2];
        self.0.read_exact(&mut two).ok()?;
        assert!(two[0] & 0x80 != 0 && two[1] & 0x80 == 0, "whole, and without a mask: {two:?}");
        let length = match two[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).expect("a length");
                u16::from_be_bytes(length).into()
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).expect("a payload");
        Some((two[0] & 0x0f, payload))
    }

    /// Reads frames of this opcode until their bytes hold a text.
    fn until(&mut self, opcode: u8, text: &str) -> String {
        let mut got = String::new();
        while !got.contains(text) {
            let (kind, payload) = self.frame().unwrap_or_else(|| panic!("the end after {got:?}"));
            assert_eq!(kind, opcode, "{got:?}");
            got.push_str(&String::from_utf8_lossy(&payload));
        }
        got
    }
}

#[test]
fn a_websocket_is_attached() {
    let house = House::new();
    let more = json!({"OpenStdin": true});
    house.create(
        "cat",
        "echo ready; while read line; do echo got $line; echo err $line >&2; [ $line = end ] && exit 3; done",
        more,
    );
    house.start("cat");
    let mut socket =
        Socket::open(&house, "/containers/cat/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1");
    socket.until(2, "ready\n");
    // In pieces, with something in between, and without Docker's headers.
    let mut piece = masked(2, b"hel");
    piece[0] = 0x02;
    socket.0.write_all(&piece).expect("send");
    socket.send(9, b"are you there");
    socket.send(0, b"lo\n");
    assert_eq!(socket.frame(), Some((10, b"are you there".to_vec())), "pong");
    let got = socket.until(2, "err hello\n");
    assert!(got.contains("got hello\n") && !got.contains('\0'), "{got:?}");

    // Another, of an older version: text, and all streams.
    let mut other = Socket::open(&house, "/v1.27/containers/cat/attach/ws?stream=1");
    other.send(1, b"second\n");
    other.until(1, "err second\n");
    socket.until(2, "err second\n");
    // One that leaves is answered, and the container goes on.
    other.send(8, &1000_u16.to_be_bytes());
    assert_eq!(other.frame(), Some((8, 1000_u16.to_be_bytes().to_vec())));
    assert_eq!(other.frame(), None);

    socket.send(2, b"end\n");
    socket.until(2, "err end\n");
    assert_eq!(socket.frame(), Some((8, 1000_u16.to_be_bytes().to_vec())), "with the container");
    assert_eq!(house.wait("cat"), 3);
}

#[test]
fn what_is_no_websocket_is_refused() {
    let house = House::new();
    house.create("one", "sleep 1000", json!({}));
    let answer = house.get("/containers/one/attach/ws?stream=1");
    assert_eq!(
        (answer.status, answer.text().contains("not websocket protocol")),
        (400, true),
        "{}",
        answer.text()
    );
    let handshake = HANDSHAKE.replace("Connection: Upgrade", "Connection: Upgrade, close");
    let request = format!("GET /containers/nosuch/attach/ws?stream=1 HTTP/1.1\r\nHost: x\r\n{handshake}\r\n");
    assert_eq!(parse(&house.raw(request.as_bytes())).status, 404);
    house.start("one");
    // A frame that no client may send ends it with the reason.
    let mut socket = Socket::open(&house, "/containers/one/attach/ws?stream=1&stdin=1");
    socket.0.write_all(&[0x82, 1, b'x']).expect("send");
    assert_eq!(socket.frame(), Some((8, 1002_u16.to_be_bytes().to_vec())));
}
