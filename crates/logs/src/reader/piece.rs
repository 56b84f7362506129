//! One file of a log being read, cut into records.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::file::{Format, compressed, rotated, source_inode};
use crate::local::{LENGTH_BYTES, MESSAGE_BYTES_MAX};

/// What one read asks for: enough that its cost is lost among the copying.
const BLOCK_BYTES: usize = 256 * 1024;

/// How often a look at all files is begun again because they were rotated meanwhile. Each time the writer has filled a
/// whole file.
const LOOKS_MAX: usize = 1000;

/// All files of a log, oldest first, each once.
///
/// They are looked at newest first, and a rotation moves each to the next older name. One that goes on meanwhile shows a file
/// twice in a row. After two of them a name that was not looked at yet has a file that is newer than those that were:
/// whether there was one is told by the current file, which is another then.
pub(super) fn open_all(path: &Path, format: Format) -> io::Result<VecDeque<Piece>> {
    let mut looks = 0;
    loop {
        looks += 1;
        let current = open_if_there(path)?.map(|file| Piece::plain(file, format)).transpose()?;
        let newest = current.as_ref().map(|piece| piece.inode);
        let files = open_rotated(path, format, current)?;
        // The inode is nobody else's while the file is open here.
        let now = std::fs::metadata(path).ok().map(|meta| meta.ino());
        if now == newest || looks == LOOKS_MAX {
            return Ok(files);
        }
    }
}

/// The rotated files, and last the current one.
fn open_rotated(path: &Path, format: Format, current: Option<Piece>) -> io::Result<VecDeque<Piece>> {
    let mut files: VecDeque<Piece> = current.into_iter().collect();
    let mut gap = false;
    for index in 1.. {
        let plain = rotated(path, index);
        // Plain first: the compressed form appears before the plain one goes.
        let piece = if let Some(file) = open_if_there(&plain)? {
            Piece::plain(file, format)?
        } else if let Some(file) = open_if_there(&compressed(&plain))? {
            Piece::gzip(file, format)?
        } else if gap {
            break;
        } else {
            // A rotation that goes on leaves one: it moves the oldest first.
            gap = true;
            continue;
        };
        gap = false;
        if files.front().is_none_or(|newer| !piece.is_form_of(newer)) {
            files.push_front(piece);
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
pub(super) fn keep_last(files: &mut VecDeque<Piece>, mut records: u64) -> io::Result<()> {
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

pub(super) struct Piece {
    source: Source,
    format: Format,
    inode: u64,
    /// Of a compressed file: the inode that the uncompressed form had.
    made_from: Option<u64>,
    /// Where reading ends though the file goes on.
    end_at: Option<u64>,
    /// Bytes read and not yet given out: `buffer[start..end]`, of which `buffer[start..scanned]` has no newline.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece").field("inode", &self.inode).finish_non_exhaustive()
    }
}

/// What the next bytes are.
enum Cut {
    /// A record, and where the one after it begins.
    Record(Range<usize>, usize),
    /// Its end has not been read yet.
    Unfinished,
}

impl Piece {
    fn new(source: Source, format: Format, inode: u64, made_from: Option<u64>) -> Self {
        Self {
            source,
            format,
            inode,
            made_from,
            end_at: None,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            end: 0,
        }
    }

    fn plain(file: File, format: Format) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self::new(Source::Plain(file), format, inode, None))
    }

    fn gzip(file: File, format: Format) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, file));
        let made_from = source_inode(decoder.header().and_then(|h| h.extra()));
        Ok(Self::new(Source::Gzip(Box::new(decoder)), format, inode, made_from))
    }

    /// Whether this is the same file as `held`, perhaps compressed meanwhile. Inodes of removed files are
    /// used again, so this holds only while `held` is open.
    pub(super) fn is_form_of(&self, held: &Self) -> bool {
        self.inode == held.inode || (held.made_from.is_none() && self.made_from == Some(held.inode))
    }

    /// What is written to it from now on is not read.
    pub(super) fn end_here(&mut self) -> io::Result<()> {
        if let Source::Plain(file) = &self.source {
            self.end_at = Some(file.metadata()?.len());
        }
        Ok(())
    }

    /// Whether `path` names this file.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(meta.ino() == self.inode),
            // In the middle of a rotation, or removed with its container.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) => Err(e),
        }
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub(super) fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.buffer[range]
    }

    /// Where in the buffer the next whole record lies, without newline or lengths; `None` at the (present) end. What
    /// follows stays for later. The range holds until the next call.
    pub(super) fn next(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            if let Cut::Record(range, next) = self.cut() {
                self.start = next;
                self.scanned = next;
                return Ok(Some(range));
            }
            if !self.fill()? && !self.skip_damage() {
                return Ok(None);
            }
        }
    }

    fn cut(&mut self) -> Cut {
        match self.format {
            Format::JsonFile => match memchr::memchr(b'\n', &self.buffer[self.scanned..self.end]) {
                Some(at) => {
                    let end = self.scanned + at;
                    Cut::Record(self.start..end, end + 1)
                }
                None => {
                    self.scanned = self.end;
                    Cut::Unfinished
                }
            },
            Format::Local => self.cut_message(),
        }
    }

    fn cut_message(&mut self) -> Cut {
        loop {
            match message(&self.buffer[self.start..self.end]) {
                Some(Some(bytes)) => {
                    let from = self.start + LENGTH_BYTES;
                    let end = from + bytes;
                    return Cut::Record(from..end, end + LENGTH_BYTES);
                }
                Some(None) => return Cut::Unfinished,
                // Damaged, or half of what a crash left: the next place that looks like a message.
                None => self.start += 1,
            }
        }
    }

    /// At the end of the file lies what looks like the beginning of a message. If a whole one follows, it is none: they are
    /// written in their order. True if it has been left out.
    fn skip_damage(&mut self) -> bool {
        if self.format != Format::Local {
            return false;
        }
        let whole = |at: &usize| matches!(message(&self.buffer[*at..self.end]), Some(Some(_)));
        let found = (self.start + 1..self.end).find(whole);
        self.start = found.unwrap_or(self.start);
        found.is_some()
    }

    /// Reads one more block; answers whether there was anything.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.scanned = self.scanned.max(self.start) - self.start;
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < BLOCK_BYTES {
            self.buffer.resize((self.end + BLOCK_BYTES).max(self.buffer.len() * 2), 0);
        }
        let room = &mut self.buffer[self.end..];
        let read = match &mut self.source {
            Source::Plain(file) => match self.end_at {
                Some(end) => {
                    let left = end.saturating_sub(file.stream_position()?);
                    file.take(left).read(room)
                }
                None => file.read(room),
            },
            Source::Gzip(decoder) => decoder.read(room),
        }?;
        self.end += read;
        if read == 0 && self.end == 0 {
            // A follower may wait here for days.
            self.buffer = Vec::new();
        }
        Ok(read > 0)
    }

    /// Whether the file became shorter than what was read (`max-file=1` empties it in place, `logs --clear` too).
    pub(super) fn was_emptied(&mut self) -> io::Result<bool> {
        match &mut self.source {
            Source::Plain(file) => Ok(file.metadata()?.len() < file.stream_position()?),
            Source::Gzip(_) => Ok(false),
        }
    }

    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.forget();
        match &mut self.source {
            Source::Plain(file) => file.rewind(),
            Source::Gzip(_) => Ok(()),
        }
    }

    fn forget(&mut self) {
        (self.start, self.scanned, self.end) = (0, 0, 0);
    }

    /// Moves on so that at most `records` records are left, and answers how many there are.
    fn skip_to_last(&mut self, records: u64) -> io::Result<u64> {
        if let Source::Plain(file) = &mut self.source {
            let found = match self.format {
                Format::JsonFile => Some(last_lines(file, self.end_at, records)?),
                Format::Local => last_messages(file, self.end_at, records)?,
            };
            if let Some((offset, found)) = found {
                file.seek(SeekFrom::Start(offset))?;
                return Ok(found);
            }
        }
        // Cannot be read backwards: keep a window of the last records while reading forwards.
        let mut window: VecDeque<Vec<u8>> = VecDeque::new();
        let around = match self.format {
            Format::JsonFile => (0, 1),
            Format::Local => (LENGTH_BYTES, LENGTH_BYTES),
        };
        while let Some(record) = self.next()? {
            window.push_back(self.buffer[record.start - around.0..record.end + around.1].to_vec());
            if window.len() as u64 > records {
                window.pop_front();
            }
        }
        self.forget();
        self.buffer = window.iter().flatten().copied().collect();
        self.end = self.buffer.len();
        Ok(window.len() as u64)
    }
}

/// How long the message is that begins here: `None` if none does, `Some(None)` if that cannot be said yet.
#[expect(clippy::option_option, reason = "an end is not a damage")]
fn message(bytes: &[u8]) -> Option<Option<usize>> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Some(None) };
    let message_bytes = u32::from_be_bytes(*length) as usize;
    if !(1..=MESSAGE_BYTES_MAX).contains(&message_bytes) {
        return None;
    }
    match bytes.get(LENGTH_BYTES + message_bytes..2 * LENGTH_BYTES + message_bytes) {
        None => Some(None),
        Some(again) => (again == length).then_some(Some(message_bytes)),
    }
}

/// Where the last `records` complete lines of a file begin, and how many there are of them. It ends at `end`, or where it does
/// now.
fn last_lines(file: &File, end: Option<u64>, records: u64) -> io::Result<(u64, u64)> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut end = end.map_or_else(|| file.metadata().map(|meta| meta.len()), Ok)?;
    let mut newlines = 0;
    while end > 0 {
        let from = end.saturating_sub(BLOCK_BYTES as u64);
        let bytes = &mut block[..(end - from) as usize];
        file.read_exact_at(bytes, from)?;
        for at in memchr::memrchr_iter(b'\n', bytes) {
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

/// The same of messages; `None` if the file is damaged, or is being written at this moment.
fn last_messages(file: &File, end: Option<u64>, records: u64) -> io::Result<Option<(u64, u64)>> {
    let length_at = |at: u64| {
        let mut bytes = [0; LENGTH_BYTES];
        file.read_exact_at(&mut bytes, at)?;
        Ok::<_, io::Error>(u64::from(u32::from_be_bytes(bytes)))
    };
    let length_bytes = LENGTH_BYTES as u64;
    let mut at = end.map_or_else(|| file.metadata().map(|meta| meta.len()), Ok)?;
    let mut found = 0;
    while at > 0 && found < records {
        let Some(trailer) = at.checked_sub(length_bytes) else { return Ok(None) };
        let message_bytes = length_at(trailer)?;
        let Some(begin) = trailer.checked_sub(message_bytes + length_bytes) else { return Ok(None) };
        if message_bytes == 0 || length_at(begin)? != message_bytes {
            return Ok(None);
        }
        at = begin;
        found += 1;
    }
    Ok(Some((at, found)))
}
