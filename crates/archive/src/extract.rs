//! Extraction confined to a root directory.
//!
//! No path is ever resolved by the process's own root: each entry is made by `*at` calls relative to its
//! parent's descriptor. The descriptors from the root down to the last parent are kept, since archives come
//! in tree order, so that most entries cost no path walk at all. A component that turns out to be a symbolic
//! link is resolved with `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)` (openat2(2)): a merged `/bin` is
//! followed, but `..` and absolute targets end at the root.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode as FileMode, OFlags, ResolveFlags, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use crate::entries::{Entries, Entry, Kind, decode_error};
use crate::error::{At, Error};
use crate::path::{components, show};
use crate::tree;
use crate::whiteout::{self, Mode};

const COPY_LEN: usize = 256 << 10;

/// What an archive may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all files, holes included.
    pub bytes_max: u64,
    pub entries_max: u64,
    /// Components of a name. Each level of the current directory holds one descriptor.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes_max: 1 << 40, entries_max: 1 << 24, depth_max: 512 }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Bytes of regular files.
    pub bytes: u64,
    pub entries: u64,
    /// There was an entry for the root itself: mode and owner of the directory are the archive's.
    pub root: bool,
}

/// Unpacks archives into one root directory.
#[derive(Debug)]
pub struct Extractor {
    root: OwnedFd,
    mode: Mode,
    limits: Limits,
}

impl Extractor {
    pub fn open(root: &Path, mode: Mode) -> Result<Extractor, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let name = root.as_os_str().as_encoded_bytes();
        let root = rustix::fs::openat(CWD, root, flags, FileMode::empty()).at("open", name)?;
        Ok(Extractor { root, mode, limits: Limits::default() })
    }

    /// Below a directory that is open already.
    pub fn new(root: OwnedFd, mode: Mode) -> Extractor {
        Extractor { root, mode, limits: Limits::default() }
    }

    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Extractor {
        self.limits = limits;
        self
    }

    /// Unpacks an uncompressed tar stream up to its end mark. What follows is left in the reader.
    pub fn extract<R: Read>(&self, reader: R) -> Result<Extracted, Error> {
        let mut run = Run {
            extractor: self,
            parents: Vec::new(),
            directories: Vec::new(),
            made: HashSet::new(),
            extracted: Extracted::default(),
            buffer: vec![0; COPY_LEN],
        };
        let mut entries = Entries::new(reader);
        while let Some(entry) = entries.next()? {
            run.entry(&entry, &mut entries)?;
        }
        run.finish()
    }
}

/// The state of one extraction.
struct Run<'a> {
    extractor: &'a Extractor,
    /// The current parent directory, from the first component below the root down.
    parents: Vec<(Vec<u8>, OwnedFd)>,
    /// Directories' times are set last: making what is in them would change them again.
    directories: Vec<(Vec<u8>, (i64, u32))>,
    /// Names that this archive made, and the directories that they are in; its own whiteouts do not concern them. Only kept in `Mode::Apply`.
    made: HashSet<Vec<u8>>,
    extracted: Extracted,
    buffer: Vec<u8>,
}

impl Run<'_> {
    fn entry<R: Read>(&mut self, entry: &Entry, data: &mut Entries<R>) -> Result<(), Error> {
        let limits = &self.extractor.limits;
        self.extracted.entries += 1;
        if self.extracted.entries > limits.entries_max {
            return Err(Error::Limit { what: "entries", limit: limits.entries_max });
        }
        let path = components(&entry.name)?;
        if path.len() > limits.depth_max {
            return Err(Error::Limit { what: "directory levels", limit: limits.depth_max as u64 });
        }
        let Some((&name, parents)) = path.split_last() else {
            self.extracted.root = true;
            return self.root_entry(entry);
        };
        self.descend(parents, &entry.name)?;
        let is_whiteout = self.extractor.mode != Mode::Verbatim && name.starts_with(whiteout::PREFIX);
        if self.extractor.mode == Mode::Apply {
            // What a whiteout hides is not this archive's, the directory that it is in is.
            self.remember(if is_whiteout { parents } else { &path });
        }
        if is_whiteout {
            return self.whiteout(name, parents, entry);
        }
        match entry.kind {
            Kind::Directory => self.directory(name, &path, entry),
            Kind::File => self.file(name, entry, data),
            Kind::Hardlink => self.hardlink(name, entry),
            Kind::Symlink => {
                self.node(name, entry, |parent| rustix::fs::symlinkat(&entry.link[..], parent, name))
            }
            Kind::Char => self.device(name, entry, FileType::CharacterDevice),
            Kind::Block => self.device(name, entry, FileType::BlockDevice),
            Kind::Fifo => self.device(name, entry, FileType::Fifo),
        }
    }

    fn parent(&self) -> BorrowedFd<'_> {
        self.parents.last().map_or(self.extractor.root.as_fd(), |(_, fd)| fd.as_fd())
    }

    /// Makes `parents` the current directory, creating what is missing.
    fn descend(&mut self, parents: &[&[u8]], entry_name: &[u8]) -> Result<(), Error> {
        let common = self.parents.iter().zip(parents).take_while(|((have, _), want)| have == *want).count();
        self.parents.truncate(common);
        for depth in common..parents.len() {
            let name = parents[depth];
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = match rustix::fs::openat(self.parent(), name, flags, FileMode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(self.parent(), name, FileMode::from_raw_mode(0o755))
                        .at("create directory", entry_name)?;
                    let fd = rustix::fs::openat(self.parent(), name, flags, FileMode::empty())
                        .at("open", entry_name)?;
                    if self.extractor.mode == Mode::Apply {
                        self.remember(&parents[..=depth]);
                    }
                    fd
                }
                // With O_PATH | O_NOFOLLOW | O_DIRECTORY a symbolic link is "not a directory" as well.
                Err(Errno::NOTDIR | Errno::LOOP) => self.follow(&parents[..=depth], entry_name)?,
                Err(error) => return Err(error).at("open parent of", entry_name),
            };
            self.parents.push((name.to_vec(), fd));
        }
        Ok(())
    }

    /// Opens a directory that is reached through symbolic links, inside the root.
    fn follow(&mut self, path: &[&[u8]], entry_name: &[u8]) -> Result<OwnedFd, Error> {
        let (&name, _) = path.split_last().unwrap_or((&&b"."[..], &[]));
        let metadata = rustix::fs::statat(self.parent(), name, AtFlags::SYMLINK_NOFOLLOW)
            .at("stat parent of", entry_name)?;
        match FileType::from_raw_mode(metadata.st_mode) {
            FileType::Symlink => self.resolve(&path.join(&b'/')).at("follow parent of", entry_name),
            // A file where now a directory is needed: replaced, as by a directory entry.
            _ => {
                tree::remove(self.parent(), name).at("replace", entry_name)?;
                rustix::fs::mkdirat(self.parent(), name, FileMode::from_raw_mode(0o755))
                    .at("create directory", entry_name)?;
                if self.extractor.mode == Mode::Apply {
                    self.remember(path);
                }
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(self.parent(), name, flags, FileMode::empty()).at("open", entry_name)
            }
        }
    }

    fn resolve(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { b"." } else { path };
        rustix::fs::openat2(&self.extractor.root, path, flags, FileMode::empty(), resolve)
    }

    fn root_entry(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.kind != Kind::Directory {
            return Err(Error::Entry {
                name: show(&entry.name),
                reason: "the root must be a directory".into(),
            });
        }
        self.parents.clear();
        let root = self.extractor.root.as_fd();
        rustix::fs::fchown(root, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
            .at("change owner of", &entry.name)?;
        rustix::fs::fchmod(root, FileMode::from_raw_mode(entry.mode)).at("change mode of", &entry.name)?;
        for (name, value) in allowed_xattrs(entry) {
            rustix::fs::fsetxattr(root, name, value, XattrFlags::empty())
                .at("set attribute of", &entry.name)?;
        }
        self.directories.push((Vec::new(), entry.mtime));
        Ok(())
    }

    fn directory(&mut self, name: &[u8], path: &[&[u8]], entry: &Entry) -> Result<(), Error> {
        let mut opaque = false;
        match rustix::fs::mkdirat(self.parent(), name, FileMode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let metadata = rustix::fs::statat(self.parent(), name, AtFlags::SYMLINK_NOFOLLOW)
                    .at("stat", &entry.name)?;
                if FileType::from_raw_mode(metadata.st_mode) != FileType::Directory {
                    // A directory over its own whiteout shows nothing of the layers below.
                    opaque = self.extractor.mode == Mode::Overlay && is_whiteout(&metadata);
                    tree::remove(self.parent(), name).at("replace", &entry.name)?;
                    rustix::fs::mkdirat(self.parent(), name, FileMode::from_raw_mode(0o700))
                        .at("create directory", &entry.name)?;
                }
            }
            Err(error) => return Err(error).at("create directory", &entry.name),
        }
        self.owner(name, entry)?;
        rustix::fs::chmodat(self.parent(), name, FileMode::from_raw_mode(entry.mode), AtFlags::empty())
            .at("change mode of", &entry.name)?;
        self.xattrs(name, entry)?;
        if opaque {
            self.set_opaque(name, &entry.name)?;
        }
        self.directories.push((path.join(&b'/'), entry.mtime));
        Ok(())
    }

    fn file<R: Read>(&mut self, name: &[u8], entry: &Entry, data: &mut Entries<R>) -> Result<(), Error> {
        let limit = self.extractor.limits.bytes_max;
        self.extracted.bytes = self.extracted.bytes.saturating_add(entry.size);
        if self.extracted.bytes > limit {
            return Err(Error::Limit { what: "bytes", limit });
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = FileMode::from_raw_mode(0o600);
        let file = match rustix::fs::openat(self.parent(), name, flags, mode) {
            Err(Errno::EXIST) => {
                self.replace(name, entry)?;
                rustix::fs::openat(self.parent(), name, flags, mode)
            }
            other => other,
        };
        let mut file = File::from(file.at("create", &entry.name)?);
        match &entry.sparse {
            None => self.copy(entry, data, entry.size, |bytes, _| file.write_all(bytes))?,
            Some(pieces) => {
                for &(start, length) in pieces {
                    self.copy(entry, data, length, |bytes, done| file.write_all_at(bytes, start + done))?;
                }
                file.set_len(entry.size).at("resize", &entry.name)?;
            }
        }
        let fd = file.as_fd();
        if (entry.uid, entry.gid) != (0, 0) {
            rustix::fs::fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
                .at("change owner of", &entry.name)?;
        }
        rustix::fs::fchmod(fd, FileMode::from_raw_mode(entry.mode)).at("change mode of", &entry.name)?;
        for (key, value) in allowed_xattrs(entry) {
            set_xattr(entry, rustix::fs::fsetxattr(fd, key, value, XattrFlags::empty()))?;
        }
        rustix::fs::futimens(fd, &timestamps(entry.mtime)).at("set time of", &entry.name)
    }

    fn copy<R: Read>(
        &mut self,
        entry: &Entry,
        data: &mut Entries<R>,
        length: u64,
        mut write: impl FnMut(&[u8], u64) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < length {
            let want = (length - done).min(self.buffer.len() as u64) as usize;
            let n = match data.read(&mut self.buffer[..want]) {
                Ok(0) => return Err(Error::Truncated(show(&entry.name))),
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(match decode_error(error) {
                        Error::Truncated(_) => Error::Truncated(show(&entry.name)),
                        other => other,
                    });
                }
            };
            write(&self.buffer[..n], done).at("write", &entry.name)?;
            done += n as u64;
        }
        Ok(())
    }

    fn hardlink(&mut self, name: &[u8], entry: &Entry) -> Result<(), Error> {
        let target = components(&entry.link)?;
        let Some((&target_name, target_parents)) = target.split_last() else {
            return Err(Error::Entry { name: show(&entry.name), reason: "hard link to a directory".into() });
        };
        let same_directory = target_parents.len() == self.parents.len()
            && self.parents.iter().zip(target_parents).all(|((have, _), want)| have == want);
        let other;
        let target_parent = if same_directory {
            self.parent()
        } else {
            other = self.resolve(&target_parents.join(&b'/')).at("find target of hard link", &entry.name)?;
            other.as_fd()
        };
        let link = || rustix::fs::linkat(target_parent, target_name, self.parent(), name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {
                // Replacing a name by a link to itself would delete the file first.
                let stat =
                    |dir: BorrowedFd<'_>, name| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
                let (old, new) = (stat(self.parent(), name), stat(target_parent, target_name));
                if let (Ok(old), Ok(new)) = (old, new)
                    && (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino)
                {
                    return Ok(());
                }
                tree::remove(self.parent(), name).at("replace", &entry.name)?;
                link().at("create hard link", &entry.name)
            }
            Err(Errno::NOENT) => Err(Error::Entry {
                name: show(&entry.name),
                reason: format!("target {:?} of the hard link does not exist", show(&entry.link)),
            }),
            other => other.at("create hard link", &entry.name),
        }
    }

    fn device(&mut self, name: &[u8], entry: &Entry, kind: FileType) -> Result<(), Error> {
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let mode = FileMode::from_raw_mode(entry.mode);
        self.node(name, entry, |parent| rustix::fs::mknodat(parent, name, kind, mode, device))?;
        // `mknod` subtracts the umask.
        rustix::fs::chmodat(self.parent(), name, mode, AtFlags::empty()).at("change mode of", &entry.name)
    }

    /// Anything without data.
    fn node(
        &mut self,
        name: &[u8],
        entry: &Entry,
        make: impl Fn(BorrowedFd<'_>) -> Result<(), Errno>,
    ) -> Result<(), Error> {
        match make(self.parent()) {
            Err(Errno::EXIST) => {
                self.replace(name, entry)?;
                make(self.parent()).at("create", &entry.name)?;
            }
            other => other.at("create", &entry.name)?,
        }
        self.owner(name, entry)?;
        self.xattrs(name, entry)?;
        rustix::fs::utimensat(self.parent(), name, &timestamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .at("set time of", &entry.name)
    }

    fn replace(&mut self, name: &[u8], entry: &Entry) -> Result<(), Error> {
        // The current parents lie above `name`, so none of them goes away.
        tree::remove(self.parent(), name).at("replace", &entry.name)
    }

    fn owner(&self, name: &[u8], entry: &Entry) -> Result<(), Error> {
        rustix::fs::chownat(
            self.parent(),
            name,
            Some(Uid::from_raw(entry.uid)),
            Some(Gid::from_raw(entry.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .at("change owner of", &entry.name)
    }

    fn xattrs(&self, name: &[u8], entry: &Entry) -> Result<(), Error> {
        if entry.xattrs.is_empty() {
            return Ok(());
        }
        let path = self.proc_path(name);
        for (key, value) in allowed_xattrs(entry) {
            set_xattr(entry, rustix::fs::lsetxattr(&path, key, value, XattrFlags::empty()))?;
        }
        Ok(())
    }

    /// There is no `setxattrat` in older kernels; the magic link of our own descriptor stands for it.
    fn proc_path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.parent().as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }

    fn whiteout(&mut self, name: &[u8], parents: &[&[u8]], entry: &Entry) -> Result<(), Error> {
        if name == whiteout::OPAQUE {
            return match self.extractor.mode {
                Mode::Overlay => self.set_opaque(b".", &entry.name),
                _ => self.clear(&parents.join(&b'/')).at("clear", &entry.name),
            };
        }
        if name.starts_with(whiteout::META_PREFIX) {
            // aufs's own bookkeeping, in very old layers.
            return Ok(());
        }
        let hidden = &name[whiteout::PREFIX.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Error::Entry { name: show(&entry.name), reason: "invalid whiteout".into() });
        }
        match self.extractor.mode {
            Mode::Overlay => {
                let mode = FileMode::empty();
                match rustix::fs::mknodat(self.parent(), hidden, FileType::CharacterDevice, mode, 0) {
                    Ok(()) => Ok(()),
                    // Made by this layer itself: only what lies below it is hidden.
                    Err(Errno::EXIST) => {
                        let metadata = rustix::fs::statat(self.parent(), hidden, AtFlags::SYMLINK_NOFOLLOW)
                            .at("stat", &entry.name)?;
                        match FileType::from_raw_mode(metadata.st_mode) {
                            FileType::Directory => self.set_opaque(hidden, &entry.name),
                            _ => Ok(()),
                        }
                    }
                    Err(error) => Err(error).at("create whiteout", &entry.name),
                }
            }
            _ => {
                let mut path = parents.to_vec();
                path.push(hidden);
                self.hide(&path).at("remove", &entry.name)
            }
        }
    }

    fn set_opaque(&self, name: &[u8], entry_name: &[u8]) -> Result<(), Error> {
        let path = self.proc_path(name);
        rustix::fs::setxattr(&path, whiteout::OPAQUE_XATTR, b"y", XattrFlags::empty())
            .at("mark opaque", entry_name)
    }

    /// Deletes what layers below put at a name in the current directory.
    fn hide(&self, path: &[&[u8]]) -> Result<(), Errno> {
        let Some(name) = path.last() else { return Ok(()) };
        let joined = path.join(&b'/');
        if !self.made.contains(&joined) {
            return tree::remove(self.parent(), name);
        }
        match tree::open_dir(self.parent(), name) {
            Ok(dir) => self.clear_in(&dir, &joined),
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes what layers below put into the current directory.
    fn clear(&self, path: &[u8]) -> Result<(), Errno> {
        let dir = tree::open_dir(self.parent(), b".")?;
        self.clear_in(&dir, path)
    }

    fn clear_in(&self, dir: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
        for name in tree::names(dir)? {
            let name = name.as_bytes();
            let child = if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
            if !self.made.contains(&child) {
                tree::remove(dir, name)?;
            } else if let Ok(below) = tree::open_dir(dir, name) {
                self.clear_in(&below, &child)?;
            }
        }
        Ok(())
    }

    /// A name of this archive, and the directories that lead to it: those may be from below, but what they hold is not
    /// all hidden by a whiteout of this archive.
    fn remember(&mut self, path: &[&[u8]]) {
        for depth in (1..=path.len()).rev() {
            if !self.made.insert(path[..depth].join(&b'/')) {
                // Then those above are known as well.
                break;
            }
        }
    }

    fn finish(mut self) -> Result<Extracted, Error> {
        // Deepest first does not matter for times; the last entry of a name wins.
        for (path, mtime) in std::mem::take(&mut self.directories) {
            let parts = components(&path)?;
            match parts.split_last() {
                None => {
                    rustix::fs::futimens(&self.extractor.root, &timestamps(mtime)).at("set time of", &path)?
                }
                Some((name, parents)) => {
                    // It may have been replaced by something else since, or been hidden.
                    self.descend_existing(parents);
                    if self.parents.len() == parents.len()
                        && let Ok(dir) = tree::open_dir(self.parent(), name)
                    {
                        rustix::fs::futimens(&dir, &timestamps(mtime)).at("set time of", &path)?;
                    }
                }
            }
        }
        Ok(self.extracted)
    }

    fn descend_existing(&mut self, parents: &[&[u8]]) {
        let common = self.parents.iter().zip(parents).take_while(|((have, _), want)| have == *want).count();
        self.parents.truncate(common);
        for depth in common..parents.len() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(self.parent(), parents[depth], flags, FileMode::empty())
                .or_else(|_| self.resolve(&parents[..=depth].join(&b'/')));
            match fd {
                Ok(fd) => self.parents.push((parents[depth].to_vec(), fd)),
                Err(_) => return,
            }
        }
    }
}

fn is_whiteout(metadata: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(metadata.st_mode) == FileType::CharacterDevice && metadata.st_rdev == 0
}

/// An archive must not speak to overlayfs: its attributes would redirect lookups into other layers.
fn allowed_xattrs(entry: &Entry) -> impl Iterator<Item = (&str, &[u8])> {
    entry
        .xattrs
        .iter()
        .filter(|(key, _)| !key.starts_with("trusted.overlay.") && !key.starts_with("user.overlay."))
        .map(|(key, value)| (key.as_str(), value.as_slice()))
}

/// Attributes that this file system or kernel does not know are left out, as Docker does.
fn set_xattr(entry: &Entry, result: Result<(), Errno>) -> Result<(), Error> {
    match result {
        Ok(()) | Err(Errno::NOTSUP) => Ok(()),
        // `user.*` on anything but files and directories; `security.*` without its module.
        Err(Errno::PERM) => Ok(()),
        Err(error) => Err(error).at("set attribute of", &entry.name),
    }
}

fn timestamps((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
    Timestamps { last_access: time, last_modification: time }
}
