//! The little of MessagePack that Fluentd's forward protocol needs.

/// Appends the head of an array.
pub(super) fn array(out: &mut Vec<u8>, length: u8) {
    debug_assert!(length < 16, "a short one");
    out.push(0x90 | length);
}

/// Appends the head of a map.
pub(super) fn map(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(length @ 0..=15) => out.push(0x80 | length),
        _ => {
            out.push(0xde);
            // Labels and variables of a container: never so many.
            out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
}

/// Appends text; what is not UTF-8 goes as it is, as in Go.
pub(super) fn text(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ 0..=31 => out.push(0xa0 | length as u8),
        length @ 32..=0xff => out.extend_from_slice(&[0xd9, length as u8]),
        length @ 0x100..=0xffff => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

/// Appends a number of seconds.
pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    match u32::try_from(value) {
        Ok(value @ 0..=127) => out.push(value as u8),
        Ok(value) => {
            out.push(0xce);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Err(_) => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends Fluentd's `EventTime`: seconds and nanoseconds, extension 0.
pub(super) fn event_time(out: &mut Vec<u8>, seconds: i64, nanos: u32) {
    out.extend_from_slice(&[0xd7, 0]);
    out.extend_from_slice(&(seconds as u32).to_be_bytes());
    out.extend_from_slice(&nanos.to_be_bytes());
}

/// `{"ack": "<text>"}` at the beginning: the text. `None` while there is too little of it.
pub(super) fn ack(bytes: &[u8]) -> Option<Result<&[u8], ()>> {
    let (&head, mut rest) = bytes.split_first()?;
    if head & 0xf0 != 0x80 {
        return Some(Err(()));
    }
    for _ in 0..head & 0x0f {
        let (key, after) = match take_text(rest)? {
            Ok(found) => found,
            Err(()) => return Some(Err(())),
        };
        let (value, after) = match take_text(after)? {
            Ok(found) => found,
            Err(()) => return Some(Err(())),
        };
        if key == b"ack" {
            return Some(Ok(value));
        }
        rest = after;
    }
    Some(Err(()))
}

#[expect(clippy::type_complexity, reason = "text and what follows; not yet; not at all")]
fn take_text(bytes: &[u8]) -> Option<Result<(&[u8], &[u8]), ()>> {
    let (&head, rest) = bytes.split_first()?;
    let (length, rest) = match head {
        0xa0..=0xbf => (usize::from(head & 0x1f), rest),
        0xd9 => (usize::from(*rest.first()?), &rest[1..]),
        0xda => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), &rest[2..]),
        _ => return Some(Err(())),
    };
    (rest.len() >= length).then(|| Ok(rest.split_at(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_as_specified() {
        let mut out = Vec::new();
        array(&mut out, 4);
        text(&mut out, b"ab");
        integer(&mut out, 1_700_000_000);
        map(&mut out, 1);
        text(&mut out, &[b'x'; 40]);
        text(&mut out, &[b'y'; 300]);
        let mut expected = b"\x94\xa2ab\xce\x65\x53\xf1\x00\x81\xd9\x28".to_vec();
        expected.extend_from_slice(&[b'x'; 40]);
        expected.extend_from_slice(b"\xda\x01\x2c");
        expected.extend_from_slice(&[b'y'; 300]);
        assert_eq!(out, expected);
        out.clear();
        event_time(&mut out, 1, 2);
        assert_eq!(out, b"\xd7\0\0\0\0\x01\0\0\0\x02");
    }

    #[test]
    fn acknowledgements_are_read() {
        assert_eq!(ack(b"\x81\xa3ack\xa2ok"), Some(Ok(&b"ok"[..])));
        assert_eq!(ack(b"\x81\xa3ack\xa2o"), None);
        assert_eq!(ack(b"\x93"), Some(Err(())));
    }
}
