//! Regular files: their data, and when they get their name.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, CWD, FileType, Mode as FileMode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::{Run, allowed_xattrs, set_xattr, timestamps};
use crate::entries::{Entries, Entry, decode_error};
use crate::error::{At, Error};
use crate::path::show;

impl Run<'_> {
    /// A new, empty file; what was there goes.
    pub(super) fn create(&self, name: &[u8], entry: &Entry) -> Result<File, Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = FileMode::from_raw_mode(0o600);
        let file = match rustix::fs::openat(self.parent(), name, flags, mode) {
            Err(Errno::EXIST) => {
                self.replace(name, entry)?;
                rustix::fs::openat(self.parent(), name, flags, mode)
            }
            other => other,
        };
        Ok(File::from(file.at("create", &entry.name)?))
    }

    /// A file that others look for already: whoever sends it may break off in its middle, and then it was never there,
    /// and what was there stays. A small one is here before its place is touched; a larger one gets its name last.
    pub(super) fn whole_file<R: Read>(
        &mut self,
        name: &[u8],
        entry: &Entry,
        data: &mut Entries<R>,
    ) -> Result<(), Error> {
        if entry.sparse.is_none() && entry.size <= self.buffer.len() as u64 {
            let length = entry.size as usize;
            let mut filled = 0;
            while filled < length {
                filled += read_some(data, &mut self.buffer[filled..length], entry)?;
            }
            let mut file = self.create(name, entry)?;
            file.write_all(&self.buffer[..length]).at("write", &entry.name)?;
            return self.finish_file(&file, entry);
        }
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(self.parent(), ".", flags, FileMode::from_raw_mode(0o600)) {
            Ok(file) => File::from(file),
            // Older kernels have no nameless files on every file system, on overlays for one.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let mut file = self.create(name, entry)?;
                return self.fill(&mut file, entry, data);
            }
            Err(error) => return Err(error).at("create", &entry.name),
        };
        self.fill(&mut file, entry, data)?;
        self.give_name(&file, name, entry)
    }

    pub(super) fn give_name(&self, file: &File, name: &[u8], entry: &Entry) -> Result<(), Error> {
        let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = |name: &[u8]| {
            rustix::fs::linkat(CWD, nameless.as_str(), self.parent(), name, AtFlags::SYMLINK_FOLLOW)
        };
        match link(name) {
            Err(Errno::EXIST) => {}
            other => return other.at("create", &entry.name),
        }
        let there =
            rustix::fs::statat(self.parent(), name, AtFlags::SYMLINK_NOFOLLOW).at("stat", &entry.name)?;
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            self.replace(name, entry)?;
            return link(name).at("create", &entry.name);
        }
        // In one step, so that there is always one of the two.
        let beside = format!(".wharf-{}-{}", std::process::id(), there.st_ino);
        link(beside.as_bytes()).at("create", &entry.name)?;
        let renamed = rustix::fs::renameat(self.parent(), beside.as_str(), self.parent(), name);
        if renamed.is_err() {
            // The first error is the one to tell.
            let _ = rustix::fs::unlinkat(self.parent(), beside.as_str(), AtFlags::empty());
        }
        renamed.at("replace", &entry.name)
    }

    pub(super) fn fill<R: Read>(
        &mut self,
        file: &mut File,
        entry: &Entry,
        data: &mut Entries<R>,
    ) -> Result<(), Error> {
        match &entry.sparse {
            None => self.copy(entry, data, entry.size, |bytes, _| file.write_all(bytes))?,
            Some(pieces) => {
                for &(start, length) in pieces {
                    self.copy(entry, data, length, |bytes, done| file.write_all_at(bytes, start + done))?;
                }
                file.set_len(entry.size).at("resize", &entry.name)?;
            }
        }
        self.finish_file(file, entry)
    }

    /// Owner, mode, attributes and time of a file whose data is there.
    pub(super) fn finish_file(&self, file: &File, entry: &Entry) -> Result<(), Error> {
        let fd = file.as_fd();
        self.own(fd, entry)?;
        rustix::fs::fchmod(fd, FileMode::from_raw_mode(entry.mode)).at("change mode of", &entry.name)?;
        for (key, value) in allowed_xattrs(entry) {
            set_xattr(entry, rustix::fs::fsetxattr(fd, key, value, XattrFlags::empty()))?;
        }
        rustix::fs::futimens(fd, &timestamps(entry.mtime)).at("set time of", &entry.name)
    }

    pub(super) fn copy<R: Read>(
        &mut self,
        entry: &Entry,
        data: &mut Entries<R>,
        length: u64,
        mut write: impl FnMut(&[u8], u64) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < length {
            let want = (length - done).min(self.buffer.len() as u64) as usize;
            let n = read_some(data, &mut self.buffer[..want], entry)?;
            write(&self.buffer[..n], done).at("write", &entry.name)?;
            done += n as u64;
        }
        Ok(())
    }
}

/// Some of the entry's data: at least one byte.
fn read_some<R: Read>(data: &mut Entries<R>, buffer: &mut [u8], entry: &Entry) -> Result<usize, Error> {
    loop {
        return match data.read(buffer) {
            Ok(0) => Err(Error::Truncated(show(&entry.name))),
            Ok(n) => Ok(n),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(match decode_error(error) {
                Error::Truncated(_) => Error::Truncated(show(&entry.name)),
                other => other,
            }),
        };
    }
}
