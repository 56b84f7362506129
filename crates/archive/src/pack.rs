//! Packing a directory into a tar: the same directory gives the same bytes.
//!
//! Entries come in the order of their names. Whiteouts of an overlay's upper directory are translated back.
//! Names, links, times, owners and attributes that the ustar header cannot hold go into a PAX header.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode as FileMode, OFlags, Stat};
use rustix::io::Errno;

use crate::entries::{BLOCK, Kind};
use crate::error::{At, Error};
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
}

impl Default for PackOptions {
    fn default() -> PackOptions {
        PackOptions { mode: Mode::Verbatim, root_entry: true }
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

    pub fn directory(name: &str, mode: u32) -> FileEntry {
        FileEntry { kind: Kind::Directory, ..FileEntry::file(name, mode, 0) }
    }
}

/// Writes entries one after the other.
#[derive(Debug)]
pub struct TarWriter<W> {
    writer: W,
}

impl<W: Write> TarWriter<W> {
    pub fn new(writer: W) -> TarWriter<W> {
        TarWriter { writer }
    }

    /// An entry with its data, which must be `entry.size` bytes.
    pub fn append(&mut self, entry: &FileEntry, mut data: impl Read) -> Result<(), Error> {
        self.header(entry)?;
        if entry.kind != Kind::File {
            return Ok(());
        }
        let mut buffer = vec![0; COPY_LEN.min(entry.size as usize + 1)];
        let mut left = entry.size;
        while left > 0 {
            let want = left.min(buffer.len() as u64) as usize;
            match data.read(&mut buffer[..want]) {
                Ok(0) => {
                    return Err(Error::Entry {
                        name: crate::path::show(&entry.name),
                        reason: format!("shrank by {left} bytes while it was read"),
                    });
                }
                Ok(n) => {
                    self.writer.write_all(&buffer[..n])?;
                    left -= n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("read", &entry.name),
            }
        }
        self.pad(entry.size)
    }

    /// All that is below a directory.
    pub fn append_tree(&mut self, root: OwnedFd, options: PackOptions) -> Result<(), Error> {
        let mut links = HashMap::new();
        if options.root_entry {
            let metadata = rustix::fs::fstat(&root).at("stat", b"./")?;
            let mut entry = entry_of(b"./".to_vec(), Kind::Directory, &metadata);
            entry.xattrs = xattrs(&proc_path(root.as_fd().as_raw_fd(), b"."), b"./")?;
            self.header(&entry)?;
        }
        self.append_directory(&root, b"", options, &mut links)
    }

    fn append_directory(
        &mut self,
        dir: &OwnedFd,
        prefix: &[u8],
        options: PackOptions,
        links: &mut HashMap<(u64, u64), Vec<u8>>,
    ) -> Result<(), Error> {
        let mut names = tree::names(dir).at("list", prefix)?;
        names.sort_unstable();
        for name in names {
            let name = name.as_bytes();
            let path = [prefix, name].concat();
            let metadata = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                // Somebody else may be at work in there.
                Err(Errno::NOENT) => continue,
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
                _ => continue,
            };
            if options.mode == Mode::Overlay && kind == Kind::Char && metadata.st_rdev == 0 {
                let path = [prefix, whiteout::PREFIX, name].concat();
                let mut entry = entry_of(path, Kind::File, &metadata);
                (entry.mode, entry.size) = (0o600, 0);
                self.header(&entry)?;
                continue;
            }
            let mut entry = entry_of(path, kind, &metadata);
            if kind != Kind::Directory && metadata.st_nlink > 1 {
                let first =
                    links.entry((metadata.st_dev, metadata.st_ino)).or_insert_with(|| entry.name.clone());
                if *first != entry.name {
                    entry.kind = Kind::Hardlink;
                    entry.link.clone_from(first);
                    entry.size = 0;
                    self.header(&entry)?;
                    continue;
                }
            }
            let fd_path = proc_path(dir.as_fd().as_raw_fd(), name);
            entry.xattrs = xattrs(&fd_path, &entry.name)?;
            match kind {
                Kind::Directory => {
                    entry.name.push(b'/');
                    self.header(&entry)?;
                    let below = match tree::open_dir(dir, name) {
                        Err(Errno::NOENT) => continue,
                        other => other.at("open", &entry.name)?,
                    };
                    if options.mode == Mode::Overlay && is_opaque(&fd_path) {
                        let path = [&entry.name[..], whiteout::OPAQUE].concat();
                        let mut mark = entry_of(path, Kind::File, &metadata);
                        (mark.mode, mark.size) = (0o600, 0);
                        self.header(&mark)?;
                    }
                    self.append_directory(&below, &entry.name, options, links)?;
                }
                Kind::Symlink => {
                    entry.link = rustix::fs::readlinkat(dir, name, Vec::new())
                        .at("read link", &entry.name)?
                        .into_bytes();
                    self.header(&entry)?;
                }
                Kind::File => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                    let file =
                        rustix::fs::openat(dir, name, flags, FileMode::empty()).at("open", &entry.name)?;
                    self.append(&entry, std::fs::File::from(file))?;
                }
                _ => self.header(&entry)?,
            }
        }
        Ok(())
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
        let mut header = tar::Header::new_ustar();
        let mut pax: Vec<u8> = Vec::new();
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

fn entry_of(name: Vec<u8>, kind: Kind, metadata: &Stat) -> FileEntry {
    FileEntry {
        name,
        kind,
        size: if kind == Kind::File { metadata.st_size.cast_unsigned() } else { 0 },
        mode: metadata.st_mode & 0o7777,
        uid: metadata.st_uid,
        gid: metadata.st_gid,
        mtime: (metadata.st_mtime, metadata.st_mtime_nsec as u32),
        link: Vec::new(),
        device: (rustix::fs::major(metadata.st_rdev), rustix::fs::minor(metadata.st_rdev)),
        xattrs: Vec::new(),
    }
}

fn proc_path(dir: i32, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{dir}/").into_bytes();
    path.extend_from_slice(name);
    path
}

fn is_opaque(path: &[u8]) -> bool {
    let mut value = [0; 4];
    matches!(rustix::fs::lgetxattr(path, whiteout::OPAQUE_XATTR, &mut value[..]), Ok(n) if &value[..n] == b"y")
}

/// Attributes worth keeping: capabilities and the user's own. Others belong to this machine.
fn xattrs(path: &[u8], name: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut list = vec![0; 64 << 10];
    let n = match rustix::fs::llistxattr(path, &mut list[..]) {
        Ok(n) => n,
        Err(Errno::NOTSUP | Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error).at("list attributes of", name),
    };
    let mut found = Vec::new();
    for key in list[..n].split(|&b| b == 0).filter(|key| !key.is_empty()) {
        let Ok(key) = std::str::from_utf8(key) else { continue };
        let wanted =
            key == "security.capability" || (key.starts_with("user.") && !key.starts_with("user.overlay."));
        if !wanted {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        match rustix::fs::lgetxattr(path, key, &mut value[..]) {
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
