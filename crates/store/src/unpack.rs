//! From a compressed layer to files, with its diff id checked on the way.

use std::io::{self, Read};
use std::path::Path;

use archive::{Decoder, Extracted, Extractor, Mode};
use oci::{Algorithm, Digest, Digester};

use crate::error::{Error, Result};

/// Unpacks a layer's blob into a directory. Returns the bytes unpacked.
pub(crate) fn layer(blob: impl Read + Send, target: &Path, mode: Mode, diff_id: &Digest) -> Result<u64> {
    let (extracted, actual) = stream(Decoder::new(blob)?, target, mode, diff_id.algorithm())?;
    if actual != *diff_id {
        return Err(Error::DigestMismatch { expected: diff_id.clone(), actual });
    }
    Ok(extracted)
}

/// Unpacks an uncompressed stream to its very end, and hashes all of it.
pub(crate) fn stream(
    decoder: impl Read + Send,
    target: &Path,
    mode: Mode,
    algorithm: Algorithm,
) -> Result<(u64, Digest)> {
    extract(decoder, target, mode, algorithm).map(|(extracted, digest)| (extracted.bytes, digest))
}

/// As [`stream`], with all that is known of what was unpacked.
pub(crate) fn extract(
    decoder: impl Read + Send,
    target: &Path,
    mode: Mode,
    algorithm: Algorithm,
) -> Result<(Extracted, Digest)> {
    let extractor = Extractor::open(target, mode)?;
    std::thread::scope(|scope| {
        // Inflating and hashing on one core, making files on the other.
        let (mut feed, pieces) = pipe(scope, decoder, algorithm);
        let extracted = extractor.extract(&mut feed);
        let drained = match &extracted {
            // Padding behind the end mark belongs to the diff id.
            Ok(_) => io::copy(&mut feed, &mut io::sink()).map(drop),
            Err(_) => Ok(()),
        };
        drop(feed);
        let digest = pieces.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let extracted = extracted?;
        drained.map_err(archive::Error::Decompress)?;
        Ok((extracted, digest))
    })
}

const PIECE_LEN: usize = 256 << 10;
const PIECES: usize = 8;

type Piece = io::Result<Vec<u8>>;

/// The reading end of a thread that reads ahead.
struct Feed {
    pieces: std::sync::mpsc::Receiver<Piece>,
    spent: std::sync::mpsc::Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
}

fn pipe<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    mut reader: impl Read + Send + 'scope,
    algorithm: Algorithm,
) -> (Feed, std::thread::ScopedJoinHandle<'scope, Digest>) {
    let (sender, pieces) = std::sync::mpsc::sync_channel::<Piece>(PIECES);
    let (spent, empty) = std::sync::mpsc::channel::<Vec<u8>>();
    let thread = scope.spawn(move || {
        let mut digester = Digester::new(algorithm);
        loop {
            let mut piece = empty.try_recv().unwrap_or_default();
            piece.resize(PIECE_LEN, 0);
            let outcome = fill(&mut reader, &mut piece);
            let done = !matches!(outcome, Ok(n) if n > 0);
            let message = outcome.map(|n| {
                piece.truncate(n);
                digester.update(&piece);
                piece
            });
            // The other side has given up, for a reason it tells itself.
            if sender.send(message).is_err() || done {
                return digester.finish();
            }
        }
    });
    (Feed { pieces, spent, current: Vec::new(), position: 0 }, thread)
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() {
            let Ok(piece) = self.pieces.recv() else { return Ok(0) };
            let spent = std::mem::replace(&mut self.current, piece?);
            self.position = 0;
            // Its reader may have come to the end already.
            let _ = self.spent.send(spent);
        }
        let rest = &self.current[self.position..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.position += n;
        Ok(n)
    }
}
