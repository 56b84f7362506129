//! Writing and reading netlink messages: a header, a fixed part, then attributes, all 4-byte aligned.

use std::ops::Range;

pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const ACK: u16 = 0x4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const EXCL: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const APPEND: u16 = 0x800;

/// `NLMSG_ERROR`, `NLMSG_DONE`.
pub(crate) const ERROR: u16 = 2;
pub(crate) const DONE: u16 = 3;

const HEADER_BYTES: usize = 16;
pub(crate) const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

/// Messages that are sent as one datagram, each with what it is in words, for errors.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    current: usize,
    words: Vec<String>,
}

impl Batch {
    /// Begins a message; `flags` beside `NLM_F_REQUEST`. Its sequence number is its index.
    pub(crate) fn begin(
        &mut self,
        kind: u16,
        flags: u16,
        words: impl Into<String>,
        fixed: &[u8],
    ) -> &mut Self {
        self.current = self.bytes.len();
        let sequence = self.words.len() as u32;
        self.words.push(words.into());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.fixed(fixed)
    }

    /// Bytes that are no attribute.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    pub(crate) fn attr(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// A text with the zero byte that ends it.
    pub(crate) fn attr_text(&mut self, kind: u16, text: &str) -> &mut Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    pub(crate) fn attr_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// nftables speaks network byte order.
    pub(crate) fn attr_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// An attribute made of attributes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let len = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.set_message_len();
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn words(&self, sequence: u32) -> &str {
        self.words.get(sequence as usize).map_or("netlink", String::as_str)
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.set_message_len();
    }

    fn set_message_len(&mut self) {
        let len = (self.bytes.len() - self.current) as u32;
        self.bytes[self.current..self.current + 4].copy_from_slice(&len.to_ne_bytes());
    }
}

/// One received message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// Of the socket that asked for what an event tells.
    pub(crate) port: u32,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram. What is cut short ends the iteration.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER_BYTES)?;
        let len = u32_at(header, 0)? as usize;
        let body = bytes.get(HEADER_BYTES..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Received {
            kind: u16_at(header, 4)?,
            flags: u16_at(header, 6)?,
            sequence: u32_at(header, 8)?,
            port: u32_at(header, 12)?,
            body,
        })
    })
}

/// Received attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

impl<'a> Attrs<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut bytes = self.0;
        std::iter::from_fn(move || {
            let len = usize::from(u16_at(bytes, 0)?);
            let kind = u16_at(bytes, 2)? & TYPE_MASK;
            let value = bytes.get(4..len)?;
            bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    }

    pub(crate) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    pub(crate) fn text(self, kind: u16) -> Option<String> {
        let value = self.get(kind)?;
        Some(String::from_utf8_lossy(value.split(|b| *b == 0).next()?).into_owned())
    }

    pub(crate) fn u32(self, kind: u16) -> Option<u32> {
        u32_at(self.get(kind)?, 0)
    }

    pub(crate) fn be32(self, kind: u16) -> Option<u32> {
        self.u32(kind).map(u32::from_be)
    }

    pub(crate) fn nested(self, kind: u16) -> Option<Self> {
        self.get(kind).map(Attrs)
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(Range { start: at, end: at + 2 })?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(Range { start: at, end: at + 4 })?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut batch = Batch::default();
        batch.begin(16, ACK, "first", &[1, 2, 3, 4]).attr_text(3, "eth0").nest(18, |b| {
            b.attr(1, b"veth").attr_u32(9, 7);
        });
        batch.begin(20, ACK, "second", &[]).attr(1, &[9]);
        let all: Vec<_> = messages(batch.bytes()).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].kind, all[0].flags, all[0].sequence), (16, ACK | REQUEST, 0));
        let attrs = Attrs(&all[0].body[4..]);
        assert_eq!(attrs.text(3).as_deref(), Some("eth0"));
        assert_eq!(attrs.nested(18).unwrap().u32(9), Some(7));
        assert_eq!(Attrs(all[1].body).get(1), Some(&[9u8][..]));
        assert_eq!(batch.words(all[1].sequence), "second");
    }

    #[test]
    fn what_is_cut_short_is_left_out() {
        let mut batch = Batch::default();
        batch.begin(16, 0, "x", &[1, 2, 3, 4]).attr_text(3, "eth0");
        let bytes = batch.bytes();
        for len in 0..bytes.len() {
            assert_eq!(messages(&bytes[..len]).count(), 0);
        }
        assert_eq!(Attrs(&[8, 0, 1, 0, 5]).iter().count(), 0);
        assert_eq!(Attrs(&[0, 0, 1, 0]).iter().count(), 0);
    }
}
