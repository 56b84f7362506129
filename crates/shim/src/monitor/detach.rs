//! Recognises the detach keys in what a terminal's client types.
//!
//! As in Docker, a started sequence is held back, and handed on when it turns out to be none: `ctrl-p` alone
//! arrives with the key after it.

#[derive(Debug, Default)]
pub(super) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    pub(super) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Appends what is to be handed on to `through`; true when the sequence was completed, after which the
    /// rest of `typed` is dropped.
    pub(super) fn filter(&mut self, typed: &[u8], through: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            through.extend_from_slice(typed);
            return false;
        }
        for &byte in typed {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return true;
                }
                continue;
            }
            through.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if byte == self.keys[0] {
                self.matched = 1;
            } else {
                through.push(byte);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(keys: &[u8], typed: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut filter = DetachKeys::new(keys.to_vec());
        let mut through = Vec::new();
        let mut left = false;
        for chunk in typed {
            left |= filter.filter(chunk, &mut through);
        }
        (through, left)
    }

    #[test]
    fn sequence_leaves_and_is_not_handed_on() {
        assert_eq!(run(b"\x10\x11", &[b"ab\x10\x11rest"]), (b"ab".to_vec(), true));
    }

    #[test]
    fn sequence_may_be_split_between_reads() {
        assert_eq!(run(b"\x10\x11", &[b"ab\x10", b"\x11"]), (b"ab".to_vec(), true));
    }

    #[test]
    fn a_lone_first_key_arrives_with_the_next() {
        assert_eq!(run(b"\x10\x11", &[b"\x10", b"x"]), (b"\x10x".to_vec(), false));
        assert_eq!(run(b"\x10\x11", &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
    }

    #[test]
    fn no_keys_never_detach() {
        assert_eq!(run(b"", &[b"\x10\x11"]), (b"\x10\x11".to_vec(), false));
    }
}
