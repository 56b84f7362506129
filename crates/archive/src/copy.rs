//! A tree, copied as it is: owners, modes, times, attributes (and with them access lists), hard links, holes.
//!
//! Files share their blocks with the originals where the file system can (`FICLONE`), so that a copy costs nothing but
//! names until one of the two is changed. No link is followed on the way.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::error::{At, Error};
use crate::tree::{names, open_dir};

/// Each level costs two descriptors and a stack frame.
const LEVELS_MAX: usize = 1000;

/// Copies what is in `from`, and how `from` is, into `to`, an empty directory.
pub fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    let shown = from.as_os_str().as_encoded_bytes();
    let open = |path: &Path| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty())
    };
    let source = open(from).at("open", shown)?;
    let target = open(to).at("open", to.as_os_str().as_encoded_bytes())?;
    let stat = rustix::fs::fstat(&source).at("stat", shown)?;
    let mut copier = Copier { root: target.as_fd(), linked: HashMap::new(), at: Vec::new() };
    copier.directory(source.as_fd(), target.as_fd(), 0)?;
    dress(&source, c".", &target, c".", &stat).at("copy attributes of", shown)
}

struct Copier<'a> {
    root: BorrowedFd<'a>,
    /// Device and inode of a file with several names, and the first of its copy's.
    linked: HashMap<(u64, u64), CString>,
    /// The path of what is being copied, for errors and links.
    at: Vec<u8>,
}

impl Copier<'_> {
    fn directory(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, level: usize) -> Result<(), Error> {
        if level > LEVELS_MAX {
            return Err(Errno::NAMETOOLONG).at("copy deeper than a thousand directories", &self.at);
        }
        for name in names(from).at("list", &self.at)? {
            let length = self.at.len();
            if length > 0 {
                self.at.push(b'/');
            }
            self.at.extend_from_slice(name.as_bytes());
            self.entry(from, to, &name, level)?;
            self.at.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        level: usize,
    ) -> Result<(), Error> {
        let stat = match rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Somebody works in there.
            Err(Errno::NOENT) => return Ok(()),
            stat => stat.at("stat", &self.at)?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            rustix::fs::mkdirat(to, name, Mode::RWXU).at("make", &self.at)?;
            let below = open_dir(from, name.to_bytes()).at("open", &self.at)?;
            let into = open_dir(to, name.to_bytes()).at("open", &self.at)?;
            self.directory(below.as_fd(), into.as_fd(), level + 1)?;
            return dress(from, name, to, name, &stat).at("copy attributes of", &self.at);
        }
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.linked.get(&inode) {
                return rustix::fs::linkat(self.root, first, to, name, AtFlags::empty()).at("link", &self.at);
            }
            // A path read from a directory has no NUL in it.
            self.linked.insert(inode, CString::new(self.at.clone()).unwrap_or_default());
        }
        match kind {
            FileType::RegularFile => file(from, to, name, &stat).at("copy", &self.at)?,
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(from, name, Vec::new()).at("read", &self.at)?;
                rustix::fs::symlinkat(text, to, name).at("make", &self.at)?;
            }
            kind => {
                rustix::fs::mknodat(to, name, kind, Mode::RUSR, stat.st_rdev).at("make", &self.at)?;
            }
        }
        dress(from, name, to, name, &stat).at("copy attributes of", &self.at)
    }
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, read, Mode::empty())?;
    let target = rustix::fs::openat(to, name, write, Mode::RUSR | Mode::WUSR)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    pieces(source, target, u64::try_from(stat.st_size).unwrap_or_default())
}

/// What is there of a file; holes stay holes.
fn pieces(source: OwnedFd, target: OwnedFd, size: u64) -> Result<(), Errno> {
    let (source, target) = (File::from(source), File::from(target));
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        at = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error),
        };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(at)).unwrap_or(size);
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            match source.read_at(&mut buffer[..wanted], at).map_err(errno)? {
                // It has become shorter.
                0 => return target.set_len(at).map_err(errno),
                read => {
                    target.write_all_at(&buffer[..read], at).map_err(errno)?;
                    at += read as u64;
                }
            }
        }
    }
    target.set_len(size).map_err(errno)
}

/// Owner, attributes, mode, times: in this order, as each takes away from those before.
fn dress(from: impl AsFd, source: &CStr, to: impl AsFd, target: &CStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(&to, target, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    attributes(&path(from.as_fd(), source), &path(to.as_fd(), target))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::chmodat(&to, target, mode, AtFlags::empty())?;
    }
    let time = |tv_sec: i64, tv_nsec: u64| Timespec { tv_sec, tv_nsec: tv_nsec.cast_signed() };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    rustix::fs::utimensat(&to, target, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// The calls for attributes know no descriptor of a directory.
fn path(directory: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name.to_bytes()].concat()
}

fn attributes(from: &[u8], to: &[u8]) -> Result<(), Errno> {
    let mut list = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(from, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        length => length?,
    };
    let mut value = vec![0; 64 << 10];
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let got = match rustix::fs::lgetxattr(from, name, &mut value[..]) {
            Err(Errno::NODATA) => continue,
            got => got?,
        };
        match rustix::fs::lsetxattr(to, name, &value[..got], XattrFlags::empty()) {
            // Labels of a security module belong to the place.
            Err(Errno::OPNOTSUPP | Errno::PERM) if name.starts_with(b"security.") => {}
            set => set?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_copy_is_as_its_original() {
        let outer = tempfile::tempdir().unwrap();
        let (from, to) = (outer.path().join("from"), outer.path().join("to"));
        std::fs::create_dir_all(from.join("sub/empty")).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("sub/file"), "text").unwrap();
        std::fs::hard_link(from.join("sub/file"), from.join("link")).unwrap();
        symlink("/nowhere", from.join("symbolic")).unwrap();
        rustix::fs::mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        std::os::unix::fs::chown(from.join("sub/file"), Some(12), Some(34)).unwrap();
        std::fs::set_permissions(from.join("sub/file"), std::fs::Permissions::from_mode(0o4711)).unwrap();
        rustix::fs::setxattr(from.join("sub"), "user.a", b"b", XattrFlags::empty()).unwrap();
        let sparse = File::create(from.join("sparse")).unwrap();
        sparse.set_len(64 << 20).unwrap();
        sparse.write_all_at(b"end", (64 << 20) - 3).unwrap();
        std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o1750)).unwrap();

        copy_tree(&from, &to).unwrap();
        let of = |name: &str| std::fs::symlink_metadata(to.join(name)).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("sub/file")).unwrap(), "text");
        assert_eq!((of("link").ino(), of("link").nlink()), (of("sub/file").ino(), 2));
        assert_eq!((of("link").uid(), of("link").gid(), of("link").mode() & 0o7777), (12, 34, 0o4711));
        assert_eq!(of("link").mtime_nsec(), std::fs::metadata(from.join("link")).unwrap().mtime_nsec());
        assert_eq!(std::fs::read_link(to.join("symbolic")).unwrap(), Path::new("/nowhere"));
        assert_eq!(FileType::from_raw_mode(of("pipe").mode()), FileType::Fifo);
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o1750);
        let mut value = [0; 8];
        assert_eq!(rustix::fs::getxattr(to.join("sub"), "user.a", &mut value[..]).unwrap(), 1);
        assert_eq!(of("sparse").len(), 64 << 20);
        assert!(of("sparse").blocks() < 1 << 10, "{} blocks", of("sparse").blocks());
        let mut end = [0; 3];
        File::open(to.join("sparse")).unwrap().read_exact_at(&mut end, (64 << 20) - 3).unwrap();
        assert_eq!(&end, b"end");
    }
}
