//! Data that comes from a registry, for a thread that reads it: with a digest that it must have.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use oci::{Descriptor, Digester};
use tokio::sync::mpsc;

use crate::error::{Error, Result};

/// What comes, for a blocking thread. A copy goes on where this one is.
#[derive(Clone)]
pub(super) struct Arriving(Arc<Mutex<Come>>);

struct Come {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
    digester: Digester,
    expected: oci::Digest,
    /// Bytes that are still to come.
    left: u64,
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving").finish_non_exhaustive()
    }
}

impl Arriving {
    pub(super) fn new(pieces: mpsc::Receiver<io::Result<Bytes>>, data: &Descriptor) -> Self {
        let digester = Digester::new(data.digest.algorithm());
        let (piece, expected, left) = (Bytes::new(), data.digest.clone(), data.size);
        Self(Arc::new(Mutex::new(Come { pieces, piece, digester, expected, left })))
    }

    /// Takes the rest, which an archive may have behind its end, and compares.
    pub(super) fn finish(mut self) -> Result<()> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| Error::internal(error.to_string()))?;
        let come = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match come.digester.clone().finish() == come.expected {
            true => Ok(()),
            false => Err(Error::internal(format!("verification failed for digest {}", come.expected))),
        }
    }
}

impl Read for Arriving {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut come = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while come.piece.is_empty() {
            match come.pieces.blocking_recv() {
                Some(piece) => {
                    let piece = piece?;
                    come.digester.update(&piece);
                    come.left = come.left.saturating_sub(piece.len() as u64);
                    come.piece = piece;
                }
                None if come.left > 0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                None => return Ok(0),
            }
        }
        let length = come.piece.len().min(to.len());
        to[..length].copy_from_slice(&come.piece.split_to(length));
        Ok(length)
    }
}
