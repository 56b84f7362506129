//! Cuts what comes out of a pipe into lines.
//!
//! A line is at most 16 KiB: a longer one becomes several *partial* records, all stamped with the time of
//! the first, and only the last carries the newline. This is what Docker does and what its readers expect.
//! What lies completely inside one chunk is passed on without being copied.

use jiff::Timestamp;

/// The longest piece of a line in one record, in bytes.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

/// One piece on its way into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Without the newline.
    pub(crate) text: &'a [u8],
    /// Whether a newline followed.
    pub(crate) ends_line: bool,
    pub(crate) time: Timestamp,
}

/// The state between two chunks of one stream.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// The beginning of a line whose end has not come yet; shorter than [`LINE_BYTES_MAX`].
    pending: Vec<u8>,
    /// The time of the first partial record of the line in progress.
    partial_since: Option<Timestamp>,
}

impl Splitter {
    /// Passes every piece that is complete with this chunk to `sink`.
    pub(crate) fn push(&mut self, mut chunk: &[u8], now: Timestamp, mut sink: impl FnMut(Piece<'_>)) {
        while !chunk.is_empty() {
            let room = LINE_BYTES_MAX - self.pending.len();
            let window = &chunk[..chunk.len().min(room)];
            if let Some(end) = find_newline(window) {
                let time = self.partial_since.take().unwrap_or(now);
                let text = self.joined(&chunk[..end]);
                sink(Piece { text, ends_line: true, time });
                self.pending.clear();
                chunk = &chunk[end + 1..];
            } else if window.len() == room {
                let time = *self.partial_since.get_or_insert(now);
                let text = self.joined(window);
                sink(Piece { text, ends_line: false, time });
                self.pending.clear();
                chunk = &chunk[room..];
            } else {
                self.pending.extend_from_slice(chunk);
                return;
            }
        }
    }

    /// The stream has ended: passes on what had no newline.
    pub(crate) fn finish(&mut self, now: Timestamp, mut sink: impl FnMut(Piece<'_>)) {
        let time = self.partial_since.take().unwrap_or(now);
        if !self.pending.is_empty() {
            sink(Piece { text: &self.pending, ends_line: false, time });
            self.pending.clear();
        }
    }

    fn joined<'a>(&'a mut self, tail: &'a [u8]) -> &'a [u8] {
        if self.pending.is_empty() {
            return tail;
        }
        self.pending.extend_from_slice(tail);
        &self.pending
    }
}

/// The first newline, eight bytes at a time: the one loop in which a busy container's monitor lives.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(word) = bytes.get(at..at + 8) {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        // A zero byte in `word` marks a newline; see "Hacking the CMU", haszero(v).
        let word = u64::from_le_bytes(eight) ^ (LOW * u64::from(b'\n'));
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes[at..].iter().position(|b| *b == b'\n').map(|i| at + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second, 0).unwrap()
    }

    /// Feeds chunks, one per second, and notes (length, ends_line, second).
    fn run(chunks: &[&[u8]]) -> Vec<(usize, bool, i64)> {
        let mut out = Vec::new();
        let mut splitter = Splitter::default();
        let mut note = |p: Piece<'_>| out.push((p.text.len(), p.ends_line, p.time.as_second()));
        for (i, chunk) in chunks.iter().enumerate() {
            splitter.push(chunk, at(i as i64), &mut note);
        }
        splitter.finish(at(99), &mut note);
        out
    }

    #[test]
    fn lines_across_chunks() {
        assert_eq!(
            run(&[b"one\ntw", b"o\n\nrest"]),
            [(3, true, 0), (3, true, 1), (0, true, 1), (4, false, 99)]
        );
    }

    #[test]
    fn long_lines_become_partial_records_with_the_first_time() {
        let long = vec![b'x'; LINE_BYTES_MAX * 2 + 5];
        assert_eq!(
            run(&[&long[..100], &long[100..], b"\nnext\n"]),
            [(LINE_BYTES_MAX, false, 1), (LINE_BYTES_MAX, false, 1), (5, true, 1), (4, true, 2)]
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_ends_with_an_empty_record() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(run(&[&long, b"\n"]), [(LINE_BYTES_MAX, false, 0), (0, true, 0)]);
    }

    #[test]
    fn newline_is_found_at_every_place() {
        for len in 0..40 {
            for place in 0..len {
                let mut bytes = vec![b'\x0b'; len];
                bytes[place] = b'\n';
                assert_eq!(find_newline(&bytes), Some(place));
            }
            assert_eq!(find_newline(&vec![b'\x8a'; len]), None);
        }
    }
}
