//! One directory of one hierarchy, held open: every file is reached relative to its descriptor, so a start
//! walks no path twice and a renamed or replaced mount cannot redirect a write.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result};

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open cgroup directory with the path it was opened under (for messages only).
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> Result<Directory> {
        let fd = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|e| io("open", path, e))?;
        Ok(Directory { fd, path: path.to_owned() })
    }

    /// Opens `relative` (no leading slash) below this directory.
    pub(crate) fn child(&self, relative: &str) -> Result<Directory> {
        let path = self.path.join(relative);
        let relative = if relative.is_empty() { "." } else { relative };
        let fd = rustix::fs::openat(&self.fd, relative, DIRECTORY, Mode::empty())
            .map_err(|e| io("open", &path, e))?;
        Ok(Directory { fd, path })
    }

    /// Makes the directory `relative`; `false` if it was there already.
    pub(crate) fn make(&self, relative: &str) -> Result<bool> {
        match rustix::fs::mkdirat(&self.fd, relative, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(e) => Err(io("create", &self.path.join(relative), e)),
        }
    }

    /// Removes the empty directory `relative`.
    pub(crate) fn remove(&self, relative: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, relative, AtFlags::REMOVEDIR)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn open_file(&self, name: &str, flags: OFlags) -> Result<OwnedFd> {
        rustix::fs::openat(&self.fd, name, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| io("open", &self.path.join(name), e))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        rustix::fs::accessat(&self.fd, name, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Writes `value` in one `write(2)`: the kernel parses each write as one command.
    pub(crate) fn write(&self, name: &str, value: &str) -> Result<()> {
        let file = self.open_file(name, OFlags::WRONLY)?;
        self.write_to(&file, name, value)
    }

    /// Writes several commands into one file, opened once.
    pub(crate) fn write_each<S: AsRef<str>>(
        &self,
        name: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let file = self.open_file(name, OFlags::WRONLY)?;
        values.try_for_each(|value| self.write_to(&file, name, value.as_ref()))
    }

    fn write_to(&self, file: &OwnedFd, name: &str, value: &str) -> Result<()> {
        loop {
            match rustix::io::write(file, value.as_bytes()) {
                // A signal can interrupt a write to memory.limit_in_bytes while the kernel reclaims.
                Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => {
                    return Err(Error::Write {
                        value: value.to_owned(),
                        path: self.path.join(name),
                        source: e.into(),
                    });
                }
            }
        }
    }

    /// The whole file, without the last newline.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        let mut bytes = Vec::new();
        let mut chunk = [0u8; 4096];
        loop {
            match rustix::io::read(&file, &mut chunk) {
                Ok(0) => break,
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                Err(Errno::INTR) => {}
                Err(e) => return Err(io("read", &self.path.join(name), e)),
            }
        }
        while bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        String::from_utf8(bytes).map_err(|e| Error::Malformed {
            path: self.path.join(name),
            text: String::from_utf8_lossy(e.as_bytes()).into_owned(),
            expected: "UTF-8",
        })
    }

    /// As [`Directory::read`]; `None` when the kernel has no such file, or offers it without the feature.
    pub(crate) fn read_optional(&self, name: &str) -> Result<Option<String>> {
        match self.read(name) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.is_not_found() || e.is(Errno::OPNOTSUPP) || e.is(Errno::NODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A file of one number; `max` is `u64::MAX`, an absent file is `None`.
    pub(crate) fn read_number(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.read_optional(name)? else { return Ok(None) };
        number(text.trim()).map(Some).ok_or_else(|| Error::Malformed {
            path: self.path.join(name),
            text,
            expected: "a number or max",
        })
    }

    /// A file of `key value` lines. Lines that are not of that form are left out.
    pub(crate) fn read_pairs(&self, name: &str) -> Result<Vec<(String, u64)>> {
        let text = self.read_optional(name)?.unwrap_or_default();
        Ok(pairs(&text).map(|(k, v)| (k.to_owned(), v)).collect())
    }

    /// The sub-directories' names.
    pub(crate) fn children(&self) -> Result<Vec<String>> {
        let listing = self.open_file(".", OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = rustix::fs::Dir::new(listing).map_err(|e| io("list", &self.path, e))?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(|e| io("list", &self.path, e))?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == rustix::fs::FileType::Directory && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }
}

pub(crate) fn io(action: &'static str, path: &Path, errno: Errno) -> Error {
    Error::Io { action, path: path.to_owned(), source: errno.into() }
}

/// `max` or a decimal; v1 shows "no limit" of some files as -1.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text {
        "max" | "-1" => Some(u64::MAX),
        _ => text.parse().ok(),
    }
}

pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, number(value.trim())?))
    })
}
