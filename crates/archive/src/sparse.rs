//! Files with holes: where their data is, and how an archive says it (GNU tar's manual, "PAX Format, Version 1.0").

use std::fs::File;

use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;

use crate::entries::{BLOCK, SPARSE_PIECES_MAX};

/// A run of bytes that are not all in a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// Where a file's data is; `None`: it has no holes worth a word, or the file system does not tell.
pub(crate) fn pieces(file: &File, metadata: &Stat) -> Option<Vec<Piece>> {
    let size = metadata.st_size.cast_unsigned();
    // st_blocks counts 512 bytes whatever the file system's block is (inode(7)).
    if metadata.st_blocks.cast_unsigned().saturating_mul(512) >= size {
        return None;
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < size => start,
            // Nothing but a hole is left.
            Ok(_) | Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if end <= start || pieces.len() + 1 == SPARSE_PIECES_MAX {
            return None;
        }
        pieces.push(Piece { start, len: end - start });
        at = end;
    }
    if pieces == [(Piece { start: 0, len: size })] {
        return None;
    }
    if at < size || pieces.is_empty() {
        // The end is said by a piece of nothing.
        pieces.push(Piece { start: size, len: 0 });
    }
    Some(pieces)
}

/// The number of pieces, then start and length of each, a number a line, filled up to whole blocks.
pub(crate) fn map(pieces: &[Piece]) -> Vec<u8> {
    let mut text = format!("{}\n", pieces.len());
    for piece in pieces {
        text.push_str(&format!("{}\n{}\n", piece.start, piece.len));
    }
    let mut map = text.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// What a reader that knows nothing of holes calls the file, since what it gets is not what the name promises.
pub(crate) fn stand_in(name: &[u8]) -> Vec<u8> {
    let at = name.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    [&name[..at], b"GNUSparseFile.0/", &name[at..]].concat()
}
