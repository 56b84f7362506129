//! Compressing a rotated file, a slice at a time.
//!
//! The monitor has one thread and a container waiting for its pipe to be drained, so a 20 MiB file is not
//! compressed in one go: each call works off [`STEP_BYTES`]. Until the end the rotated file stays as it is;
//! then the finished `.gz` is renamed into place and the original removed.
//!
//! The gzip header carries `{"lastTime":...,"inode":...}`: Docker writes the former, which lets a reader
//! skip the file for `--since`; the latter tells a follower that holds the uncompressed file open which
//! of the files this is.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rotate::{compressed, with_suffix};

/// Input worked off per step: about 2 ms.
const STEP_BYTES: usize = 128 * 1024;

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "lastTime")]
    last_time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
}

/// The inode of the file that a compressed file was made from, from its gzip header's extra field.
pub(crate) fn source_inode(extra: Option<&[u8]>) -> Option<u64> {
    serde_json::from_slice::<Header>(extra?).ok()?.inode
}

/// A compression in progress.
pub(super) struct Compressor {
    source: File,
    source_path: PathBuf,
    beside: PathBuf,
    encoder: GzEncoder<File>,
    buffer: Box<[u8]>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("source", &self.source_path).finish_non_exhaustive()
    }
}

impl Compressor {
    /// Begins to compress `path` (a rotated file), whose last record was written at `last_time`.
    pub(super) fn begin(path: &Path, last_time: Timestamp) -> io::Result<Self> {
        let source = File::open(path)?;
        let beside = with_suffix(path, ".gz.tmp");
        let target = File::options().write(true).create(true).truncate(true).mode(0o640).open(&beside)?;
        let header = Header { last_time, inode: Some(source.metadata()?.ino()) };
        let encoder = GzBuilder::new()
            .extra(serde_json::to_vec(&header).map_err(io::Error::other)?)
            .write(target, Compression::new(6));
        Ok(Self {
            source,
            source_path: path.to_owned(),
            beside,
            encoder,
            buffer: vec![0; STEP_BYTES].into_boxed_slice(),
        })
    }

    /// One step; answers whether there is more to do. After an error the compression is given up: the
    /// uncompressed file stays and is readable.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        let read = self.source.read(&mut self.buffer)?;
        if read > 0 {
            self.encoder.write_all(&self.buffer[..read])?;
            return Ok(true);
        }
        self.encoder.try_finish()?;
        std::fs::rename(&self.beside, compressed(&self.source_path))?;
        std::fs::remove_file(&self.source_path)?;
        Ok(false)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // Gone already if it was finished.
        let _ = std::fs::remove_file(&self.beside);
    }
}
