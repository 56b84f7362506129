//! Appending records, rotating, and never leaving half a record behind.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use jiff::Timestamp;

use super::compress::Compressor;
use super::rotate::{rotated, shift};
use super::{FileDestination, Format};
use crate::lines::Sink;
use crate::split::Piece;
use crate::stream::Stream;
use crate::time::TimeText;
use crate::{json_file, local};

/// Encoded bytes that are gathered before they are written even within one chunk.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The current file and what has been encoded for it.
#[derive(Debug)]
pub(crate) struct FileWriter {
    destination: FileDestination,
    encoder: Encoder,
    file: File,
    /// What the file holds, in bytes; the place to cut back to when a write fails half-way.
    written: u64,
    batch: Vec<u8>,
    last_time: Timestamp,
    compressor: Option<Compressor>,
}

/// With the constant attributes of every record, encoded once.
#[derive(Debug)]
enum Encoder {
    JsonFile { attrs: Option<String>, time: TimeText },
    Local { attrs: Vec<u8> },
}

impl FileWriter {
    pub(crate) fn open(destination: &FileDestination) -> io::Result<Self> {
        let attrs = &destination.attrs;
        let encoder = match destination.format {
            Format::JsonFile => Encoder::JsonFile {
                attrs: (!attrs.is_empty()).then(|| serde_json::to_string(attrs)).transpose()?,
                time: TimeText::default(),
            },
            Format::Local => {
                if let Some(directory) = destination.path.parent() {
                    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|e| {
                        io::Error::new(e.kind(), format!("make directory {}: {e}", directory.display()))
                    })?;
                }
                Encoder::Local { attrs: local::encode_attrs(attrs) }
            }
        };
        let file = open_append(destination)?;
        let written = file.metadata()?.len();
        Ok(Self {
            destination: destination.clone(),
            encoder,
            file,
            written,
            batch: Vec::new(),
            last_time: Timestamp::UNIX_EPOCH,
            compressor: None,
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        // A second rotation before the first is compressed: the names are about to move.
        while self.compressor.is_some() {
            let _ = self.idle();
        }
        let FileDestination { path, files_max, compress, .. } = &self.destination;
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

    fn explain(&self, e: &io::Error) -> io::Error {
        io::Error::new(e.kind(), format!("log file {}: {e}", self.destination.path.display()))
    }
}

impl Sink for FileWriter {
    fn add(&mut self, stream: Stream, piece: Piece<'_>) -> io::Result<()> {
        let mut result = Ok(());
        if let Some(max) = self.destination.file_bytes_max
            && self.written + self.batch.len() as u64 >= max
            && self.written + self.batch.len() as u64 > 0
        {
            result = self.flush().and_then(|()| self.rotate());
        } else if self.batch.len() >= BATCH_BYTES_MAX {
            result = self.flush();
        }
        match &mut self.encoder {
            Encoder::JsonFile { attrs, time } => {
                let attrs = attrs.as_deref();
                json_file::record(
                    &mut self.batch,
                    piece.text,
                    piece.ends_line,
                    stream,
                    attrs,
                    time,
                    piece.time,
                );
            }
            Encoder::Local { attrs } => local::record(&mut self.batch, stream, &piece, attrs),
        }
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

    fn idle(&mut self) -> io::Result<bool> {
        let Some(compressor) = &mut self.compressor else { return Ok(false) };
        let more = compressor.step();
        if !matches!(more, Ok(true)) {
            self.compressor = None;
        }
        more
    }

    fn clear(&mut self) -> io::Result<()> {
        let flushed = self.flush();
        // What it would make is not wanted any more.
        self.compressor = None;
        super::clear(&self.destination.path)?;
        self.written = 0;
        flushed
    }

    fn close(&mut self) -> io::Result<()> {
        let mut result = self.flush();
        while self.compressor.is_some() {
            crate::lines::keep_first(&mut result, self.idle().map(|_| ()));
        }
        result
    }
}

fn open_append(destination: &FileDestination) -> io::Result<File> {
    File::options()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(&destination.path)
        .map_err(|e| io::Error::new(e.kind(), format!("open log file {}: {e}", destination.path.display())))
}
