//! What a snapshot driver does. `tests/store/snapshots.rs` runs one suite on each.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Layer;
use crate::error::{At, Result};

/// How a container's root directory is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// To be mounted, by the container's own set-up code.
    Overlay {
        /// Top first.
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
    /// To be used as it is.
    Directory(PathBuf),
}

/// Disk space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of regular files and links; hard links count once.
    pub bytes: u64,
    pub inodes: u64,
}

pub(super) trait Driver: Debug + Send + Sync {
    /// Its directory's name.
    fn name(&self) -> &'static str;
    /// Its name in `docker info`.
    fn docker_name(&self) -> &'static str;
    /// How a layer's tar is unpacked.
    fn mode(&self) -> archive::Mode;
    /// Makes a layer's directory, and in it what the layer's files are to be laid over.
    fn seed(&self, staged: &Path, parent: Option<&Layer>) -> Result<()>;
    /// Makes the writable part in a new, empty container directory.
    fn prepare(&self, dir: &Path, top: Option<&Layer>) -> Result<()>;
    fn root(&self, dir: &Path, stack: &[PathBuf]) -> Root;
    /// Where the container's writes end.
    fn changes_dir(&self, dir: &Path) -> PathBuf;
}

/// Components that a path may have before the directory it leads to is opened, and paths begin there anew: a tree may
/// be deeper than a path may be long.
const COMPONENTS: usize = 12;

/// Walks a tree without leaving it. What goes away meanwhile, since its container runs, does not count.
pub fn usage(root: &Path) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut seen = HashSet::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let base = Rc::new(rustix::fs::openat(CWD, root, flags, Mode::empty()).at("open", root)?);
    let mut pending = vec![(base, PathBuf::from("."), 0)];
    while let Some((base, path, components)) = pending.pop() {
        let dir = match rustix::fs::openat(&*base, &path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            dir => dir.at("open", root.join(&path))?,
        };
        let entries = Dir::read_from(&dir).at("list", root.join(&path))?;
        let far = (components >= COMPONENTS).then(|| Rc::new(dir));
        for entry in entries {
            let entry = entry.at("list", root.join(&path))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let below = path.join(OsStr::from_bytes(name.to_bytes()));
            let status = match rustix::fs::statat(&*base, &below, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                status => status.at("stat", root.join(&below))?,
            };
            let is_dir = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
            if status.st_nlink > 1 && !is_dir && !seen.insert((status.st_dev, status.st_ino)) {
                continue;
            }
            usage.inodes += 1;
            match (is_dir, &far) {
                (false, _) => usage.bytes += u64::try_from(status.st_size).unwrap_or_default(),
                (true, None) => pending.push((base.clone(), below, components + 1)),
                (true, Some(dir)) => {
                    pending.push((dir.clone(), PathBuf::from(OsStr::from_bytes(name.to_bytes())), 1));
                }
            }
        }
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_a_path_is_long_is_counted() {
        let root = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut dir = rustix::fs::openat(CWD, root.path(), flags, Mode::empty()).unwrap();
        for _ in 0..100 {
            rustix::fs::mkdirat(&dir, name.as_str(), Mode::RWXU).unwrap();
            dir = rustix::fs::openat(&dir, name.as_str(), flags, Mode::empty()).unwrap();
            let file = rustix::fs::openat(&dir, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            rustix::io::write(&file, b"1234").unwrap();
            rustix::fs::linkat(&dir, "f", &dir, "g", AtFlags::empty()).unwrap();
        }
        assert_eq!(usage(root.path()).unwrap(), Usage { bytes: 400, inodes: 200 });
        archive::remove_tree(root.path()).unwrap();
        assert!(!root.path().exists());
    }
}
