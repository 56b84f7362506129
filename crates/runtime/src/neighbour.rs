//! Bind mounts of what another container has mounted: `/proc/<pid>/root/<path>`, such as the `/dev/shm` of
//! `--ipc container:<c>`.
//!
//! The kernel copies only mounts of the caller's own mount namespace (`open_tree(2)`: `EINVAL`). A child goes into the
//! other's, makes the detached copy there, hands it over, and is gone; the copy belongs to no namespace until it is
//! attached. (A thread would do, too, but nothing can be cloned from a process that has had one.)

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sys::process::{CloneFlags, Cloned, clone3, exit_now};

use crate::handshake::{Channel, Message};
use crate::mount_api::{OpenTreeFlags, open_tree as copy};

/// Whether a path leads into the root of a process that has another mount namespace than the caller.
pub(crate) fn is_of_another(source: &str) -> bool {
    let Some((pid, _)) = split(source) else { return false };
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/mnt")).ok();
    let theirs = namespace(pid);
    theirs.is_some() && theirs != namespace("self")
}

/// The process and the path below its root.
fn split(source: &str) -> Option<(&str, &str)> {
    let (pid, path) = source.strip_prefix("/proc/")?.split_once("/root/")?;
    (!pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())).then_some((pid, path))
}

/// A detached copy of the mounts at `source`, which [`is_of_another`] says yes to.
///
/// # Errors
///
/// The process has gone, the path is not there or has a symlink in it (the other container's programs may have
/// put that there), or missing privilege.
pub(crate) fn open_tree(source: &str, flags: OpenTreeFlags) -> io::Result<OwnedFd> {
    let Some((pid, path)) = split(source) else { return Err(Errno::INVAL.into()) };
    let open = |path: String, flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    let namespace = open(format!("/proc/{pid}/ns/mnt"), OFlags::RDONLY)?;
    let there = || -> io::Result<OwnedFd> {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let root = open("/".into(), OFlags::PATH | OFlags::DIRECTORY)?;
        let handle = rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        Ok(copy(handle, "", flags | OpenTreeFlags::AT_EMPTY_PATH)?)
    };
    let (ours, theirs) = Channel::pair()?;
    match clone3(CloneFlags::empty(), None)? {
        Cloned::Child => {
            let said = match there() {
                Ok(tree) => theirs.send(&Message::Copied { errno: 0 }, &[tree.as_fd()]),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
                    theirs.send(&Message::Copied { errno }, &[])
                }
            };
            exit_now(i32::from(said.is_err()))
        }
        Cloned::Parent { pidfd, .. } => {
            drop(theirs);
            let answer = ours.receive();
            rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
            match answer? {
                Some((Message::Copied { errno: 0 }, mut fds)) if fds.len() == 1 => Ok(fds.remove(0)),
                Some((Message::Copied { errno }, _)) => Err(io::Error::from_raw_os_error(errno)),
                _ => Err(io::Error::other("the process that copies a mount broke off")),
            }
        }
    }
}
