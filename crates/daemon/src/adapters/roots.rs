//! The engine's `Roots`: into the mount namespace of a running container, in a thread that does nothing else.
//!
//! What is handed out is a copy of the container's mounts in a namespace of its own. In it nothing of the machine is
//! mounted, and no device can be opened: a container that puts a device node where the engine has just seen a file gains
//! nothing by it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use engine::ports::{OpenRoot, RootView, Roots};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, OpenTreeFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sys::mount::{Change, attr};
use sys::process::CloneFlags;

/// Roots by way of `/proc`.
#[derive(Debug)]
pub struct ProcRoots;

impl Roots for ProcRoots {
    fn open(&self, process: OwnedFd, view: RootView) -> io::Result<OpenRoot> {
        let opened = std::thread::Builder::new().name("root".into()).spawn(move || enter(&process, &view))?;
        opened.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Leaves the thread in another namespace.
fn enter(process: &OwnedFd, view: &RootView) -> io::Result<OpenRoot> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let namespace = |of: &OwnedFd| {
        rustix::fs::openat(of, "ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(gone)
    };
    let theirs = namespace(process)?;
    // The container's procfs would not know this thread.
    let own = rustix::fs::open("/proc/thread-self", OFlags::PATH | directory, Mode::empty())?;
    sys::process::unshare(CloneFlags::FS)?;
    move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::Mount))?;
    match view {
        RootView::Alone => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = rustix::mount::open_tree(CWD, "/", flags)?;
            no_devices(&tree)?;
            Ok(OpenRoot { root: rustix::fs::openat(&tree, ".", directory, Mode::empty())?, keep: None })
        }
        RootView::Mounted { hidden } => {
            sys::process::unshare(CloneFlags::NEWNS)?;
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private)?;
            for place in hidden {
                match rustix::mount::unmount(*place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                    // Nothing is mounted there.
                    Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let root = rustix::fs::open("/", directory, Mode::empty())?;
            no_devices(&root)?;
            Ok(OpenRoot { root, keep: Some(namespace(&own)?) })
        }
    }
}

fn no_devices(root: &OwnedFd) -> io::Result<()> {
    let change = Change { set: attr::NODEV, ..Change::default() };
    match sys::mount::setattr(root.as_fd(), c"", true, change, None) {
        // Before Linux 5.12. Then what is opened is looked at before it is read.
        Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => Ok(()),
        other => other,
    }
}

/// A process that has ended has no namespaces.
fn gone(error: Errno) -> io::Error {
    match error {
        Errno::SRCH | Errno::NOENT => io::ErrorKind::NotFound.into(),
        other => other.into(),
    }
}
