//! WebSocket (RFC 6455), as far as a stream of bytes needs it: the handshake, frames out, and frames in.
//!
//! ```text
//! byte 0   FIN, 3 bits for extensions (none are spoken), 4 bits of opcode
//! byte 1   MASK, 7 bits of length; 126: two more bytes have it, 127: eight
//! mask     four bytes, of a client's frames always and of a server's never
//! ```
//!
//! Messages have no meaning here: what a client sends is one stream, however it was cut into frames and fragments.

use std::io;

use engine::{Error, Result};
use http::HeaderMap;
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(number: u8) -> Option<Self> {
        let all = [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];
        all.into_iter().find(|opcode| *opcode as u8 == number)
    }
}

/// Close codes.
pub(crate) const NORMAL: u16 = 1000;
pub(crate) const PROTOCOL_ERROR: u16 = 1002;

/// The answer to the client's key, if the request is a handshake of ours.
pub(crate) fn accept(headers: &HeaderMap) -> Result<String> {
    let has = |value: Option<&http::HeaderValue>, wanted: &str| {
        value
            .and_then(|value| value.to_str().ok())
            .is_some_and(|text| text.trim().eq_ignore_ascii_case(wanted))
    };
    if !has(headers.get(UPGRADE), "websocket") {
        return Err(Error::invalid("not websocket protocol"));
    }
    if !has(headers.get(SEC_WEBSOCKET_VERSION), "13") {
        return Err(Error::invalid("missing or bad WebSocket Version"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
    match key.is_empty() {
        true => Err(Error::invalid("missing Sec-WebSocket-Key")),
        false => Ok(accepted(key)),
    }
}

fn accepted(key: &str) -> String {
    api::go::base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}

/// FIPS 180-4, for the handshake alone, where it proves no more than that both sides speak of the same thing.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 { 64 } else { 0 }, 0);
    let length = padded.len();
    padded[length - 8..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for i in 16..80 {
            words[i] = (words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in words.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// A whole frame of a server.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x80 | opcode as u8);
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

pub(crate) fn close(code: u16) -> Vec<u8> {
    frame(Opcode::Close, &code.to_be_bytes())
}

/// What a client sent: bytes of the stream as they come, or a control frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Data(Vec<u8>),
    Ping(Vec<u8>),
    Close,
}

/// Takes a client's frames apart.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    from: R,
    /// Left of the payload of the frame at hand, and where its mask is.
    left: u64,
    mask: [u8; 4],
    at: usize,
}

/// What is handed on at a time; a frame may be longer than memory.
const CHUNK_BYTES: u64 = 32 << 10;

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, left: 0, mask: [0; 4], at: 0 }
    }

    /// The next piece; `UnexpectedEof` when the client is gone, `InvalidData` when it does not keep to the protocol.
    pub(crate) async fn next(&mut self) -> io::Result<Received> {
        loop {
            if self.left > 0 {
                let length = self.left.min(CHUNK_BYTES);
                return self.payload(length).await.map(Received::Data);
            }
            let opcode = self.header().await?;
            match opcode {
                Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
                Opcode::Close => return Ok(Received::Close),
                Opcode::Ping | Opcode::Pong => {
                    let payload = self.payload(self.left).await?;
                    if opcode == Opcode::Ping {
                        return Ok(Received::Ping(payload));
                    }
                }
            }
        }
    }

    async fn header(&mut self) -> io::Result<Opcode> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let mut two = [0; 2];
        self.from.read_exact(&mut two).await?;
        let opcode = Opcode::of(two[0] & 0x0f).ok_or_else(|| wrong("an unknown opcode"))?;
        if two[0] & 0x70 != 0 {
            return Err(wrong("an extension that was not agreed on"));
        }
        if two[1] & 0x80 == 0 {
            return Err(wrong("a frame without a mask"));
        }
        let is_control = opcode as u8 >= 8;
        self.left = match two[1] & 0x7f {
            length @ 0..=125 => length.into(),
            _ if is_control => return Err(wrong("a control frame that is too long")),
            126 => self.from.read_u16().await?.into(),
            _ => self.from.read_u64().await?,
        };
        if is_control && two[0] & 0x80 == 0 {
            return Err(wrong("a control frame in pieces"));
        }
        self.from.read_exact(&mut self.mask).await?;
        self.at = 0;
        Ok(opcode)
    }

    /// Not more than the frame has left.
    async fn payload(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(CHUNK_BYTES as usize)];
        // Whatever has come, for data; a control frame is short.
        let read = match length <= 125 {
            true => self.from.read_exact(&mut bytes).await?,
            false => self.from.read(&mut bytes).await?,
        };
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(read);
        for byte in &mut bytes {
            *byte ^= self.mask[self.at % 4];
            self.at += 1;
        }
        self.left -= read as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_rfc() {
        assert_eq!(accepted("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let hex = |digest: [u8; 20]| digest.map(|byte| format!("{byte:02x}")).concat();
        for (message, digest) in [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
        ] {
            assert_eq!(hex(sha1(message.as_bytes())), digest, "{message}");
        }
        for length in 54..66 {
            // Padding at each edge of a block; the value is another implementation's for 64 bytes.
            sha1(&vec![b'a'; length]);
        }
        assert_eq!(hex(sha1(&[b'a'; 64])), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
        let mut headers = HeaderMap::new();
        assert_eq!(accept(&headers).unwrap_err().message, "not websocket protocol");
        headers.insert(UPGRADE, "WebSocket".parse().unwrap());
        assert_eq!(accept(&headers).unwrap_err().message, "missing or bad WebSocket Version");
        headers.insert(SEC_WEBSOCKET_VERSION, "13".parse().unwrap());
        assert_eq!(accept(&headers).unwrap_err().message, "missing Sec-WebSocket-Key");
        headers.insert(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        assert_eq!(accept(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// As a client sends it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![first];
        match payload.len() {
            length @ 0..=125 => out.push(0x80 | length as u8),
            length => {
                out.push(0x80 | 126);
                out.extend((length as u16).to_be_bytes());
            }
        }
        out.extend(mask);
        out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
        out
    }

    #[tokio::test]
    async fn frames_are_taken_apart() {
        let long = vec![b'x'; 40_000];
        let bytes = [
            masked(0x02, b"hel"),
            masked(0x89, b"ping"),
            masked(0x80, b"lo"),
            masked(0x8a, b"pong"),
            masked(0x82, b""),
            masked(0x82, &long),
            masked(0x88, &NORMAL.to_be_bytes()),
        ]
        .concat();
        let mut reader = Reader::new(&bytes[..]);
        assert_eq!(reader.next().await.unwrap(), Received::Data(b"hel".to_vec()));
        assert_eq!(reader.next().await.unwrap(), Received::Ping(b"ping".to_vec()));
        assert_eq!(reader.next().await.unwrap(), Received::Data(b"lo".to_vec()));
        let mut got = Vec::new();
        while got.len() < long.len() {
            match reader.next().await.unwrap() {
                Received::Data(bytes) => got.extend(bytes),
                other => panic!("{other:?}"),
            }
        }
        assert!(got == long);
        assert_eq!(reader.next().await.unwrap(), Received::Close);
    }

    #[tokio::test]
    async fn what_the_protocol_forbids_is_refused() {
        for bytes in [
            &[0x82, 0x01, b'x'][..],
            &[0x83, 0x80, 0, 0, 0, 0],
            &[0xc2, 0x80, 0, 0, 0, 0],
            &[0x88, 0xfe, 0, 200, 0, 0, 0, 0],
            &[0x08, 0x80, 0, 0, 0, 0],
        ] {
            let error = Reader::new(bytes).next().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let cut = masked(0x82, b"hello");
        assert_eq!(Reader::new(&cut[..8]).next().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn lengths_have_three_forms() {
        assert_eq!(frame(Opcode::Binary, b"ab"), [0x82, 2, b'a', b'b']);
        assert_eq!(frame(Opcode::Text, &[0; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(frame(Opcode::Binary, &vec![0; 70_000])[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        assert_eq!(close(NORMAL), [0x88, 2, 3, 232]);
    }
}
