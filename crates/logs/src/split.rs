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
    pub(crate) partial: Option<Partial>,
}

/// Of a piece of a line that did not fit into one: which line, the how manieth, and whether it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    /// Random; written as 64 hex digits.
    pub(crate) id: [u8; 32],
    /// From 1.
    pub(crate) ordinal: u32,
    pub(crate) last: bool,
}

/// The state between two chunks of one stream.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// The beginning of a line whose end has not come yet; shorter than [`LINE_BYTES_MAX`].
    pending: Vec<u8>,
    /// Of the line in progress, once a piece of it has gone out.
    begun: Option<Begun>,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    id: [u8; 32],
    since: Timestamp,
    /// Of the next piece.
    ordinal: u32,
}

impl Begun {
    fn new(since: Timestamp) -> Self {
        let mut id = [0; 32];
        // It tells lines apart, no more: without random numbers, which an old kernel may lack early, zeros must do.
        let _ = rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty());
        Self { id, since, ordinal: 1 }
    }

    fn piece(&mut self, last: bool) -> Partial {
        let partial = Partial { id: self.id, ordinal: self.ordinal, last };
        self.ordinal += 1;
        partial
    }
}

impl Splitter {
    /// Passes every piece that is complete with this chunk to `sink`.
    pub(crate) fn push(&mut self, mut chunk: &[u8], now: Timestamp, mut sink: impl FnMut(Piece<'_>)) {
        while !chunk.is_empty() {
            let room = LINE_BYTES_MAX - self.pending.len();
            let window = &chunk[..chunk.len().min(room)];
            if let Some(end) = memchr::memchr(b'\n', window) {
                let mut begun = self.begun.take();
                let time = begun.map_or(now, |begun| begun.since);
                let partial = begun.as_mut().map(|begun| begun.piece(true));
                let text = self.joined(&chunk[..end]);
                sink(Piece { text, ends_line: true, time, partial });
                self.pending.clear();
                chunk = &chunk[end + 1..];
            } else if window.len() == room {
                let begun = self.begun.get_or_insert_with(|| Begun::new(now));
                let (time, partial) = (begun.since, Some(begun.piece(false)));
                let text = self.joined(window);
                sink(Piece { text, ends_line: false, time, partial });
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
        let begun = self.begun.take();
        if !self.pending.is_empty() {
            let mut begun = begun.unwrap_or_else(|| Begun::new(now));
            let partial = Some(begun.piece(false));
            sink(Piece { text: &self.pending, ends_line: false, time: begun.since, partial });
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
    fn pieces_of_a_line_are_numbered() {
        let long = [vec![b'x'; LINE_BYTES_MAX * 2 + 5], b"\nnext\n".to_vec()].concat();
        let mut pieces = Vec::new();
        Splitter::default().push(&long, at(0), |piece| pieces.push(piece.partial));
        let [Some(first), Some(second), Some(third), None] = pieces[..] else { panic!("{pieces:?}") };
        assert_eq!([first, second, third].map(|p| (p.ordinal, p.last)), [(1, false), (2, false), (3, true)]);
        assert!(first.id == third.id && first.id != [0; 32]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_ends_with_an_empty_record() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(run(&[&long, b"\n"]), [(LINE_BYTES_MAX, false, 0), (0, true, 0)]);
    }
}
