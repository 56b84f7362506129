//! The reading door: entries of a log, oldest first, across rotated and compressed files.
//!
//! A reader opens every file of the log at once, newest first, and keeps them open: a rotation afterwards
//! moves names, not what is read. Following works without any agreement with the writer: at the end of
//! the newest file the reader looks at what the path now names, and goes on with the successor of the file it
//! has. It is found by inode, which nobody else can get while it is open; a compressed file tells in its
//! header which inode it was made from.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;

use crate::entry::Entry;
use crate::follow::Watch;
use crate::json_file::{compressed, decode, rotated, source_inode};

const BLOCK_BYTES: usize = 64 * 1024;

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
    query: Query,
    watch: Option<Watch>,
    /// Files not begun yet, oldest first.
    waiting: VecDeque<Piece>,
    current: Option<Piece>,
    finished: bool,
}

impl Reader {
    /// Opens the log at `path` (its current file). A log without any file is empty, and can be followed.
    ///
    /// # Errors
    ///
    /// What opening or reading the files says.
    pub fn open(path: &Path, query: Query) -> io::Result<Self> {
        // First the watch, then the files: nothing that happens in between is missed.
        let watch = if query.follow { Some(Watch::on_directory_of(path)?) } else { None };
        let mut waiting = open_all(path)?;
        if let Tail::Last(records) = query.tail {
            keep_last(&mut waiting, records)?;
        }
        Ok(Self { path: path.to_owned(), query, watch, waiting, current: None, finished: false })
    }

    /// The next entry, or `None` if there is none now. Without `follow`, and after `until`, `None` is the end.
    ///
    /// # Errors
    ///
    /// What reading says. Lines that are no records are skipped.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        while !self.finished {
            let Some(line) = self.next_line()? else { return Ok(None) };
            let Some(entry) = decode(&line) else { continue };
            if self.query.since.is_some_and(|since| entry.time < since) {
                continue;
            }
            if self.query.until.is_some_and(|until| entry.time > until) {
                self.finished = true;
                return Ok(None);
            }
            return Ok(Some(entry));
        }
        Ok(None)
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

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
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
            if let Some(line) = piece.line()? {
                return Ok(Some(line));
            }
            if !self.waiting.is_empty() {
                self.current = None;
            } else if self.query.follow {
                if piece.was_emptied()? {
                    piece.rewind()?;
                } else if is_current(&self.path, piece.inode)? || !self.rotated_away()? {
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
        let mut files = open_all(&self.path)?;
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

fn is_current(path: &Path, inode: u64) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(meta.ino() == inode),
        // In the middle of a rotation, or removed with its container.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e),
    }
}

/// All files of a log, oldest first, each once.
fn open_all(path: &Path) -> io::Result<VecDeque<Piece>> {
    let mut files: VecDeque<Piece> = VecDeque::new();
    let mut add = |piece: Piece| {
        // Newest first: a rotation in between shows a file twice in a row, the second time under an older name.
        if files.front().is_none_or(|newer| !piece.is_form_of(newer)) {
            files.push_front(piece);
        }
    };
    if let Some(file) = open_if_there(path)? {
        add(Piece::plain(file)?);
    }
    for index in 1.. {
        let plain = rotated(path, index);
        // Plain first: the compressed form appears before the plain one goes.
        if let Some(file) = open_if_there(&plain)? {
            add(Piece::plain(file)?);
        } else if let Some(file) = open_if_there(&compressed(&plain))? {
            add(Piece::gzip(file)?);
        } else {
            return Ok(files);
        }
    }
    Ok(files)
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io::Error::new(e.kind(), format!("open log file {}: {e}", path.display()))),
    }
}

/// Drops what comes before the last `records` records.
fn keep_last(files: &mut VecDeque<Piece>, mut records: u64) -> io::Result<()> {
    let mut first = files.len();
    while first > 0 {
        first -= 1;
        let piece = &mut files[first];
        let held = piece.skip_to_last(records)?;
        records -= held.min(records);
        if records == 0 {
            break;
        }
    }
    files.drain(..first);
    Ok(())
}

enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

/// One file being read, cut into lines.
struct Piece {
    source: Source,
    inode: u64,
    /// Of a compressed file: the inode that the uncompressed form had.
    made_from: Option<u64>,
    /// Bytes read and not yet given out: `buffer[start..]`, of which `buffer[start..scanned]` has no newline.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece").field("inode", &self.inode).finish_non_exhaustive()
    }
}

impl Piece {
    fn plain(file: File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self {
            source: Source::Plain(file),
            inode,
            made_from: None,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
        })
    }

    fn gzip(file: File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        let decoder = MultiGzDecoder::new(BufReader::new(file));
        let made_from = source_inode(decoder.header().and_then(|h| h.extra()));
        let source = Source::Gzip(Box::new(decoder));
        Ok(Self { source, inode, made_from, buffer: Vec::new(), start: 0, scanned: 0 })
    }

    /// Whether this is the same file as `held`, perhaps compressed meanwhile. Inodes of removed files are
    /// used again, so this holds only while `held` is open.
    fn is_form_of(&self, held: &Self) -> bool {
        self.inode == held.inode || (held.made_from.is_none() && self.made_from == Some(held.inode))
    }

    /// The next complete line without its newline; `None` at the (present) end. What follows the last
    /// newline stays for later.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.buffer[self.scanned..].iter().position(|b| *b == b'\n') {
                let end = self.scanned + at;
                let line = self.buffer[self.start..end].to_vec();
                self.start = end + 1;
                self.scanned = self.start;
                return Ok(Some(line));
            }
            self.scanned = self.buffer.len();
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads one more block; answers whether there was anything.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + BLOCK_BYTES, 0);
        let result = match &mut self.source {
            Source::Plain(file) => file.read(&mut self.buffer[held..]),
            Source::Gzip(decoder) => decoder.read(&mut self.buffer[held..]),
        };
        self.buffer.truncate(held + *result.as_ref().unwrap_or(&0));
        Ok(result? > 0)
    }

    /// Whether the file became shorter than what was read (`max-file=1` empties it in place).
    fn was_emptied(&mut self) -> io::Result<bool> {
        match &mut self.source {
            Source::Plain(file) => Ok(file.metadata()?.len() < file.stream_position()?),
            Source::Gzip(_) => Ok(false),
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.buffer.clear();
        (self.start, self.scanned) = (0, 0);
        match &mut self.source {
            Source::Plain(file) => file.rewind(),
            Source::Gzip(_) => Ok(()),
        }
    }

    /// Moves on so that at most `records` lines are left, and answers how many there are.
    fn skip_to_last(&mut self, records: u64) -> io::Result<u64> {
        match &mut self.source {
            Source::Plain(file) => {
                let (offset, found) = last_lines(file, records)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(found)
            }
            Source::Gzip(_) => {
                // Cannot be read backwards: keep a window of the last lines while reading forwards.
                let mut window: VecDeque<Vec<u8>> = VecDeque::new();
                while let Some(line) = self.line()? {
                    window.push_back(line);
                    if window.len() as u64 > records {
                        window.pop_front();
                    }
                }
                self.buffer.clear();
                (self.start, self.scanned) = (0, 0);
                for line in &window {
                    self.buffer.extend_from_slice(line);
                    self.buffer.push(b'\n');
                }
                Ok(window.len() as u64)
            }
        }
    }
}

/// Where the last `records` complete lines of a file begin, and how many there are of them.
fn last_lines(file: &File, records: u64) -> io::Result<(u64, u64)> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut end = file.metadata()?.len();
    let mut newlines = 0;
    while end > 0 {
        let from = end.saturating_sub(BLOCK_BYTES as u64);
        let bytes = &mut block[..(end - from) as usize];
        file.read_exact_at(bytes, from)?;
        for (at, _) in bytes.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            // The newline before the first wanted line is the (records + 1)th from the end.
            if newlines == records {
                return Ok((from + at as u64 + 1, records));
            }
            newlines += 1;
        }
        end = from;
    }
    Ok((0, newlines))
}
