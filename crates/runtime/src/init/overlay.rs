//! An overlay that is attached nowhere yet.
//!
//! Layers are named one by one where the kernel takes them so (Linux 6.7, `lowerdir+`). Before, all of them are one
//! string, which `fsconfig(2)` takes up to 256 bytes only: there `mount(2)` makes the overlay, whose page of options
//! is spent sparingly, and `open_tree(2)` takes it off again.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::mount_api::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, open_tree, unmount,
};

/// The parts of an overlay; `lower` from the uppermost layer to the lowest. Without `upper` nothing can be changed, and
/// `lower` are two at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlay<'a> {
    pub(super) lower: &'a [PathBuf],
    pub(super) upper: &'a Path,
    pub(super) work: &'a Path,
    pub(super) options: &'a [String],
}

impl Overlay<'_> {
    /// Makes it. What is mounted at `upper` for a moment, on an old kernel, must not reach the host: the caller has
    /// a mount namespace of its own that tells nobody.
    pub(super) fn tree(&self) -> Result<OwnedFd, Errno> {
        match self.by_names()? {
            Some(tree) => Ok(tree),
            None => self.by_string(),
        }
    }

    fn is_writable(&self) -> bool {
        !self.upper.as_os_str().is_empty()
    }

    /// `None` from a kernel that does not know how.
    fn by_names(&self) -> Result<Option<OwnedFd>, Errno> {
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        // Before 6.5 overlay reads its options when it is made, and until then any is welcome: also this, which
        // none can be, as the option wants a value.
        if fsconfig_set_flag(&fs, "lowerdir+").is_ok() {
            return Ok(None);
        }
        fsconfig_set_string(&fs, "source", "overlay")?;
        for layer in self.lower {
            match fsconfig_set_string(&fs, "lowerdir+", layer) {
                Err(Errno::INVAL) => return Ok(None),
                other => other?,
            }
        }
        if self.is_writable() {
            fsconfig_set_string(&fs, "upperdir", self.upper)?;
            fsconfig_set_string(&fs, "workdir", self.work)?;
        }
        for option in self.options {
            self.forget_volatile(option);
            match option.split_once('=') {
                Some((key, value)) => fsconfig_set_string(&fs, key, value)?,
                None => fsconfig_set_flag(&fs, option.as_str())?,
            }
        }
        fsconfig_create(&fs)?;
        fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map(Some)
    }

    /// The mark of an earlier volatile mount is refused as that of a crash. Since this boot there was none: what was
    /// written is in the kernel's memory, if not on disk.
    fn forget_volatile(&self, option: &str) {
        if option == "volatile" {
            let _ = std::fs::remove_dir_all(self.work.join("work/incompat"));
        }
    }

    fn by_string(&self) -> Result<OwnedFd, Errno> {
        let before =
            rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let base = common_directory(self.lower);
        rustix::process::chdir(&base)?;
        let data = CString::new(self.data(&base)).map_err(|_| Errno::INVAL)?;
        let place = if self.is_writable() { self.upper } else { self.lower.first().ok_or(Errno::INVAL)? };
        let mounted = rustix::mount::mount("overlay", place, "overlay", MountFlags::empty(), data.as_c_str());
        rustix::process::fchdir(&before)?;
        mounted?;
        let tree = open_tree(CWD, place, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC);
        unmount(place, UnmountFlags::DETACH)?;
        tree
    }

    /// The string for `mount(2)`, with the layers' paths below `base`.
    fn data(&self, base: &Path) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        let mut data = b"lowerdir=".to_vec();
        for (index, layer) in self.lower.iter().enumerate() {
            if index > 0 {
                data.push(b':');
            }
            let below = layer.strip_prefix(base).unwrap_or(layer);
            escape(below.as_os_str().as_bytes(), &mut data);
        }
        let own = [(&b",upperdir="[..], self.upper), (b",workdir=", self.work)];
        for (key, path) in own.into_iter().filter(|_| self.is_writable()) {
            data.extend_from_slice(key);
            escape(path.as_os_str().as_bytes(), &mut data);
        }
        for option in self.options {
            self.forget_volatile(option);
            data.push(b',');
            data.extend_from_slice(option.as_bytes());
        }
        data
    }
}

/// Colons and commas separate (Documentation/filesystems/overlayfs.rst).
fn escape(path: &[u8], data: &mut Vec<u8>) {
    for byte in path {
        if matches!(byte, b'\\' | b':' | b',') {
            data.push(b'\\');
        }
        data.push(*byte);
    }
}

/// The deepest directory that holds all of `paths`.
fn common_directory(paths: &[PathBuf]) -> PathBuf {
    let parents = || paths.iter().filter_map(|path| path.parent());
    let Some(first) = parents().next() else { return PathBuf::from("/") };
    let parts: Vec<Component<'_>> = first.components().collect();
    let shared = parents()
        .map(|path| path.components().zip(&parts).take_while(|(a, b)| a == *b).count())
        .min()
        .unwrap_or_default();
    parts[..shared].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_is_short_and_escaped() {
        let lower: Vec<PathBuf> =
            ["/var/lib/w/layers/12", "/var/lib/w/layers/3:a"].iter().map(PathBuf::from).collect();
        let base = common_directory(&lower);
        assert_eq!(base, Path::new("/var/lib/w/layers"));
        let overlay = Overlay {
            lower: &lower,
            upper: Path::new("/u,p"),
            work: Path::new("/w"),
            options: &["index=off".to_owned()],
        };
        assert_eq!(
            String::from_utf8(overlay.data(&base)).unwrap(),
            "lowerdir=12:3\\:a,upperdir=/u\\,p,workdir=/w,index=off"
        );
        assert_eq!(common_directory(&["/a/b".into(), "/c/d".into()]), Path::new("/"));
        assert_eq!(common_directory(&["/a/b".into()]), Path::new("/a"));
    }

    /// As on a kernel that cannot name layers one by one, in a mount namespace that ends with the thread.
    #[test]
    fn both_ways_make_the_same_tree() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (name, file) in [("one", "a"), ("two", "b")] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join(file), name).unwrap();
        }
        let lower = [at("two"), at("one")];
        for old in [false, true] {
            let (upper, work) = (at("upper"), at("work"));
            std::fs::create_dir(&upper).unwrap();
            std::fs::create_dir(&work).unwrap();
            std::thread::scope(|scope| {
                let body = || {
                    sys::process::unshare(sys::process::CloneFlags::NEWNS).expect("this test needs root");
                    let change =
                        sys::mount::Change { propagation: crate::options::MS_SLAVE, ..Default::default() };
                    sys::mount::setattr(CWD, c"/", true, change, None).unwrap();
                    let overlay = Overlay { lower: &lower, upper: &upper, work: &work, options: &[] };
                    let tree = if old { overlay.by_string() } else { overlay.tree() }.unwrap();
                    for file in ["a", "b"] {
                        rustix::fs::openat(&tree, file, OFlags::RDONLY, Mode::empty()).unwrap();
                    }
                    let flags = OFlags::CREATE | OFlags::WRONLY;
                    rustix::fs::openat(&tree, "new", flags, Mode::RUSR).unwrap();
                };
                scope.spawn(body).join().unwrap();
            });
            assert!(upper.join("new").exists());
            std::fs::remove_dir_all(&upper).unwrap();
            std::fs::remove_dir_all(&work).unwrap();
        }
    }
}
