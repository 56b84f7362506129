//! Directories that may take so much of the disk and no more.
//!
//! On btrfs such a directory is a subvolume of its own, limited in what it has for itself alone. On ext4 and xfs it is of a
//! project of its own, and what is made in it is, too. Which project stands in the directory itself, as its limit stands
//! in the file system: neither can get lost without the other, whoever is killed.
//!
//! Ids of projects belong to the file system, where others may use them: an administrator, another engine. So they begin
//! far up, at a place that depends on the data root, and one is taken only if nothing is limited or in use under it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{At, Error, Result};

/// Ids that ours lie between: above those that people and kubelet give, and positive also as a signed number.
const FIRST: u32 = 1 << 28;
const LAST: u32 = 0x7fff_0000;

/// Limits on directories of one data root.
#[derive(Debug)]
pub struct Quotas {
    /// The next id to try. Held while one is taken, so that no two get the same.
    next: Mutex<u32>,
}

/// How the file system of a directory limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Projects,
    Subvolumes,
}

impl Quotas {
    pub(crate) fn new(data_root: &Path) -> Self {
        // FNV-1a: the same for the same root.
        let hash = data_root.as_os_str().as_bytes().iter();
        let hash =
            hash.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        Self { next: Mutex::new(FIRST + hash % (LAST - FIRST)) }
    }

    /// Makes a directory that may take `bytes`, in one that exists.
    ///
    /// # Errors
    /// [`Error::NoQuotas`] where the file system does not limit.
    pub fn create(&self, directory: &Path, mode: u32, bytes: u64) -> Result<()> {
        let parent = directory.parent().unwrap_or(directory);
        let means = means(parent)?;
        match means {
            Means::Subvolumes => {
                let name = directory.file_name().unwrap_or_default();
                sys::btrfs::create(open(parent)?.as_fd(), name).at("create", directory)?;
            }
            Means::Projects => fs::DirBuilder::new().create(directory).at("create", directory)?,
        }
        let permissions = fs::Permissions::from_mode(mode);
        let made =
            fs::set_permissions(directory, permissions).at("chmod", directory).and_then(|()| match means {
                Means::Subvolumes => limit_subvolume(directory, bytes),
                Means::Projects => self.give_project(directory, bytes),
            });
        if made.is_err() {
            self.release(directory);
            // The first error is the one to tell.
            let _ = archive::remove_tree(directory);
        }
        made
    }

    /// Limits a directory that was made by [`Quotas::create`] again: what a machine that stopped may have forgotten.
    pub fn renew(&self, directory: &Path, bytes: u64) -> Result<()> {
        match means(directory)? {
            Means::Subvolumes => limit_subvolume(directory, bytes),
            Means::Projects => {
                let file = open(directory)?;
                match sys::quota::project(file.as_fd()).at("read project of", directory)? {
                    0 => Ok(()),
                    project => sys::quota::set_limit(file.as_fd(), project, bytes).at("limit", directory),
                }
            }
        }
    }

    /// A directory of a project is limited no more, because it is about to go. What is no such directory is left alone. (A
    /// subvolume's limit goes with it.)
    pub fn release(&self, directory: &Path) {
        let Some(project) = project_of(directory) else { return };
        if let Ok(parent) = open(directory.parent().unwrap_or(directory)) {
            // Whoever would be limited by what stays has no such id: it is not given away again while it has a limit.
            let _ = sys::quota::set_limit(parent.as_fd(), project, 0);
        }
    }

    fn give_project(&self, directory: &Path, bytes: u64) -> Result<()> {
        let file = open(directory)?;
        let file = file.as_fd();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let project = *next;
            *next = if project >= LAST { FIRST } else { project + 1 };
            match sys::quota::get(file, project) {
                // What was deleted a moment ago may still be counted.
                Ok(used) if used.limit_bytes != 0 || used.used_bytes != 0 || used.files != 0 => continue,
                Err(error) if error.raw_os_error() != Some(Errno::NOENT.raw_os_error()) => {
                    return Err(error).at("read quota of", directory);
                }
                _ => {}
            }
            // The limit first: a directory that has a project has its limit.
            sys::quota::set_limit(file, project, bytes).at("limit", directory)?;
            return match sys::quota::set_project(file, project) {
                Ok(()) => Ok(()),
                Err(error) => {
                    let _ = sys::quota::set_limit(file, project, 0);
                    Err(error).at("set project of", directory)
                }
            };
        }
    }
}

/// Which project a directory is of, if it is of one that is limited.
pub(crate) fn project_of(directory: &Path) -> Option<u32> {
    let file = open(directory).ok()?;
    sys::quota::project(file.as_fd()).ok().filter(|project| (FIRST..=LAST).contains(project))
}

/// Whether directories there may be of limited projects.
pub(crate) fn has_projects(directory: &Path) -> bool {
    matches!(means(directory), Ok(Means::Projects))
}

/// Whether a directory can be made there that may take so much and no more.
///
/// # Errors
/// [`Error::NoQuotas`] with the reason, and what to do.
pub fn check(directory: &Path) -> Result<()> {
    means(directory).map(drop)
}

/// Limits what a subvolume has for itself alone. The first limit on a file system turns its accounting on.
pub(crate) fn limit_subvolume(path: &Path, bytes: u64) -> Result<()> {
    let file = open(path)?;
    match sys::btrfs::limit(file.as_fd(), bytes) {
        Err(error)
            if [libc_errno(Errno::NOTCONN), libc_errno(Errno::INVAL)].contains(&error.raw_os_error()) =>
        {
            sys::btrfs::enable_quotas(file.as_fd()).at("turn on the quotas of the file system of", path)?;
            sys::btrfs::limit(file.as_fd(), bytes).at("limit", path)
        }
        other => other.at("limit", path),
    }
}

fn libc_errno(errno: Errno) -> Option<i32> {
    Some(errno.raw_os_error())
}

fn means(directory: &Path) -> Result<Means> {
    let file = open(directory)?;
    let kind = rustix::fs::fstatfs(&file).at("statfs", directory)?.f_type;
    let no = |why: String| Err(Error::NoQuotas { directory: directory.into(), why });
    // linux/magic.h
    let (name, on) = match kind {
        0x9123_683e => return Ok(Means::Subvolumes),
        0xef53 => (
            "ext4",
            "run \"tune2fs -O project,quota\" on its device while it is not mounted, and mount it with -o prjquota",
        ),
        0x5846_5342 => (
            "xfs",
            "mount it with -o prjquota (a root file system: with the kernel's parameter rootflags=prjquota)",
        ),
        0x0102_1994 => {
            return no("is on tmpfs, which has no quotas of directories; ext4, xfs and btrfs have".into());
        }
        _ => {
            return no(
                "is on a file system that has no quotas of directories; ext4, xfs and btrfs have".into()
            );
        }
    };
    match sys::quota::is_enforced(file.as_fd()) {
        Ok(true) => Ok(Means::Projects),
        Err(_) if !sys::quota::is_known() => {
            no(format!("is on {name}, and this kernel has no quotactl_fd, which came with Linux 5.14"))
        }
        Ok(false) | Err(_) => no(format!("is on {name}, mounted without quotas of projects: {on}")),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from).at("open", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_none_it_says_why_and_makes_nothing() {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let quotas = Quotas::new(shm.path());
        let limited = shm.path().join("limited");
        let error = quotas.create(&limited, 0o755, 1 << 20).unwrap_err();
        let expected = format!(
            "{} is on tmpfs, which has no quotas of directories; ext4, xfs and btrfs have",
            shm.path().display()
        );
        assert_eq!(error.to_string(), expected);
        assert!(!limited.exists() && project_of(shm.path()).is_none());
    }

    #[test]
    fn ids_begin_where_nobody_elses_do() {
        for root in ["/var/lib/wharf", "/", ""] {
            let first = *Quotas::new(Path::new(root)).next.lock().unwrap();
            assert!((FIRST..LAST).contains(&first));
            assert_eq!(first, *Quotas::new(Path::new(root)).next.lock().unwrap());
        }
        let first = |root: &str| *Quotas::new(Path::new(root)).next.lock().unwrap();
        assert!(first("/a").abs_diff(first("/b")) > 1 << 16);
    }
}
