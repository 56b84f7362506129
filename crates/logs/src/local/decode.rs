//! A message back into a record's parts.

use std::ops::Range;

use jiff::Timestamp;

use crate::stream::Stream;

/// What a reader wants of a message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) stream: Stream,
    pub(crate) time: Timestamp,
    /// Where in the message the line is.
    pub(crate) line: Range<usize>,
    pub(crate) ends_line: bool,
    /// The attributes are the last fields: where the first one begins.
    pub(crate) attrs_from: Option<usize>,
}

/// `None` for bytes that are no message.
pub(crate) fn decode(message: &[u8]) -> Option<Message> {
    let mut found = Message {
        stream: Stream::Stdout,
        time: Timestamp::UNIX_EPOCH,
        line: 0..0,
        ends_line: true,
        attrs_from: None,
    };
    let (mut partial, mut last) = (false, false);
    let mut fields = Fields { bytes: message, at: 0 };
    loop {
        let from = fields.at;
        let Some((field, value)) = fields.next()? else { break };
        match (field, value) {
            (1, Value::Bytes(range)) => found.stream = Stream::named(&message[range]),
            (2, Value::Number(nanos)) => {
                found.time = Timestamp::from_nanosecond(i128::from(nanos as i64)).ok()?;
            }
            (3, Value::Bytes(range)) => found.line = range,
            (4, Value::Number(set)) => partial = set != 0,
            (5, Value::Bytes(range)) => {
                let mut fields = Fields { bytes: &message[range], at: 0 };
                while let Some((field, value)) = fields.next()? {
                    if let (1, Value::Number(set)) = (field, value) {
                        last = set != 0;
                    }
                }
            }
            (6, Value::Bytes(_)) => found.attrs_from = found.attrs_from.or(Some(from)),
            // A later writer's.
            _ => {}
        }
    }
    found.ends_line = !partial || last;
    Some(found)
}

/// The attributes in the last fields of a message.
pub(crate) fn attrs(message: &[u8]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut fields = Fields { bytes: message, at: 0 };
    while let Some(Some((field, value))) = fields.next() {
        let (6, Value::Bytes(range)) = (field, value) else { continue };
        let pair = &message[range];
        let (mut key, mut text) = (String::new(), String::new());
        let mut fields = Fields { bytes: pair, at: 0 };
        while let Some(Some((field, value))) = fields.next() {
            match (field, value) {
                (1, Value::Bytes(range)) => key = String::from_utf8_lossy(&pair[range]).into_owned(),
                (2, Value::Bytes(range)) => text = String::from_utf8_lossy(&pair[range]).into_owned(),
                _ => {}
            }
        }
        out.push((key, text));
    }
    out
}

enum Value {
    Number(u64),
    Bytes(Range<usize>),
    Other,
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    /// `Some(None)` at the end, `None` where it is no protobuf.
    #[expect(clippy::option_option, reason = "an end is not a damage")]
    fn next(&mut self) -> Option<Option<(u64, Value)>> {
        if self.at == self.bytes.len() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let from = self.at;
                self.skip(length)?;
                Value::Bytes(from..self.at)
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        Some(Some((tag >> 3, value)))
    }

    fn skip(&mut self, bytes: usize) -> Option<Value> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len())?;
        Some(Value::Other)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
