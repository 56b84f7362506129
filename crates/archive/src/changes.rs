//! What a container has changed: its tree beside the one it began with.
//!
//! With an overlay only its upper directory is walked, in which deletions stand as whiteouts; otherwise both trees. The
//! answer is the same, in the order of the names, a directory before what is in it: Docker's own comparison of two trees
//! (a directory counts as changed when something in it has; its time and size do not count).

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use crate::error::{At, Error};
use crate::tree;
use crate::whiteout::{self, Mode};

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

/// One path that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From the root, without a slash at its beginning.
    pub path: Vec<u8>,
    pub kind: ChangeKind,
}

/// Which of the new entries somebody else made: places for mounts.
pub type IsOurs = fn(path: &[u8], stat: &Stat) -> Ours;

/// Whether a new entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// It is the container's.
    No,
    /// It is not.
    Yes,
    /// A directory that counts if something in it does.
    UnlessFilled,
}

/// Levels that are followed: no path is longer than 4096 bytes.
const LEVELS_MAX: usize = 2048;

struct Level {
    new: OwnedFd,
    old: Option<OwnedFd>,
    /// With a slash at its end, but for the root.
    prefix: Vec<u8>,
    names: std::vec::IntoIter<CString>,
    /// Of the directory itself.
    kind: ChangeKind,
    listed: bool,
    /// Nothing of what was there before is seen through it.
    complete: bool,
}

/// `new` is an overlay's upper directory with [`Mode::Overlay`], else a whole tree.
pub fn changes(new: OwnedFd, old: OwnedFd, mode: Mode, is_ours: IsOurs) -> Result<Vec<Change>, Error> {
    let mut walk = Walk { found: Vec::new(), mode, is_ours };
    let complete = mode != Mode::Overlay;
    let mut root = level(new, Some(old), Vec::new(), complete)?;
    (root.kind, root.listed) = (ChangeKind::Modified, true);
    let mut levels = vec![root];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.next() else {
            levels.pop();
            continue;
        };
        if let Some(below) = walk.entry(&mut levels, &name)? {
            if levels.len() == LEVELS_MAX {
                return Err(Error::Limit { what: "directory levels", limit: LEVELS_MAX as u64 });
            }
            levels.push(below);
        }
    }
    Ok(walk.found)
}

fn level(new: OwnedFd, old: Option<OwnedFd>, prefix: Vec<u8>, complete: bool) -> Result<Level, Error> {
    let mut names: BTreeSet<CString> = tree::names(&new).at("list", &prefix)?.into_iter().collect();
    if let Some(old) = old.as_ref().filter(|_| complete) {
        names.extend(tree::names(old).at("list", &prefix)?);
    }
    let names = names.into_iter().collect::<Vec<_>>().into_iter();
    Ok(Level { new, old, prefix, names, kind: ChangeKind::Added, listed: true, complete })
}

struct Walk {
    found: Vec<Change>,
    mode: Mode,
    is_ours: IsOurs,
}

impl Walk {
    /// One name of the last level; a directory to go down into.
    fn entry(&mut self, levels: &mut [Level], name: &CString) -> Result<Option<Level>, Error> {
        let Some(here) = levels.last() else { return Ok(None) };
        let (path, name) = ([&here.prefix[..], name.as_bytes()].concat(), name.as_bytes());
        let stat = |dir: &OwnedFd| match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error).at("stat", &path),
        };
        let old = match &here.old {
            Some(old) => stat(old)?,
            None => None,
        };
        let new = stat(&here.new)?.filter(|new| !(self.mode == Mode::Overlay && is_whiteout(new)));
        let (kind, counts) = match (&new, &old) {
            (None, None) => return Ok(None),
            (None, Some(_)) => (ChangeKind::Deleted, true),
            (Some(new), None) => match (self.is_ours)(&path, new) {
                Ours::Yes => return Ok(None),
                ours => (ChangeKind::Added, ours == Ours::No),
            },
            (Some(new), Some(old)) => {
                let differs = differ(new, old)
                    || capability(&here.new, name) != here.old.as_ref().and_then(|old| capability(old, name));
                (ChangeKind::Modified, differs)
            }
        };
        let directories = new.filter(is_directory).map(|_| {
            let new = tree::open_dir(&here.new, name);
            let old = here.old.as_ref().filter(|_| old.is_some_and(|old| is_directory(&old)));
            (new, old.map(|old| tree::open_dir(old, name)))
        });
        let complete_above = here.complete;
        if counts {
            self.list(levels, Change { path: path.clone(), kind });
        }
        let Some((new, old)) = directories else { return Ok(None) };
        let new = match new {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            other => other.at("open", &path)?,
        };
        let old = old.transpose().at("open", &path)?;
        let complete = complete_above || is_opaque(&new);
        let mut below = level(new, old, [&path[..], b"/"].concat(), complete)?;
        (below.kind, below.listed) = (kind, counts);
        Ok(Some(below))
    }

    /// Adds a change, after the directories that it is in.
    fn list(&mut self, levels: &mut [Level], change: Change) {
        for level in levels.iter_mut().filter(|level| !level.listed) {
            level.listed = true;
            let path = level.prefix[..level.prefix.len() - 1].to_vec();
            self.found.push(Change { path, kind: level.kind });
        }
        self.found.push(change);
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn is_opaque(dir: &OwnedFd) -> bool {
    let mut value = [0; 4];
    matches!(rustix::fs::fgetxattr(dir, whiteout::OPAQUE_XATTR, &mut value[..]), Ok(n) if &value[..n] == b"y")
}

fn differ(new: &Stat, old: &Stat) -> bool {
    // Archives that images come from may have whole seconds only.
    let same_time = new.st_mtime == old.st_mtime
        && (new.st_mtime_nsec == old.st_mtime_nsec || new.st_mtime_nsec == 0 || old.st_mtime_nsec == 0);
    (new.st_mode, new.st_uid, new.st_gid, new.st_rdev) != (old.st_mode, old.st_uid, old.st_gid, old.st_rdev)
        || !is_directory(new) && (!same_time || new.st_size != old.st_size)
}

fn capability(dir: &OwnedFd, name: &[u8]) -> Option<Vec<u8>> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let mut value = [0; 64];
    let n = rustix::fs::lgetxattr(path, "security.capability", &mut value[..]).ok()?;
    Some(value[..n].to_vec())
}
