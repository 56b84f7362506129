//! Appending records, rotating, and never leaving half a record behind.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use jiff::Timestamp;

use super::JsonFileDestination;
use super::compress::Compressor;
use super::encode::{TimeText, record};
use super::rotate::{rotated, shift};
use crate::entry::Stream;
use crate::split::{Piece, Splitter};
use crate::writer::LogWriter;

/// Encoded bytes that are gathered before they are written even within one chunk.
const BATCH_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct JsonFileWriter {
    file: JsonFile,
    splitters: [Splitter; 2],
}

impl JsonFileWriter {
    pub(crate) fn open(destination: &JsonFileDestination) -> io::Result<Self> {
        Ok(Self { file: JsonFile::open(destination.clone())?, splitters: Default::default() })
    }
}

impl LogWriter for JsonFileWriter {
    fn write(&mut self, stream: Stream, chunk: &[u8], now: Timestamp) -> io::Result<()> {
        let Self { file, splitters } = self;
        let mut result = Ok(());
        splitters[stream as usize].push(chunk, now, |piece| keep_first(&mut result, file.add(stream, piece)));
        keep_first(&mut result, file.flush());
        keep_first(&mut result, file.compress_step().map(|_| ()));
        result
    }

    fn end_of_stream(&mut self, stream: Stream, now: Timestamp) -> io::Result<()> {
        let Self { file, splitters } = self;
        let mut result = Ok(());
        splitters[stream as usize].finish(now, |piece| keep_first(&mut result, file.add(stream, piece)));
        keep_first(&mut result, file.flush());
        result
    }

    fn idle(&mut self) -> io::Result<bool> {
        self.file.compress_step()
    }

    fn close(&mut self) -> io::Result<()> {
        let now = self.file.last_time;
        let mut result = self.end_of_stream(Stream::Stdout, now);
        keep_first(&mut result, self.end_of_stream(Stream::Stderr, now));
        while self.file.compressor.is_some() {
            keep_first(&mut result, self.file.compress_step().map(|_| ()));
        }
        result
    }
}

fn keep_first(result: &mut io::Result<()>, next: io::Result<()>) {
    if result.is_ok() {
        *result = next;
    }
}

/// The current file and what has been encoded for it.
#[derive(Debug)]
struct JsonFile {
    destination: JsonFileDestination,
    file: File,
    /// What the file holds, in bytes; the place to cut back to when a write fails half-way.
    written: u64,
    batch: Vec<u8>,
    time: TimeText,
    last_time: Timestamp,
    compressor: Option<Compressor>,
}

impl JsonFile {
    fn open(destination: JsonFileDestination) -> io::Result<Self> {
        let file = open_append(&destination)?;
        let written = file.metadata()?.len();
        Ok(Self {
            destination,
            file,
            written,
            batch: Vec::with_capacity(4096),
            time: TimeText::default(),
            last_time: Timestamp::UNIX_EPOCH,
            compressor: None,
        })
    }

    fn add(&mut self, stream: Stream, piece: Piece<'_>) -> io::Result<()> {
        let mut result = Ok(());
        if let Some(max) = self.destination.file_bytes_max
            && self.written + self.batch.len() as u64 >= max
        {
            result = self.flush().and_then(|()| self.rotate());
        } else if self.batch.len() >= BATCH_BYTES_MAX {
            result = self.flush();
        }
        let attrs = self.destination.attrs.as_deref();
        record(&mut self.batch, piece.text, piece.ends_line, stream, attrs, &mut self.time, piece.time);
        self.last_time = self.last_time.max(piece.time);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.batch);
        match &result {
            Ok(()) => self.written += self.batch.len() as u64,
            // Half a record would make the next one unreadable too. If even that fails, readers skip it.
            Err(_) => drop(self.file.set_len(self.written)),
        }
        self.batch.clear();
        result.map_err(|e| self.explain(&e))
    }

    fn rotate(&mut self) -> io::Result<()> {
        // A second rotation before the first is compressed: the names are about to move.
        while self.compressor.is_some() {
            let _ = self.compress_step();
        }
        let JsonFileDestination { path, files_max, compress, .. } = &self.destination;
        if *files_max < 2 {
            self.file.set_len(0).map_err(|e| self.explain(&e))?;
        } else {
            shift(path, *files_max).map_err(|e| self.explain(&e))?;
            self.file = open_append(&self.destination)?;
            if *compress {
                self.compressor = Some(Compressor::begin(&rotated(path, 1), self.last_time)?);
            }
        }
        self.written = 0;
        Ok(())
    }

    fn compress_step(&mut self) -> io::Result<bool> {
        let Some(compressor) = &mut self.compressor else { return Ok(false) };
        let more = compressor.step();
        if !matches!(more, Ok(true)) {
            self.compressor = None;
        }
        more
    }

    fn explain(&self, e: &io::Error) -> io::Error {
        io::Error::new(e.kind(), format!("log file {}: {e}", self.destination.path.display()))
    }
}

fn open_append(destination: &JsonFileDestination) -> io::Result<File> {
    File::options()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(&destination.path)
        .map_err(|e| io::Error::new(e.kind(), format!("open log file {}: {e}", destination.path.display())))
}
