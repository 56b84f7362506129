//! What a layer hides of those below it.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode as FileMode, XattrFlags};
use rustix::io::Errno;

use super::Run;
use crate::entries::Entry;
use crate::error::{At, Error};
use crate::path::show;
use crate::tree;
use crate::whiteout::{self, Mode};

impl Run<'_> {
    pub(super) fn whiteout(&mut self, name: &[u8], parents: &[&[u8]], entry: &Entry) -> Result<(), Error> {
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

    pub(super) fn set_opaque(&self, name: &[u8], entry_name: &[u8]) -> Result<(), Error> {
        let path = self.proc_path(name);
        rustix::fs::setxattr(&path, whiteout::OPAQUE_XATTR, b"y", XattrFlags::empty())
            .at("mark opaque", entry_name)
    }

    /// Deletes what layers below put at a name in the current directory.
    pub(super) fn hide(&self, path: &[&[u8]]) -> Result<(), Errno> {
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
    pub(super) fn clear(&self, path: &[u8]) -> Result<(), Errno> {
        let dir = tree::open_dir(self.parent(), b".")?;
        self.clear_in(&dir, path)
    }

    pub(super) fn clear_in(&self, dir: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
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
    pub(super) fn remember(&mut self, path: &[&[u8]]) {
        for depth in (1..=path.len()).rev() {
            if !self.made.insert(path[..depth].join(&b'/')) {
                // Then those above are known as well.
                break;
            }
        }
    }
}
