//! Network namespaces as descriptors.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result};

/// A network namespace, alive as long as this descriptor or a process in it.
#[derive(Debug)]
pub struct NetNs(OwnedFd);

impl NetNs {
    /// The calling thread's.
    ///
    /// # Errors
    ///
    /// No `/proc`, or a kernel without network namespaces.
    pub fn current() -> Result<Self> {
        let path = "/proc/thread-self/ns/net";
        File::open(path).map(|f| Self(f.into())).map_err(|e| Error::kernel(format!("open {path}"), e))
    }

    /// A process's, by a descriptor of its `/proc/<pid>`, which is never another's.
    ///
    /// # Errors
    ///
    /// The process has ended, or may not be looked at.
    pub fn below(proc: BorrowedFd<'_>) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(proc, c"ns/net", flags, Mode::empty())
            .map(Self)
            .map_err(|e| Error::kernel("open a process's ns/net", e))
    }

    /// Moves the calling thread into a new namespace, and only this thread. Never call this on a thread that others
    /// use too (an async runtime's): everything that runs there afterwards would be in that namespace.
    ///
    /// # Errors
    ///
    /// Missing privilege, or the limit `user.max_net_namespaces`.
    pub fn unshare() -> Result<Self> {
        sys::netlink::unshare_network().map_err(|e| Error::kernel("make a network namespace", e))?;
        Self::current()
    }

    /// Moves the calling thread into this namespace; the same warning applies.
    ///
    /// # Errors
    ///
    /// Missing privilege.
    pub fn enter(&self) -> Result<()> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|e| Error::kernel("enter a network namespace", e))
    }

    /// Does something in this namespace, in a thread of its own that ends with it.
    ///
    /// # Errors
    ///
    /// No thread, missing privilege.
    pub(crate) fn visit<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("wharf-visit".to_owned()).stack_size(128 * 1024);
            let visiting = thread
                .spawn_scoped(scope, || self.enter().map(|()| act()))
                .map_err(|e| Error::kernel("start a thread for a network namespace", e))?;
            visiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl From<OwnedFd> for NetNs {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
