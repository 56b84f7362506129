//! What a stream is compressed with is seen from its first bytes; a file name says nothing.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use crate::error::Error;

/// Bytes that [`Compression::sniff`] wants to see.
pub const SNIFF_LEN: usize = 6;
const BUFFER_LEN: usize = 256 << 10;
/// `xz -9` wants 65 MiB to decompress; a header may ask for 4 GiB. (zstd's own limit is a window of 128 MiB.)
const XZ_MEMORY_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Compression {
    /// From the first bytes. Known but unsupported ones are errors, everything else is `None`.
    pub fn sniff(head: &[u8]) -> Result<Compression, Error> {
        Ok(match head {
            [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            // A skippable frame, with which zstd:chunked and pzstd begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            [b'B', b'Z', b'h', ..] => Compression::Bzip2,
            [b'P', b'K', 3, 4, ..] => return Err(Error::Compression("zip")),
            _ => Compression::None,
        })
    }
}

/// Compresses what is written, with zstd.
pub struct Compressor<W: Write>(zstd::stream::write::Encoder<'static, W>);

impl<W: Write> fmt::Debug for Compressor<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl<W: Write> Compressor<W> {
    /// # Errors
    /// No memory.
    pub fn new(writer: W) -> io::Result<Compressor<W>> {
        let mut encoder = zstd::stream::write::Encoder::new(writer, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        // What is damaged is found out also where there is no digest.
        encoder.include_checksum(true)?;
        Ok(Compressor(encoder))
    }

    /// What was held back is written, too.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Undoes whatever compression a stream has.
pub struct Decoder<R: Read> {
    inner: Inner<BufReader<R>>,
}

enum Inner<B: BufRead> {
    Plain(B),
    // More than one member, as pigz, estargz and pbzip2 write, must not end after the first.
    Gzip(Box<MultiGzDecoder<B>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, B>>),
    Xz(Box<XzDecoder<B>>),
    Bzip2(Box<MultiBzDecoder<B>>),
}

impl<R: Read> Decoder<R> {
    pub fn new(reader: R) -> Result<Decoder<R>, Error> {
        let mut buffered = BufReader::with_capacity(BUFFER_LEN, reader);
        let head = peek(&mut buffered)?;
        let inner = match Compression::sniff(&head)? {
            Compression::None => Inner::Plain(buffered),
            Compression::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(buffered))),
            Compression::Zstd => Inner::Zstd(Box::new(
                zstd::stream::read::Decoder::with_buffer(buffered).map_err(Error::Decompress)?,
            )),
            Compression::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES_MAX, CONCATENATED)
                    .map_err(|error| Error::Decompress(error.into()))?;
                Inner::Xz(Box::new(XzDecoder::new_stream(buffered, stream)))
            }
            Compression::Bzip2 => Inner::Bzip2(Box::new(MultiBzDecoder::new(buffered))),
        };
        Ok(Decoder { inner })
    }

    pub fn compression(&self) -> Compression {
        match &self.inner {
            Inner::Plain(_) => Compression::None,
            Inner::Gzip(_) => Compression::Gzip,
            Inner::Zstd(_) => Compression::Zstd,
            Inner::Xz(_) => Compression::Xz,
            Inner::Bzip2(_) => Compression::Bzip2,
        }
    }
}

/// The first bytes without consuming them; `fill_buf` alone may give fewer than there are.
fn peek<R: Read>(reader: &mut BufReader<R>) -> io::Result<[u8; SNIFF_LEN]> {
    let mut head = [0; SNIFF_LEN];
    // A pipe may hand out one byte at a time, but whoever writes a tar writes more than six at once; should
    // it happen all the same, the stream counts as uncompressed and the tar header is refused.
    let buffer = reader.fill_buf()?;
    let n = buffer.len().min(SNIFF_LEN);
    head[..n].copy_from_slice(&buffer[..n]);
    Ok(head)
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(reader) => reader.read(buffer),
            Inner::Gzip(reader) => reader.read(buffer),
            Inner::Zstd(reader) => reader.read(buffer),
            Inner::Xz(reader) => reader.read(buffer),
            Inner::Bzip2(reader) => reader.read(buffer),
        }
    }
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("compression", &self.compression()).finish_non_exhaustive()
    }
}
