//! Detach keys: `ctrl-p,ctrl-q` as bytes, and a scanner that finds them in what is typed.

/// Docker's default.
pub(crate) const DEFAULT: &[u8] = &[16, 17];

/// Reads `ctrl-<value>` and single characters, separated by commas; empty is the default.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    text.split(',').map(|key| one(key).ok_or_else(|| format!("Unknown character: '{key}'"))).collect()
}

fn one(key: &str) -> Option<u8> {
    match key.as_bytes() {
        [byte] => Some(*byte),
        _ => match key.strip_prefix("ctrl-")?.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            b"@" => Some(0),
            b"[" => Some(27),
            b"\\" => Some(28),
            b"]" => Some(29),
            b"^" => Some(30),
            b"_" => Some(31),
            _ => None,
        },
    }
}

/// Holds typed bytes back while they may be the beginning of the sequence.
#[derive(Debug)]
pub(crate) struct Scanner {
    keys: Vec<u8>,
    matched: usize,
}

impl Scanner {
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    pub(crate) fn keys(&self) -> &[u8] {
        &self.keys
    }

    /// What of `typed` goes on to the process, and whether the sequence is complete.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut through = Vec::with_capacity(typed.len());
        for &byte in typed {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (through, true);
                }
                continue;
            }
            through.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if self.keys.first() == Some(&byte) && self.keys.len() > 1 {
                self.matched = 1;
            } else {
                through.push(byte);
            }
        }
        (through, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        assert_eq!(parse(""), Ok(vec![16, 17]));
        assert_eq!(parse("ctrl-a,x,ctrl-@"), Ok(vec![1, b'x', 0]));
        assert_eq!(parse("ctrl-!"), Err("Unknown character: 'ctrl-!'".into()));
    }

    #[test]
    fn a_sequence_is_found_across_reads_and_a_half_one_goes_through() {
        let mut scanner = Scanner::new(DEFAULT.to_vec());
        assert_eq!(scanner.feed(b"ls\x10"), (b"ls".to_vec(), false));
        assert_eq!(scanner.feed(b"a"), (b"\x10a".to_vec(), false));
        assert_eq!(scanner.feed(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(scanner.feed(b"\x11rest"), (Vec::new(), true));
    }
}
