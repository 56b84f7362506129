//! The reading door: entries of a log, oldest first, across rotated and compressed files.
//!
//! A reader opens every file of the log at once, newest first, and keeps them open: a rotation afterwards
//! moves names, not what is read. Following works without any agreement with the writer: at the end of
//! the newest file the reader looks at what the path now names, and goes on with the successor of the file it
//! has. It is found by inode, which nobody else can get while it is open; a compressed file tells in its
//! header which inode it was made from.

mod piece;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::piece::Piece;
use crate::entry::{Attrs, Entry};
use crate::file::Format;
use crate::follow::Watch;
use crate::stream::Stream;
use crate::time::TimeOf;
use crate::{json_file, local};

/// Where to begin, counted from the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    #[default]
    All,
    /// The last so many records (of both streams together, as Docker counts).
    Last(u64),
}

/// What to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query {
    pub tail: Tail,
    /// Leave out entries before this time.
    pub since: Option<Timestamp>,
    /// Stop at the first entry after this time.
    pub until: Option<Timestamp>,
    /// Go on after the end; see [`Reader::event_fd`].
    pub follow: bool,
}

/// Reads one log. Synchronous and without locks; an async caller runs it where blocking is allowed and
/// waits for [`Reader::event_fd`] in its own way.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    format: Format,
    query: Query,
    watch: Option<Watch>,
    /// Files not begun yet, oldest first.
    waiting: VecDeque<Piece>,
    current: Option<Piece>,
    times: TimeOf,
    finished: bool,
}

/// A record in the current piece's buffer.
struct Found {
    stream: Stream,
    time: Timestamp,
    bytes: Range<usize>,
    attrs: Option<Range<usize>>,
}

impl Reader {
    /// Opens the log at `path` (its current file). A log without any file is empty, and can be followed.
    ///
    /// # Errors
    ///
    /// What opening or reading the files says.
    pub fn open(path: &Path, format: Format, query: Query) -> io::Result<Self> {
        // First the watch, then the files: nothing that happens in between is missed.
        let watch = if query.follow { Watch::on_directory_of(path)? } else { None };
        let mut waiting = piece::open_all(path, format)?;
        if !query.follow {
            // What is written from now on is not asked for: a reader that is slower than the writer would never end.
            waiting.iter_mut().try_for_each(Piece::end_here)?;
        }
        if let Tail::Last(records) = query.tail {
            piece::keep_last(&mut waiting, records)?;
        }
        let path = path.to_owned();
        Ok(Self {
            path,
            format,
            query,
            watch,
            waiting,
            current: None,
            times: TimeOf::default(),
            finished: false,
        })
    }

    /// The next entry, or `None` if there is none now. Without `follow`, and after `until`, `None` is the end.
    ///
    /// # Errors
    ///
    /// What reading says. What is no record is skipped.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry<'_>>> {
        let found = loop {
            if self.finished {
                return Ok(None);
            }
            let Some(record) = self.next_record()? else { return Ok(None) };
            let Some(found) = self.decode(record) else { continue };
            if self.query.since.is_some_and(|since| found.time < since) {
                continue;
            }
            if self.query.until.is_some_and(|until| found.time > until) {
                self.finished = true;
                return Ok(None);
            }
            break found;
        };
        let Some(piece) = &self.current else { return Ok(None) };
        Ok(Some(Entry {
            stream: found.stream,
            time: found.time,
            bytes: piece.bytes(found.bytes),
            attrs: match (found.attrs, self.format) {
                (None, _) => Attrs::None,
                (Some(object), Format::JsonFile) => Attrs::Json(piece.bytes(object)),
                (Some(message), Format::Local) => Attrs::Local(piece.bytes(message)),
            },
        }))
    }

    fn decode(&mut self, record: Range<usize>) -> Option<Found> {
        let bytes = self.current.as_mut()?.bytes_mut(record.clone());
        let within = |range: Range<usize>| record.start + range.start..record.start + range.end;
        match self.format {
            Format::JsonFile => {
                let line = json_file::decode(bytes, &mut self.times)?;
                let attrs = line.attrs.map(within);
                Some(Found { stream: line.stream, time: line.time, bytes: within(line.text), attrs })
            }
            Format::Local => {
                let message = local::decode(bytes)?;
                let mut line = message.line;
                if message.ends_line {
                    // Its newline is not in the file. There is room: what is before it has been read.
                    if !line.is_empty() {
                        bytes.copy_within(line.clone(), line.start - 1);
                    }
                    line = line.start.saturating_sub(1)..line.end.max(1);
                    *bytes.get_mut(line.end - 1)? = b'\n';
                }
                let attrs = message.attrs_from.map(|from| within(from..record.len()));
                Some(Found { stream: message.stream, time: message.time, bytes: within(line), attrs })
            }
        }
    }

    /// Whether no entry can come any more.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Becomes readable when there may be more to read. The order is: [`Reader::clear_events`], then
    /// [`Reader::next_entry`] until `None`, then wait. `None` without `follow`.
    pub fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Forgets the events that have come.
    ///
    /// # Errors
    ///
    /// What reading from inotify says.
    pub fn clear_events(&self) -> io::Result<()> {
        self.watch.as_ref().map_or(Ok(()), Watch::drain)
    }

    /// Where in the current piece's buffer the next record lies.
    fn next_record(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            if self.current.is_none() {
                self.current = self.waiting.pop_front();
            }
            let Some(piece) = &mut self.current else {
                if self.successor()? {
                    continue;
                }
                return Ok(None);
            };
            if let Some(record) = piece.next()? {
                return Ok(Some(record));
            }
            if !self.waiting.is_empty() {
                self.current = None;
            } else if self.query.follow {
                if piece.was_emptied()? {
                    piece.rewind()?;
                } else if piece.is_at(&self.path)? || !self.rotated_away()? {
                    return Ok(None);
                }
            } else {
                self.finished = true;
                return Ok(None);
            }
        }
    }

    /// The file being read is not the current one any more: reads its very end, then leaves it.
    fn rotated_away(&mut self) -> io::Result<bool> {
        let Some(piece) = &mut self.current else { return Ok(true) };
        // The last write to it may have come after our last read and before the rename.
        if piece.fill()? {
            return Ok(true);
        }
        if self.successor()? {
            self.current = None;
            return Ok(true);
        }
        Ok(false)
    }

    /// Queues the files after the current one. Answers whether there are any.
    fn successor(&mut self) -> io::Result<bool> {
        if !self.query.follow {
            self.finished = true;
            return Ok(false);
        }
        let mut files = piece::open_all(&self.path, self.format)?;
        // If ours is not among them it was rotated out of existence; the oldest one left is the next.
        if let Some(held) = &self.current
            && let Some(ours) = files.iter().rposition(|other| other.is_form_of(held))
        {
            files.drain(..=ours);
        }
        self.waiting = files;
        Ok(!self.waiting.is_empty())
    }
}
