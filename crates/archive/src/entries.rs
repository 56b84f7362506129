//! The entries of a tar stream: ustar, PAX, GNU long names and GNU sparse files.
//!
//! The `tar` crate decodes header fields and PAX records; walking the blocks is ours, because a header's
//! announced length must not become an allocation, and data should be read in large pieces.

use std::io::{self, Read};

use crate::error::Error;
use crate::path::show;
use crate::pax::Pax;

pub(crate) const BLOCK: usize = 512;
/// Long names and PAX headers above this are refused: names and attributes are far smaller.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;
/// Pieces of a sparse file.
pub(crate) const SPARSE_PIECES_MAX: usize = 1 << 16;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    Char,
    Block,
    Fifo,
}

/// One entry, without its data.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Bytes of the file, holes included.
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Target of a link.
    pub link: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Offset and length of the pieces that the archive holds, if the file is sparse.
    pub(crate) sparse: Option<Vec<(u64, u64)>>,
}

/// Walks a tar stream. After [`next`](Entries::next), `Read` gives the entry's data as the archive has it.
#[derive(Debug)]
pub struct Entries<R> {
    reader: R,
    /// Bytes of the current entry's data that were not read, and of its padding.
    data_left: u64,
    padding: u64,
    current: Vec<u8>,
    ended: bool,
}

impl<R: Read> Entries<R> {
    pub fn new(reader: R) -> Entries<R> {
        Entries { reader, data_left: 0, padding: 0, current: Vec::new(), ended: false }
    }

    /// The stream behind, wherever it stands.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// The next entry; what is left of the current one is skipped. Global PAX headers are passed over.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not lend the data between two entries"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, Error> {
        let mut pax = Pax::default();
        let mut long_name = None;
        let mut long_link = None;
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return if long_name.is_some() || long_link.is_some() {
                    Err(self.truncated())
                } else {
                    Ok(None)
                };
            };
            let bad = |error: io::Error| Error::Header(error.to_string());
            let size = number(&header.as_old().size, || header.entry_size()).map_err(bad)?;
            let flag = header.entry_type().as_byte();
            match flag {
                b'x' | b'X' => pax.parse(&self.extension(size)?)?,
                b'g' => _ = self.extension(size)?,
                b'L' => long_name = Some(until_nul(self.extension(size)?)),
                b'K' => long_link = Some(until_nul(self.extension(size)?)),
                _ => return self.entry(&header, pax, long_name, long_link).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &tar::Header,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, Error> {
        let name = pax.path.or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
        self.current.clone_from(&name);
        let bad = |error: io::Error| Error::Header(format!("{}: {error}", show(&name)));
        let reason = |reason: &str| Error::Entry { name: show(&name), reason: reason.into() };
        let link = pax.link.or(long_link).unwrap_or_else(|| {
            header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default()
        });
        let flag = header.entry_type().as_byte();
        let kind = match flag {
            // Old archives mark a directory only by the slash at the end.
            0 | b'0' if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Char,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(reason(&format!("unhandled tar header type {other}"))),
        };
        let stored = match kind {
            Kind::File => pax
                .size
                .map_or_else(|| number(&header.as_old().size, || header.entry_size()).map_err(bad), Ok)?,
            // A size there means nothing (pax(1)), and some writers leave one.
            Kind::Hardlink | Kind::Symlink | Kind::Directory | Kind::Char | Kind::Block | Kind::Fifo => 0,
        };
        if stored > i64::MAX as u64 {
            return Err(reason("size is out of range"));
        }
        self.data_left = stored;
        self.padding = stored.wrapping_neg() % BLOCK as u64;
        let mut size = stored;
        let mut sparse = None;
        if flag == b'S' {
            let (real_size, pieces) = self.gnu_sparse(header)?;
            (size, sparse) = (real_size, Some(pieces));
        } else if pax.sparse_major == Some(1) {
            sparse = Some(self.pax_sparse()?);
            size = pax.sparse_size.ok_or_else(|| reason("sparse file without its size"))?;
        } else if let Some(pieces) = pax.sparse_map {
            sparse = Some(pieces);
            size = pax.sparse_size.ok_or_else(|| reason("sparse file without its size"))?;
        }
        if let Some(pieces) = &sparse {
            check_sparse(pieces, size, self.data_left).ok_or_else(|| reason("invalid sparse map"))?;
        }
        let old = header.as_old();
        let id = |id: u64| u32::try_from(id).map_err(|_| reason("owner is out of range"));
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => (number(&old.mtime, || header.mtime()).map_err(bad)?.cast_signed(), 0),
        };
        Ok(Entry {
            kind,
            size,
            mode: number(&old.mode, || header.mode()).map_err(bad)? & 0o7777,
            uid: id(pax.uid.map_or_else(|| number(&old.uid, || header.uid()).map_err(bad), Ok)?)?,
            gid: id(pax.gid.map_or_else(|| number(&old.gid, || header.gid()).map_err(bad), Ok)?)?,
            mtime,
            link,
            device: match kind {
                Kind::Char | Kind::Block => (
                    header.device_major().map_err(bad)?.unwrap_or_default(),
                    header.device_minor().map_err(bad)?.unwrap_or_default(),
                ),
                _ => (0, 0),
            },
            xattrs: pax.xattrs,
            sparse,
            name,
        })
    }

    /// The next header block with a good checksum; `None` at the end mark or the end of the stream.
    fn header(&mut self) -> Result<Option<tar::Header>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut header = tar::Header::new_old();
        let block = header.as_mut_bytes();
        match read_full(&mut self.reader, block)? {
            0 => {
                self.ended = true;
                return Ok(None);
            }
            BLOCK => {}
            _ => return Err(self.truncated()),
        }
        if block.iter().all(|&b| b == 0) {
            // Two of them end the archive; one alone is accepted, as by everybody.
            self.ended = true;
            return Ok(None);
        }
        let sum: u32 = block[..148].iter().chain(&block[156..]).map(|&b| u32::from(b)).sum::<u32>() + 8 * 32;
        match header.cksum() {
            Ok(expected) if expected == sum => Ok(Some(header)),
            _ => Err(Error::Header("checksum mismatch".into())),
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > EXTENSION_BYTES_MAX {
            return Err(Error::Limit { what: "bytes in an extended header", limit: EXTENSION_BYTES_MAX });
        }
        let mut bytes = vec![0; size as usize];
        if read_full(&mut self.reader, &mut bytes)? != bytes.len() {
            return Err(self.truncated());
        }
        self.data_left = 0;
        self.padding = size.wrapping_neg() % BLOCK as u64;
        Ok(bytes)
    }

    /// The old GNU format: four pieces in the header, more in blocks that follow it.
    fn gnu_sparse(&mut self, header: &tar::Header) -> Result<(u64, Vec<(u64, u64)>), Error> {
        let bad = |error: io::Error| Error::Header(error.to_string());
        let gnu = header.as_gnu().ok_or_else(|| Error::Header("sparse file in a non-GNU archive".into()))?;
        let mut pieces = Vec::new();
        let mut push = |piece: &tar::GnuSparseHeader| -> Result<(), Error> {
            if !piece.is_empty() {
                pieces.push((piece.offset().map_err(bad)?, piece.length().map_err(bad)?));
            }
            if pieces.len() > SPARSE_PIECES_MAX {
                return Err(Error::Limit {
                    what: "pieces of a sparse file",
                    limit: SPARSE_PIECES_MAX as u64,
                });
            }
            Ok(())
        };
        gnu.sparse.iter().try_for_each(&mut push)?;
        let mut extended = gnu.is_extended();
        while extended {
            let mut block = tar::GnuExtSparseHeader::new();
            if read_full(&mut self.reader, block.as_mut_bytes())? != BLOCK {
                return Err(Error::Truncated(show(&self.current)));
            }
            block.sparse.iter().try_for_each(&mut push)?;
            extended = block.is_extended();
        }
        Ok((gnu.real_size().map_err(bad)?, pieces))
    }

    /// PAX sparse format 1.0: the map is text at the start of the data, padded to a block.
    fn pax_sparse(&mut self) -> Result<Vec<(u64, u64)>, Error> {
        let bad = || Error::Header("bad sparse map".into());
        let mut text = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        let mut wanted = None;
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            let mut block = [0; BLOCK];
            let n = read_full(self, &mut block)?;
            if n != BLOCK {
                return Err(self.truncated());
            }
            text.extend_from_slice(&block);
            while let Some(end) = text.iter().position(|&b| b == b'\n') {
                if wanted.is_some_and(|wanted| numbers.len() >= wanted) {
                    break;
                }
                let line = std::str::from_utf8(&text[..end]).map_err(|_| bad())?;
                let number: u64 = line.parse().map_err(|_| bad())?;
                text.drain(..=end);
                match wanted {
                    None if number > SPARSE_PIECES_MAX as u64 => {
                        return Err(Error::Limit {
                            what: "pieces of a sparse file",
                            limit: SPARSE_PIECES_MAX as u64,
                        });
                    }
                    None => wanted = Some(2 * number as usize),
                    Some(_) => numbers.push(number),
                }
            }
            if text.len() > 2 * BLOCK {
                return Err(bad());
            }
        }
        Ok(numbers.as_chunks::<2>().0.iter().map(|&[a, b]| (a, b)).collect())
    }

    fn skip(&mut self) -> Result<(), Error> {
        let mut left = self.data_left + self.padding;
        (self.data_left, self.padding) = (0, 0);
        let mut sink = [0; 16 << 10];
        while left > 0 {
            let want = left.min(sink.len() as u64) as usize;
            match self.reader.read(&mut sink[..want]) {
                Ok(0) => return Err(self.truncated()),
                Ok(n) => left -= n as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(decode_error(error)),
            }
        }
        Ok(())
    }

    fn truncated(&self) -> Error {
        Error::Truncated(show(&self.current))
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = self.data_left.min(buffer.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        let n = self.reader.read(&mut buffer[..want])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.data_left -= n as u64;
        Ok(n)
    }
}

/// Pieces in order, inside the file, and exactly the data that is there.
fn check_sparse(pieces: &[(u64, u64)], size: u64, stored: u64) -> Option<()> {
    let mut end = 0;
    let mut sum: u64 = 0;
    for &(offset, length) in pieces {
        if offset < end {
            return None;
        }
        end = offset.checked_add(length)?;
        sum = sum.checked_add(length)?;
    }
    (end <= size && sum == stored && size <= i64::MAX as u64).then_some(())
}

/// A blank field is zero, as in Go: some writers leave blank what means nothing.
fn number<T: Default>(field: &[u8], parse: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if field.iter().all(|&b| b == 0 || b == b' ') { Ok(T::default()) } else { parse() }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&b| b == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Fills the buffer, or reads to the end of the stream.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(decode_error(error)),
        }
    }
    Ok(filled)
}

/// An error of the stream below is nearly always the decoder's: bad data or a sudden end.
pub(crate) fn decode_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated(String::new()),
        _ if error.raw_os_error().is_some() => Error::Io(error),
        _ => Error::Decompress(error),
    }
}
