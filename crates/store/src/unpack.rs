//! From a compressed layer to files, with its diff id checked on the way.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use archive::{Decoder, Extracted, Extractor, Mode};
use oci::{Algorithm, Digest, Digester};

use crate::content::BlobWriter;
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

/// Unpacks a layer while it is packed, hashes it, and keeps it as a blob: each on a thread of its own, since each takes about
/// as long as the others. Returns the bytes unpacked, and the digest of the layer.
pub(crate) fn packed(
    pack: impl FnOnce(&mut Outlet<'_>) -> Result<()> + Send,
    blob: &mut BlobWriter,
    target: &Path,
    mode: Mode,
) -> Result<(u64, Digest)> {
    let extractor = Extractor::open(target, mode)?;
    std::thread::scope(|scope| {
        let (to_unpack, pieces) = std::sync::mpsc::sync_channel::<Piece>(PIECES);
        let (to_hash, copies) = std::sync::mpsc::sync_channel::<Arc<Vec<u8>>>(PIECES);
        let (spent, empty) = std::sync::mpsc::channel::<Vec<u8>>();
        let packing = scope.spawn(move || {
            let piece = Vec::with_capacity(PIECE_LEN);
            let mut outlet = Outlet { blob, to_hash, to_unpack, empty, piece, is_refused: false };
            let packed = pack(&mut outlet).and_then(|()| Ok(outlet.send()?));
            (packed, outlet.is_refused)
        });
        let hashing = scope.spawn({
            let spent = spent.clone();
            move || {
                let mut digester = Digester::new(Algorithm::Sha256);
                for piece in copies {
                    digester.update(&piece);
                    hand_back(&spent, piece);
                }
                digester.finish()
            }
        });
        let mut feed = Feed { pieces, spent, current: Arc::default(), position: 0 };
        let extracted = extractor.extract(&mut feed);
        if extracted.is_ok() {
            // The end mark, of which half is enough for the extractor.
            io::copy(&mut feed, &mut io::sink())?;
        }
        drop(feed);
        let (packed, is_refused) = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let digest = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Whoever broke off first knows why.
        if !is_refused {
            packed?;
        }
        Ok((extracted?.bytes, digest))
    })
}

/// Where a layer that is packed goes.
pub(crate) struct Outlet<'a> {
    blob: &'a mut BlobWriter,
    to_hash: SyncSender<Arc<Vec<u8>>>,
    to_unpack: SyncSender<Piece>,
    empty: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    /// Nobody unpacks any more.
    is_refused: bool,
}

impl Outlet<'_> {
    fn send(&mut self) -> io::Result<()> {
        self.blob.write_all(&self.piece)?;
        let mut next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE_LEN));
        next.clear();
        let piece = Arc::new(std::mem::replace(&mut self.piece, next));
        // It ends with this.
        let _ = self.to_hash.send(piece.clone());
        self.to_unpack.send(Ok(piece)).map_err(|_| {
            self.is_refused = true;
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(PIECE_LEN - self.piece.len());
        self.piece.extend_from_slice(&bytes[..n]);
        if self.piece.len() == PIECE_LEN {
            self.send()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The last one who has it gives it back.
fn hand_back(spent: &Sender<Vec<u8>>, piece: Arc<Vec<u8>>) {
    if let Some(piece) = Arc::into_inner(piece) {
        // Its reader may have come to the end already.
        let _ = spent.send(piece);
    }
}

const PIECE_LEN: usize = 256 << 10;
const PIECES: usize = 8;

type Piece = io::Result<Arc<Vec<u8>>>;

/// The reading end of a thread that reads ahead.
struct Feed {
    pieces: Receiver<Piece>,
    spent: Sender<Vec<u8>>,
    current: Arc<Vec<u8>>,
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
                Arc::new(piece)
            });
            // The other side has given up, for a reason it tells itself.
            if sender.send(message).is_err() || done {
                return digester.finish();
            }
        }
    });
    (Feed { pieces, spent, current: Arc::default(), position: 0 }, thread)
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
            hand_back(&self.spent, spent);
        }
        let rest = &self.current[self.position..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.position += n;
        Ok(n)
    }
}
