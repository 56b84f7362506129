//! One record, as Docker's generated encoder writes it: fields in order, defaults left out.

use std::collections::BTreeMap;

use super::LENGTH_BYTES;
use crate::split::Piece;
use crate::stream::Stream;

const VARINT: u8 = 0;
const BYTES: u8 = 2;

/// Appends a record. `attrs` come from [`encode_attrs`].
pub(crate) fn record(out: &mut Vec<u8>, stream: Stream, piece: &Piece<'_>, attrs: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    bytes(out, 1, stream.as_str().as_bytes());
    number(out, 2, piece.time.as_nanosecond() as i64 as u64);
    bytes(out, 3, piece.text);
    if let Some(partial) = &piece.partial {
        number(out, 4, 1);
        let mut id = [0; 64];
        hex(&partial.id, &mut id);
        let mut metadata = Vec::with_capacity(80);
        number(&mut metadata, 1, u64::from(partial.last));
        bytes(&mut metadata, 2, &id);
        number(&mut metadata, 3, u64::from(partial.ordinal));
        bytes(out, 5, &metadata);
    }
    out.extend_from_slice(attrs);
    let length = ((out.len() - start - LENGTH_BYTES) as u32).to_be_bytes();
    out[start..start + LENGTH_BYTES].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

/// The constant attributes of every record.
pub(crate) fn encode_attrs(attrs: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attrs {
        let mut pair = Vec::new();
        bytes(&mut pair, 1, key.as_bytes());
        bytes(&mut pair, 2, value.as_bytes());
        bytes(&mut out, 6, &pair);
    }
    out
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    // An empty message in a repeated field has a place all the same; there is none here.
    if !value.is_empty() {
        out.push(field << 3 | BYTES);
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3 | VARINT);
        varint(out, value);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn hex(from: &[u8; 32], to: &mut [u8; 64]) {
    for (pair, byte) in to.chunks_exact_mut(2).zip(from) {
        pair.copy_from_slice(&[
            b"0123456789abcdef"[usize::from(byte >> 4)],
            b"0123456789abcdef"[usize::from(byte & 15)],
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Partial;

    #[test]
    fn a_record_is_docker_s() {
        let mut out = Vec::new();
        let time = jiff::Timestamp::new(1, 5).unwrap();
        let attrs = encode_attrs(&BTreeMap::from([("k".to_owned(), "v".to_owned())]));
        let piece = Piece { text: b"hi", ends_line: true, time, partial: None };
        record(&mut out, Stream::Stdout, &piece, &attrs);
        // As Go's encoder wrote it: source, time, line, attribute.
        assert_eq!(
            out,
            b"\0\0\0\x1a\x0a\x06stdout\x10\x85\x94\xeb\xdc\x03\x1a\x02hi\x32\x06\x0a\x01k\x12\x01v\0\0\0\x1a"
        );

        out.clear();
        let partial = Some(Partial { id: [0xab; 32], ordinal: 1, last: false });
        record(&mut out, Stream::Stderr, &Piece { text: b"x", ends_line: false, time, partial }, &[]);
        let id = "ab".repeat(32);
        let message = [
            b"\x0a\x06stderr\x10\x85\x94\xeb\xdc\x03\x1a\x01x\x20\x01\x2a\x44\x12\x40".as_slice(),
            id.as_bytes(),
            b"\x18\x01",
        ]
        .concat();
        assert_eq!(out[4..out.len() - 4], message);
    }
}
