//! A look into a root that no container is running on: for cp, export, diff and for finding a user.
//!
//! The overlay is mounted detached (`fsmount` without `move_mount`): it is in no mount table, and the last
//! file descriptor's closing takes it down.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags,
};
use sys::mount::{Change, attr};
use sys::process::CloneFlags;

use super::Snapshots;
use super::driver::Root;
use crate::error::{At, Result};
use crate::images::Image;

/// What the caller wants to do in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Only while no container runs on it.
    Write,
}

/// A root directory with what is mounted in it. All of it goes with this.
#[derive(Debug)]
pub struct View {
    root: OwnedFd,
    /// Mounts are in each other only as long as their namespace lives.
    _namespace: Option<OwnedFd>,
}

impl View {
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Root and namespace.
    pub fn into_parts(self) -> (OwnedFd, Option<OwnedFd>) {
        (self.root, self._namespace)
    }
}

/// What is mounted in a root: a part of the host's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub source: PathBuf,
    /// Of what is at the source only this part, which its links do not lead out of. Empty: all of it.
    pub subpath: String,
    /// In the root; made there, if there is nothing.
    pub destination: PathBuf,
    pub read_only: bool,
    /// With what is mounted below the source.
    pub recursive: bool,
}

impl Snapshots {
    /// A prepared container's root directory with mounts in it. No process may have it as its root meanwhile.
    /// `read_only` is the root itself, not what is mounted there.
    pub fn view(&self, container: &str, access: Access, read_only: bool, binds: &[Bind]) -> Result<View> {
        if binds.is_empty() && !(read_only && access == Access::Write) {
            return Ok(View { root: self.open_root(container, access)?, _namespace: None });
        }
        let root = self.root(container)?;
        let place = self.container_dir(container);
        // The mounts must be somebody's: of a thread in a mount namespace of its own, which its descriptor keeps.
        let assemble = || assemble(&root, &place, access, read_only, binds);
        std::thread::scope(|scope| match scope.spawn(assemble).join() {
            Ok(view) => view,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// A prepared container's root directory.
    pub fn open_root(&self, container: &str, access: Access) -> Result<OwnedFd> {
        match (self.root(container)?, access) {
            (Root::Directory(path), _) => open_directory(&path),
            (Root::Overlay { lower, upper, work }, Access::Write) => mount(&lower, Some((&upper, &work))),
            // The writable part as the topmost lower one: nothing is written, not even a work directory.
            (Root::Overlay { lower, upper, .. }, Access::Read) => {
                let stack: Vec<PathBuf> = std::iter::once(upper).chain(lower).collect();
                mount(&stack, None)
            }
        }
    }

    /// An image's root directory, for reading.
    pub fn open_image(&self, image: &Image) -> Result<OwnedFd> {
        let lease = self.content.lease();
        let top = self.ensure(&lease, image)?;
        let stack = self.stack(top.as_deref());
        match (&*stack, self.kind) {
            (stack, super::DriverKind::Overlay) if stack.len() != 1 => mount(stack, None),
            ([top, ..], _) => open_directory(top),
            ([], _) => mount(&[], None),
        }
    }
}

/// In a thread that ends afterwards.
fn assemble(root: &Root, place: &Path, access: Access, read_only: bool, binds: &[Bind]) -> Result<View> {
    sys::process::unshare(CloneFlags::NEWNS).at("make a mount namespace for", place)?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .at("make mounts private for", place)?;
    let mount = match root {
        Root::Directory(path) => clone_of(path, false)?,
        Root::Overlay { lower, upper, work } => {
            let below: Vec<PathBuf> = std::iter::once(upper).chain(lower).cloned().collect();
            let reading = match access {
                Access::Read => Some(detached(&below, None)?),
                Access::Write => None,
            };
            // Where something has to be made to be mounted at, reading is not enough.
            let complete = reading
                .filter(|mount| binds.iter().all(|bind| resolve(mount.as_fd(), &bind.destination).is_ok()));
            match complete {
                Some(mount) => mount,
                None => detached(lower, Some((upper, work)))?,
            }
        }
    };
    attach(mount.as_fd(), CWD, place).at("mount at", place)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(&mount, ".", flags, Mode::empty()).at("open", place)?;
    for bind in binds {
        let tree = match bind.subpath.as_str() {
            "" => clone_of(&bind.source, bind.recursive)?,
            part => clone_of_part(&bind.source, part)?,
        };
        let set = if bind.read_only { attr::RDONLY } else { 0 } | attr::NODEV;
        change(tree.as_fd(), true, set).at("set mount attributes of", &bind.source)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&tree).at("stat", &bind.source)?.st_mode);
        let is_directory = kind == FileType::Directory;
        let target =
            mount_point(root.as_fd(), &bind.destination, is_directory).at("open", &bind.destination)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&tree, "", &target, "", flags).at("mount at", &bind.destination)?;
    }
    if read_only {
        change(mount.as_fd(), false, attr::RDONLY).at("make read-only", place)?;
    }
    let namespace =
        rustix::fs::openat(CWD, "/proc/thread-self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .at("open the mount namespace of", place)?;
    Ok(View { root, _namespace: Some(namespace) })
}

/// A detached copy of what is mounted at a path.
fn clone_of(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = rustix::mount::open_tree(CWD, path, flags).at("open mounts of", path)?;
    let nothing_runs = attr::NODEV | attr::NOSUID | attr::NOEXEC;
    change(tree.as_fd(), false, nothing_runs).at("set mount attributes of", path)?;
    Ok(tree)
}

fn clone_of_part(path: &Path, part: &str) -> Result<OwnedFd> {
    let whole =
        rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at("open", path)?;
    let part = resolve(whole.as_fd(), Path::new(part)).at("open", path.join(part))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(&part, "", flags).at("open mounts of", path)
}

fn change(mount: BorrowedFd<'_>, recursive: bool, set: u64) -> io::Result<()> {
    sys::mount::setattr(mount, c"", recursive, Change { set, ..Change::default() }, None)
}

fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>, path: &Path) -> std::result::Result<(), Errno> {
    rustix::mount::move_mount(mount, "", at, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Where something is mounted, made if it is missing. Links count from the root.
fn mount_point(root: BorrowedFd<'_>, path: &Path, is_directory: bool) -> std::result::Result<OwnedFd, Errno> {
    match resolve(root, path) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
    let parent = mount_point(root, parent, true)?;
    if is_directory {
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o755))?;
    }
    resolve(root, path)
}

fn resolve(root: BorrowedFd<'_>, path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at("open", path)
}

pub(super) fn mount(lower: &[PathBuf], writable: Option<(&Path, &Path)>) -> Result<OwnedFd> {
    let mount = detached(lower, writable)?;
    let first = lower.first().map_or(Path::new("overlay"), PathBuf::as_path);
    // `fsmount` returns an O_PATH descriptor; callers want to list it too.
    rustix::fs::openat(&mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .at("open overlay of", first)
}

/// The mount itself, as an `O_PATH` descriptor.
fn detached(lower: &[PathBuf], writable: Option<(&Path, &Path)>) -> Result<OwnedFd> {
    let first = lower.first().map_or(Path::new("overlay"), PathBuf::as_path);
    let context =
        rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).at("fsopen overlay for", first)?;
    let fs = context.as_fd();
    // Before 6.5 overlay reads its options when it is made, and until then any is welcome: also this, which none can be, as
    // the option wants a value. It came with 6.7.
    if rustix::mount::fsconfig_set_flag(fs, "lowerdir+").is_ok() {
        return by_string(lower, writable).at("mount overlay of", first);
    }
    rustix::mount::fsconfig_set_string(fs, "source", "overlay").at("configure overlay for", first)?;
    for path in lower {
        match rustix::mount::fsconfig_set_string(fs, "lowerdir+", path) {
            Err(Errno::INVAL) => return by_string(lower, writable).at("mount overlay of", first),
            other => other.at("add layer", path)?,
        }
    }
    if let Some((upper, work)) = writable {
        rustix::mount::fsconfig_set_string(fs, "upperdir", upper).at("add upper directory", upper)?;
        rustix::mount::fsconfig_set_string(fs, "workdir", work).at("add work directory", work)?;
    }
    rustix::mount::fsconfig_create(fs).at("mount overlay of", first)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    if writable.is_none() {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    rustix::mount::fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).at("mount overlay of", first)
}

/// For kernels that want all layers in one string, which `fsconfig(2)` takes up to 256 bytes only: `mount(2)` makes the overlay,
/// in a mount namespace of a thread that has it for that and tells nobody, and `open_tree(2)` takes it out.
fn by_string(lower: &[PathBuf], writable: Option<(&Path, &Path)>) -> io::Result<OwnedFd> {
    let first = lower.first().ok_or(Errno::INVAL)?;
    let base = first.parent().unwrap_or(first);
    let layers: Vec<_> = lower.iter().map(|path| escape(path.strip_prefix(base).unwrap_or(path))).collect();
    let mut data = format!("lowerdir={}", layers.join(":"));
    let mut set = attr::NODEV | attr::NOSUID | attr::NOEXEC;
    match writable {
        Some((upper, work)) => data += &format!(",upperdir={},workdir={}", escape(upper), escape(work)),
        None => set |= attr::RDONLY,
    }
    let data = CString::new(data).map_err(io::Error::other)?;
    let place = writable.map_or(first.as_path(), |(upper, _)| upper);
    let make = || {
        sys::process::unshare(CloneFlags::NEWNS | CloneFlags::FS)?;
        let alone = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", alone)?;
        // Paths are short from here, and the page of options is one page.
        rustix::process::chdir(base)?;
        rustix::mount::mount("overlay", place, "overlay", MountFlags::empty(), data.as_c_str())?;
        let tree = clone_tree(place)?;
        change(tree.as_fd(), false, set)?;
        Ok(tree)
    };
    std::thread::scope(|scope| scope.spawn(make).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn clone_tree(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, path, flags)
}

/// Colons separate layers, commas options, and a backslash takes that from them.
fn escape(path: &Path) -> String {
    path.display().to_string().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// As on kernels before 6.7, whichever this is.
    #[test]
    fn all_layers_in_one_string() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let lower = [path("a:b,c"), path("2"), path("1")];
        for (number, layer) in lower.iter().enumerate() {
            fs::create_dir(layer).unwrap();
            fs::write(layer.join(format!("of-{number}")), "").unwrap();
            fs::write(layer.join("of-all"), number.to_string()).unwrap();
        }
        let (upper, work) = (path("upper"), path("work"));
        [&upper, &work].iter().for_each(|path| fs::create_dir(path).unwrap());
        let directory = std::env::current_dir().unwrap();
        for writable in [None, Some((upper.as_path(), work.as_path()))] {
            let tree = by_string(&lower, writable).unwrap();
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let open = |name: &str, flags| rustix::fs::openat(&tree, name, flags, Mode::RWXU);
            (0..3).for_each(|number| drop(open(&format!("of-{number}"), flags).unwrap()));
            let mut text = [0; 1];
            rustix::io::read(open("of-all", flags).unwrap(), &mut text).unwrap();
            assert_eq!(text, *b"0", "the first is the uppermost");
            let made = open("new", flags | OFlags::CREATE);
            assert_eq!(made.is_ok(), writable.is_some());
        }
        assert!(upper.join("new").exists());
        assert_eq!(std::env::current_dir().unwrap(), directory);
        let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounted.contains(&root.path().display().to_string()), "nobody else sees it");
    }
}
