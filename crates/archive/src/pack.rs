//! Packing a directory into a tar: the same directory gives the same bytes.
//!
//! Entries come in the order of their names. Whiteouts of an overlay's upper directory are translated back.
//! Names, links, times, owners and attributes that the ustar header cannot hold go into a PAX header.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode as FileMode, OFlags, Stat};
use rustix::io::Errno;

use crate::changes::{Change, ChangeKind};
use crate::entries::{BLOCK, Kind};
use crate::error::{At, Error};
use crate::sparse::{self, Piece};
use crate::tree;
use crate::whiteout::{self, Mode};

const COPY_LEN: usize = 256 << 10;

/// How a directory is packed.
#[derive(Debug, Clone, Copy)]
pub struct PackOptions {
    /// `Overlay`: the directory is an overlay's upper one. Otherwise names are names.
    pub mode: Mode,
    /// Write an entry for the directory itself, named `./`.
    pub root_entry: bool,
    /// Times without their fraction, as Docker's archives have them: then few entries need a PAX header.
    pub whole_seconds: bool,
    /// For a copy that comes back to a file system: access lists too, and the holes of sparse files stay holes. Layers and
    /// Docker's archives have neither.
    pub faithful: bool,
}

impl Default for PackOptions {
    fn default() -> PackOptions {
        PackOptions { mode: Mode::Verbatim, root_entry: true, whole_seconds: false, faithful: false }
    }
}

/// Packs a directory and ends the archive.
pub fn pack<W: Write>(root: &Path, writer: W, options: PackOptions) -> Result<(), Error> {
    let name = root.as_os_str().as_encoded_bytes();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags, FileMode::empty()).at("open", name)?;
    let mut tar = TarWriter::new(writer);
    tar.append_tree(root, options)?;
    tar.finish()?;
    Ok(())
}

/// What [`TarWriter`] needs to know of an entry without data from disk.
#[derive(Debug, Clone)]
pub struct FileEntry {
    pub name: Vec<u8>,
    pub kind: Kind,
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub link: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl FileEntry {
    /// A file of root's with time 0, so that archives we make up are always the same.
    pub fn file(name: &str, mode: u32, size: u64) -> FileEntry {
        FileEntry {
            name: name.into(),
            kind: Kind::File,
            size,
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }

    /// A whiteout.
    fn hiding(path: &[u8]) -> FileEntry {
        FileEntry { name: whiteout::hiding(path), ..FileEntry::file("", 0o600, 0) }
    }

    pub fn directory(name: &str, mode: u32) -> FileEntry {
        FileEntry { kind: Kind::Directory, ..FileEntry::file(name, mode, 0) }
    }
}

/// Writes entries one after the other.
#[derive(Debug)]
pub struct TarWriter<W> {
    writer: W,
    /// For the data of files, made when the first one comes.
    buffer: Vec<u8>,
}

/// What becomes of a file that has less data than its header has announced.
#[derive(Clone, Copy, PartialEq)]
enum Short {
    Fails,
    /// Somebody writes to it meanwhile: the rest is zeros, as with GNU tar.
    IsFilled,
}

/// The names of files with several links, by device and inode: the first is written whole.
type Links = HashMap<(u64, u64), Vec<u8>>;

/// A directory on the way down. Each holds a descriptor.
struct Level {
    dir: OwnedFd,
    /// What its entries' names begin with.
    prefix: Vec<u8>,
    names: std::vec::IntoIter<CString>,
}

impl Level {
    fn new(dir: OwnedFd, prefix: Vec<u8>) -> Result<Level, Error> {
        let mut names = tree::names(&dir).at("list", &prefix)?;
        names.sort_unstable();
        Ok(Level { dir, prefix, names: names.into_iter() })
    }
}

/// No path is longer than 4096 bytes, so whoever makes deeper trees does it on purpose.
const LEVELS_MAX: usize = 2048;

impl<W: Write> TarWriter<W> {
    pub fn new(writer: W) -> TarWriter<W> {
        TarWriter { writer, buffer: Vec::new() }
    }

    /// An entry with its data, which must be `entry.size` bytes.
    pub fn append(&mut self, entry: &FileEntry, data: impl Read) -> Result<(), Error> {
        self.append_data(entry, data, Short::Fails)
    }

    fn append_data(&mut self, entry: &FileEntry, data: impl Read, short: Short) -> Result<(), Error> {
        self.header(entry)?;
        if entry.kind != Kind::File || entry.size == 0 {
            return Ok(());
        }
        self.data(&entry.name, entry.size, data, short)?;
        self.pad(entry.size)
    }

    /// The form of GNU tar's that its manual calls PAX 1.0: the map of pieces stands before the data.
    fn append_sparse(&mut self, entry: &FileEntry, file: &File, pieces: &[Piece]) -> Result<(), Error> {
        let map = sparse::map(pieces);
        let size = map.len() as u64 + pieces.iter().map(|piece| piece.len).sum::<u64>();
        let mut pax = Vec::new();
        record(&mut pax, "GNU.sparse.major", b"1");
        record(&mut pax, "GNU.sparse.minor", b"0");
        record(&mut pax, "GNU.sparse.name", &entry.name);
        record(&mut pax, "GNU.sparse.realsize", entry.size.to_string().as_bytes());
        let name = sparse::stand_in(&entry.name);
        self.header_with(&FileEntry { name, size, ..entry.clone() }, pax)?;
        self.writer.write_all(&map)?;
        for piece in pieces {
            let mut file = file;
            file.seek(SeekFrom::Start(piece.start)).at("seek", &entry.name)?;
            self.data(&entry.name, piece.len, file, Short::IsFilled)?;
        }
        self.pad(size)
    }

    fn data(&mut self, name: &[u8], size: u64, mut data: impl Read, short: Short) -> Result<(), Error> {
        self.buffer.resize(COPY_LEN, 0);
        let mut left = size;
        while left > 0 {
            let want = left.min(self.buffer.len() as u64) as usize;
            match data.read(&mut self.buffer[..want]) {
                Ok(0) if short == Short::IsFilled => {
                    io::copy(&mut io::repeat(0).take(left), &mut self.writer)?;
                    left = 0;
                }
                Ok(0) => {
                    return Err(Error::Entry {
                        name: crate::path::show(name),
                        reason: format!("shrank by {left} bytes while it was read"),
                    });
                }
                Ok(n) => {
                    self.writer.write_all(&self.buffer[..n])?;
                    left -= n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("read", name),
            }
        }
        Ok(())
    }

    /// All that is below a directory, by names that begin in it.
    pub fn append_tree(&mut self, root: OwnedFd, options: PackOptions) -> Result<(), Error> {
        if options.root_entry {
            self.append_root(&root, b"./", options)?;
        }
        self.walk(root, Vec::new(), options)
    }

    /// A directory, called `name` without a slash at its end, and all that is below it. Without a name, all names begin
    /// with a slash.
    pub fn append_directory(&mut self, dir: OwnedFd, name: &[u8], options: PackOptions) -> Result<(), Error> {
        let prefix = [name, b"/"].concat();
        self.append_root(&dir, &prefix, options)?;
        self.walk(dir, prefix, options)
    }

    /// What a directory has at `name`, called `called`; with all below, if it is a directory itself.
    pub fn append_entry(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        called: &[u8],
        options: PackOptions,
    ) -> Result<(), Error> {
        match self.entry(dir, name, called.to_vec(), options, &mut Links::new())? {
            Some((below, prefix)) => self.walk(below, prefix, options),
            None => Ok(()),
        }
    }

    /// Each change, as a layer has it: what is new or changed without what is below it, and a whiteout for what is gone.
    /// `root` has the new tree, of which nothing goes away meanwhile.
    pub fn append_changes(
        &mut self,
        root: &OwnedFd,
        changes: &[Change],
        options: PackOptions,
    ) -> Result<(), Error> {
        let mut links = Links::new();
        // Most changes lie beside the one before.
        let mut parent: (&[u8], Option<OwnedFd>) = (b"", None);
        for change in changes {
            let path = &change.path[..];
            if change.kind == ChangeKind::Deleted {
                self.header(&FileEntry::hiding(path))?;
                continue;
            }
            let at = path.iter().rposition(|&b| b == b'/');
            let (above, name) = at.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
            if parent.0 != above || parent.1.is_none() {
                parent = (above, Some(tree::open_below(root, above).at("open", above)?));
            }
            let Some(dir) = &parent.1 else { continue };
            self.entry(dir, name, path.to_vec(), options, &mut links)?;
        }
        Ok(())
    }

    fn append_root(&mut self, root: &OwnedFd, name: &[u8], options: PackOptions) -> Result<(), Error> {
        let metadata = rustix::fs::fstat(root).at("stat", name)?;
        let mut entry = entry_of(name.to_vec(), Kind::Directory, &metadata, options);
        entry.xattrs = xattrs(Attributes::Of(root), name, options)?;
        self.header(&entry)
    }

    /// Who made the tree decides how deep it is: this is no recursion.
    fn walk(&mut self, root: OwnedFd, prefix: Vec<u8>, options: PackOptions) -> Result<(), Error> {
        let mut links = Links::new();
        let mut levels = vec![Level::new(root, prefix)?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let name = name.as_bytes();
            let path = [&level.prefix[..], name].concat();
            if let Some((below, prefix)) = self.entry(&level.dir, name, path, options, &mut links)? {
                if levels.len() == LEVELS_MAX {
                    return Err(Error::Limit { what: "directory levels", limit: LEVELS_MAX as u64 });
                }
                levels.push(Level::new(below, prefix)?);
            }
        }
        Ok(())
    }

    /// One entry. If it is a directory: itself, opened, and what the names in it begin with.
    fn entry(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        options: PackOptions,
        links: &mut Links,
    ) -> Result<Option<(OwnedFd, Vec<u8>)>, Error> {
        let metadata = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Somebody else may be at work in there.
            Err(Errno::NOENT) => return Ok(None),
            other => other.at("stat", &path)?,
        };
        let kind = match FileType::from_raw_mode(metadata.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            // A socket means nothing to anybody but who listens on it.
            _ => return Ok(None),
        };
        if options.mode == Mode::Overlay && kind == Kind::Char && metadata.st_rdev == 0 {
            self.mark(whiteout::hiding(&path), &metadata, options)?;
            return Ok(None);
        }
        let mut entry = entry_of(path, kind, &metadata, options);
        if kind != Kind::Directory && metadata.st_nlink > 1 {
            let first = links.entry((metadata.st_dev, metadata.st_ino)).or_insert_with(|| entry.name.clone());
            if *first != entry.name {
                entry.kind = Kind::Hardlink;
                entry.link.clone_from(first);
                entry.size = 0;
                self.header(&entry)?;
                return Ok(None);
            }
        }
        match kind {
            Kind::Directory => {
                entry.name.push(b'/');
                let below = match tree::open_dir(dir, name) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                    other => other.at("open", &entry.name)?,
                };
                entry.xattrs = xattrs(Attributes::Of(&below), &entry.name, options)?;
                self.header(&entry)?;
                if options.mode == Mode::Overlay && is_opaque(&below) {
                    self.mark([&entry.name[..], whiteout::OPAQUE].concat(), &metadata, options)?;
                }
                return Ok(Some((below, entry.name)));
            }
            Kind::Symlink => {
                entry.link = match rustix::fs::readlinkat(dir, name, Vec::new()) {
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                    other => other.at("read link", &entry.name)?.into_bytes(),
                };
                entry.xattrs = xattrs(Attributes::At(dir, name), &entry.name, options)?;
                self.header(&entry)?;
            }
            Kind::File => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let file = match rustix::fs::openat(dir, name, flags, FileMode::empty()) {
                    // Something else came in its place meanwhile.
                    Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
                    other => other.at("open", &entry.name)?,
                };
                let metadata = rustix::fs::fstat(&file).at("stat", &entry.name)?;
                if FileType::from_raw_mode(metadata.st_mode) != FileType::RegularFile {
                    return Ok(None);
                }
                let mut entry = entry_of(entry.name, kind, &metadata, options);
                entry.xattrs = xattrs(Attributes::Of(&file), &entry.name, options)?;
                let file = File::from(file);
                match options.faithful.then(|| sparse::pieces(&file, &metadata)).flatten() {
                    Some(pieces) => self.append_sparse(&entry, &file, &pieces)?,
                    None => self.append_data(&entry, file, Short::IsFilled)?,
                }
            }
            _ => {
                entry.xattrs = xattrs(Attributes::At(dir, name), &entry.name, options)?;
                self.header(&entry)?;
            }
        }
        Ok(None)
    }

    /// A whiteout.
    fn mark(&mut self, name: Vec<u8>, metadata: &Stat, options: PackOptions) -> Result<(), Error> {
        let mut entry = entry_of(name, Kind::File, metadata, options);
        (entry.mode, entry.size) = (0o600, 0);
        self.header(&entry)
    }

    /// Two empty blocks end an archive.
    pub fn finish(mut self) -> Result<W, Error> {
        self.writer.write_all(&[0; 2 * BLOCK])?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let padding = (size.wrapping_neg() % BLOCK as u64) as usize;
        Ok(self.writer.write_all(&[0; BLOCK][..padding])?)
    }

    fn header(&mut self, entry: &FileEntry) -> Result<(), Error> {
        self.header_with(entry, Vec::new())
    }

    /// `pax`: records beside those that the entry needs itself.
    fn header_with(&mut self, entry: &FileEntry, mut pax: Vec<u8>) -> Result<(), Error> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(match entry.kind {
            Kind::File => tar::EntryType::Regular,
            Kind::Directory => tar::EntryType::Directory,
            Kind::Symlink => tar::EntryType::Symlink,
            Kind::Hardlink => tar::EntryType::Link,
            Kind::Char => tar::EntryType::Char,
            Kind::Block => tar::EntryType::Block,
            Kind::Fifo => tar::EntryType::Fifo,
        });
        header.set_mode(entry.mode);
        let old = header.as_old_mut();
        if !put(&mut old.name, &entry.name) {
            record(&mut pax, "path", &entry.name);
        }
        if !put(&mut old.linkname, &entry.link) {
            record(&mut pax, "linkpath", &entry.link);
        }
        const OCTAL_7_MAX: u64 = 0o7_777_777;
        const OCTAL_11_MAX: u64 = 0o77_777_777_777;
        for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
            let fits = u64::from(id) <= OCTAL_7_MAX;
            if !fits {
                record(&mut pax, key, id.to_string().as_bytes());
            }
            let id = if fits { u64::from(id) } else { 0 };
            if key == "uid" { header.set_uid(id) } else { header.set_gid(id) }
        }
        let (seconds, nanos) = entry.mtime;
        let fits = u64::try_from(seconds).is_ok_and(|seconds| seconds <= OCTAL_11_MAX);
        header.set_mtime(if fits { seconds.cast_unsigned() } else { 0 });
        if !fits || nanos != 0 {
            record(&mut pax, "mtime", pax_time(seconds, nanos).as_bytes());
        }
        let fits = entry.size <= OCTAL_11_MAX;
        header.set_size(if fits { entry.size } else { 0 });
        if !fits {
            record(&mut pax, "size", entry.size.to_string().as_bytes());
        }
        if matches!(entry.kind, Kind::Char | Kind::Block) {
            header.set_device_major(entry.device.0)?;
            header.set_device_minor(entry.device.1)?;
        }
        for (key, value) in &entry.xattrs {
            record(&mut pax, &format!("SCHILY.xattr.{key}"), value);
        }
        if !pax.is_empty() {
            let mut extension = tar::Header::new_ustar();
            extension.set_entry_type(tar::EntryType::XHeader);
            extension.set_mode(0o644);
            extension.set_size(pax.len() as u64);
            put(&mut extension.as_old_mut().name, b"PaxHeader");
            extension.set_cksum();
            self.writer.write_all(extension.as_bytes())?;
            self.writer.write_all(&pax)?;
            self.pad(pax.len() as u64)?;
        }
        header.set_cksum();
        Ok(self.writer.write_all(header.as_bytes())?)
    }
}

/// Puts a name into a header field, cut if it is too long.
fn put(field: &mut [u8], value: &[u8]) -> bool {
    let n = value.len().min(field.len());
    field[..n].copy_from_slice(&value[..n]);
    n == value.len()
}

/// The length at the front of a PAX record counts its own digits.
fn record(pax: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    pax.extend_from_slice(format!("{length} {key}=").as_bytes());
    pax.extend_from_slice(value);
    pax.push(b'\n');
}

fn pax_time(seconds: i64, nanos: u32) -> String {
    match (seconds, nanos) {
        (_, 0) => seconds.to_string(),
        (0.., _) => format!("{seconds}.{nanos:09}"),
        _ => {
            let (seconds, nanos) = (-(seconds + 1), 1_000_000_000 - nanos);
            format!("-{seconds}.{nanos:09}")
        }
    }
}

fn entry_of(name: Vec<u8>, kind: Kind, metadata: &Stat, options: PackOptions) -> FileEntry {
    let nanoseconds = if options.whole_seconds { 0 } else { metadata.st_mtime_nsec as u32 };
    FileEntry {
        name,
        kind,
        size: if kind == Kind::File { metadata.st_size.cast_unsigned() } else { 0 },
        mode: metadata.st_mode & 0o7777,
        uid: metadata.st_uid,
        gid: metadata.st_gid,
        mtime: (metadata.st_mtime, nanoseconds),
        link: Vec::new(),
        device: (rustix::fs::major(metadata.st_rdev), rustix::fs::minor(metadata.st_rdev)),
        xattrs: Vec::new(),
    }
}

fn is_opaque(dir: &OwnedFd) -> bool {
    let mut value = [0; 4];
    matches!(rustix::fs::fgetxattr(dir, whiteout::OPAQUE_XATTR, &mut value[..]), Ok(n) if &value[..n] == b"y")
}

/// Whose attributes: of what is open, or of what cannot be opened and has a name.
#[derive(Clone, Copy)]
enum Attributes<'a> {
    Of(&'a OwnedFd),
    At(&'a OwnedFd, &'a [u8]),
}

impl Attributes<'_> {
    /// There is no `getxattrat` in older kernels; the magic link of our own descriptor stands for it.
    fn path(dir: &OwnedFd, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }

    fn list(self, list: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Attributes::Of(file) => rustix::fs::flistxattr(file, list),
            Attributes::At(dir, name) => rustix::fs::llistxattr(Self::path(dir, name), list),
        }
    }

    fn get(self, key: &str, value: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Attributes::Of(file) => rustix::fs::fgetxattr(file, key, value),
            Attributes::At(dir, name) => rustix::fs::lgetxattr(Self::path(dir, name), key, value),
        }
    }
}

/// Most files have none, and few have many.
const LIST_LEN: usize = 1 << 10;
/// What the kernel allows.
const LIST_LEN_MAX: usize = 64 << 10;

/// Attributes worth keeping: capabilities and the user's own. Others belong to this machine.
fn xattrs(of: Attributes<'_>, name: &[u8], options: PackOptions) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut short = [0; LIST_LEN];
    let mut long = Vec::new();
    let list = match of.list(&mut short) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOENT) => return Ok(Vec::new()),
        Ok(n) => &short[..n],
        Err(Errno::RANGE) => {
            long.resize(LIST_LEN_MAX, 0);
            let n = of.list(&mut long).at("list attributes of", name)?;
            &long[..n]
        }
        Err(error) => return Err(error).at("list attributes of", name),
    };
    let mut found = Vec::new();
    for key in list.split(|&b| b == 0).filter(|key| !key.is_empty()) {
        let Ok(key) = std::str::from_utf8(key) else { continue };
        let wanted = key == "security.capability"
            || (key.starts_with("user.") && !key.starts_with("user.overlay."))
            || (options.faithful && key.starts_with("system.posix_acl_"));
        if !wanted {
            continue;
        }
        let mut value = vec![0; LIST_LEN_MAX];
        match of.get(key, &mut value) {
            Ok(n) => {
                value.truncate(n);
                found.push((key.to_owned(), value));
            }
            Err(Errno::NODATA | Errno::NOENT) => {}
            Err(error) => return Err(error).at("read attribute of", name),
        }
    }
    found.sort();
    Ok(found)
}
