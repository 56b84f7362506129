//! Extraction confined to a root directory.
//!
//! No path is ever resolved by the process's own root: each entry is made by `*at` calls relative to its
//! parent's descriptor. The descriptors from the root down to the last parent are kept, since archives come
//! in tree order, so that most entries cost no path walk at all. A component that turns out to be a symbolic
//! link is resolved with `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)` (openat2(2)): a merged `/bin` is
//! followed, but `..` and absolute targets end at the root.

mod files;
mod hide;

use std::collections::HashSet;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode as FileMode, OFlags, ResolveFlags, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use crate::copy_rules::{CopyRules, Owner};
use crate::entries::{Entries, Entry, Kind};
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
    /// Somebody sends files into a directory that is in use.
    copy: Option<CopyRules>,
}

impl Extractor {
    pub fn open(root: &Path, mode: Mode) -> Result<Extractor, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let name = root.as_os_str().as_encoded_bytes();
        let root = rustix::fs::openat(CWD, root, flags, FileMode::empty()).at("open", name)?;
        Ok(Extractor::new(root, mode))
    }

    /// Below a directory that is open already.
    pub fn new(root: OwnedFd, mode: Mode) -> Extractor {
        Extractor { root, mode, limits: Limits::default(), copy: None }
    }

    /// Into a directory that is in use, perhaps by somebody who changes it meanwhile: the directory itself stays as it is,
    /// and a larger file is seen when it is whole.
    #[must_use]
    pub fn with_copy_rules(mut self, rules: CopyRules) -> Extractor {
        self.copy = Some(rules);
        self
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
        while let Some(mut entry) = entries.next()? {
            if let Some(rules) = &self.copy {
                rules.apply(&mut entry);
            }
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
            if self.extractor.copy.is_some() {
                return Ok(());
            }
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
            _ if self.extractor.copy.is_some() => Err(Errno::NOTDIR).at("create directory", entry_name),
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
                    self.may_replace(&metadata, entry)?;
                    // A directory over its own whiteout shows nothing of the layers below.
                    opaque = self.extractor.mode == Mode::Overlay && is_whiteout(&metadata);
                    tree::remove(self.parent(), name).at("replace", &entry.name)?;
                    rustix::fs::mkdirat(self.parent(), name, FileMode::from_raw_mode(0o700))
                        .at("create directory", &entry.name)?;
                }
            }
            Err(error) => return Err(error).at("create directory", &entry.name),
        }
        // By descriptor from here on: by its name it might be something else already, which leads out of the root.
        let dir = tree::open_dir(self.parent(), name).at("open", &entry.name)?;
        self.own(dir.as_fd(), entry)?;
        rustix::fs::fchmod(&dir, FileMode::from_raw_mode(entry.mode)).at("change mode of", &entry.name)?;
        for (key, value) in allowed_xattrs(entry) {
            set_xattr(entry, rustix::fs::fsetxattr(&dir, key, value, XattrFlags::empty()))?;
        }
        if opaque {
            rustix::fs::fsetxattr(&dir, whiteout::OPAQUE_XATTR, b"y", XattrFlags::empty())
                .at("mark opaque", &entry.name)?;
        }
        self.directories.push((path.join(&b'/'), entry.mtime));
        // What comes next is in it, most likely.
        self.parents.push((name.to_vec(), dir));
        Ok(())
    }

    /// Whether what is there may give way to the entry, one of the two being a directory.
    fn may_replace(&self, there: &rustix::fs::Stat, entry: &Entry) -> Result<(), Error> {
        match &self.extractor.copy {
            Some(rules) => {
                rules.may_replace(FileType::from_raw_mode(there.st_mode) == FileType::Directory, entry)
            }
            None => Ok(()),
        }
    }

    fn file<R: Read>(&mut self, name: &[u8], entry: &Entry, data: &mut Entries<R>) -> Result<(), Error> {
        let limit = self.extractor.limits.bytes_max;
        self.extracted.bytes = self.extracted.bytes.saturating_add(entry.size);
        if self.extracted.bytes > limit {
            return Err(Error::Limit { what: "bytes", limit });
        }
        if self.extractor.copy.is_some() {
            return self.whole_file(name, entry, data);
        }
        let mut file = self.create(name, entry)?;
        self.fill(&mut file, entry, data)
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
                self.replace(name, entry)?;
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
        // `mknod` subtracts the umask. `chmod` follows links, and there might be one by now: not from a descriptor.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node =
            rustix::fs::openat(self.parent(), name, flags, FileMode::empty()).at("open", &entry.name)?;
        let there = rustix::fs::fstat(&node).at("stat", &entry.name)?;
        if FileType::from_raw_mode(there.st_mode) != kind {
            return Ok(());
        }
        rustix::fs::chmod(format!("/proc/self/fd/{}", node.as_raw_fd()), mode)
            .at("change mode of", &entry.name)
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

    fn replace(&self, name: &[u8], entry: &Entry) -> Result<(), Error> {
        if self.extractor.copy.is_some() {
            let there =
                rustix::fs::statat(self.parent(), name, AtFlags::SYMLINK_NOFOLLOW).at("stat", &entry.name)?;
            if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
                self.may_replace(&there, entry)?;
            }
        }
        // The current parents lie above `name`, so none of them goes away.
        tree::remove(self.parent(), name).at("replace", &entry.name)
    }

    /// Whose the entry is to be; `None`: of whoever extracts.
    fn ids(&self, entry: &Entry) -> Option<(Option<Uid>, Option<Gid>)> {
        let (uid, gid) = match self.extractor.copy.as_ref().map(|rules| rules.owner) {
            None | Some(Owner::Archive) => (entry.uid, entry.gid),
            Some(Owner::Fixed(uid, gid)) => (uid, gid),
            Some(Owner::Caller) => return None,
        };
        Some((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
    }

    fn own(&self, file: BorrowedFd<'_>, entry: &Entry) -> Result<(), Error> {
        let Some((uid, gid)) = self.ids(entry) else { return Ok(()) };
        rustix::fs::fchown(file, uid, gid).at("change owner of", &entry.name)
    }

    fn owner(&self, name: &[u8], entry: &Entry) -> Result<(), Error> {
        let Some((uid, gid)) = self.ids(entry) else { return Ok(()) };
        rustix::fs::chownat(self.parent(), name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
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
