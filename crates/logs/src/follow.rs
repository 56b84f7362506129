//! Being told that a log directory changed: inotify as a file descriptor that any event loop can wait on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// A watch on the directory of a log: writes to the log, and the renames of a rotation.
///
/// The directory is watched and not the file, as the file that is current changes under rotation.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    /// `None` where there is no directory: nothing was ever started that writes there.
    pub(crate) fn on_directory_of(path: &Path) -> io::Result<Option<Self>> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let events = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
        match inotify::add_watch(&inotify, directory, events) {
            Ok(_) => Ok(Some(Self { inotify })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(e) => Err(io::Error::new(
                e.kind(),
                format!("watch {}: {}", directory.display(), io::Error::from(e)),
            )),
        }
    }

    /// Takes all events that have come, so that the descriptor becomes quiet. Which they were does not
    /// matter: the reader looks at the files anyway.
    pub(crate) fn drain(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        loop {
            match rustix::io::read(&self.inotify, &mut buffer) {
                Ok(([], _)) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
