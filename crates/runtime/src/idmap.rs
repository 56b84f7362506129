//! Id mappings: of a process in a new user namespace, and of mounts.

use std::fmt::Write;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci::runtime::IdMapping;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use sys::mount::{Change, attr};
use sys::process::{CloneFlags, Cloned};

use crate::error::Context;
use crate::proc::open_proc;
use crate::{Error, Result};

/// Writes `/proc/<pid>/uid_map` and `gid_map`. Without privilege over the mapped groups the kernel wants
/// `setgroups` denied first.
pub(crate) fn write(
    proc: BorrowedFd<'_>,
    pid: Pid,
    uids: &[IdMapping],
    gids: &[IdMapping],
) -> io::Result<()> {
    let pid = pid.as_raw_nonzero();
    write_file(proc, &format!("{pid}/uid_map"), &lines(uids))?;
    match write_file(proc, &format!("{pid}/gid_map"), &lines(gids)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            write_file(proc, &format!("{pid}/setgroups"), "deny")?;
            write_file(proc, &format!("{pid}/gid_map"), &lines(gids))
        }
        other => other,
    }
}

/// Whether the process's user namespace, which it joined, has the mappings that a configuration names beside it.
/// None named fit any.
pub(crate) fn check(proc: BorrowedFd<'_>, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    for (name, wanted) in [("uid_map", uids), ("gid_map", gids)] {
        if wanted.is_empty() {
            continue;
        }
        let path = format!("self/{name}");
        let file = rustix::fs::openat(proc, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = file.step(|| format!("open /proc/{path}"))?;
        let text = io::read_to_string(std::fs::File::from(file)).step(|| format!("read /proc/{path}"))?;
        let has = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        if !has.eq(lines(wanted).lines().map(ToOwned::to_owned)) {
            return Err(Error::Invalid(
                "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may \
                 only provide one"
                    .into(),
            ));
        }
    }
    Ok(())
}

fn lines(mappings: &[IdMapping]) -> String {
    mappings.iter().fold(String::new(), |mut text, m| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{} {} {}", m.container_id, m.host_id, m.size);
        text
    })
}

fn write_file(proc: BorrowedFd<'_>, path: &str, text: &str) -> io::Result<()> {
    let file = rustix::fs::openat(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

/// Gives a detached mount an id mapping; the file systems below it too when `recursive`.
pub(crate) fn apply(
    tree: BorrowedFd<'_>,
    uids: &[IdMapping],
    gids: &[IdMapping],
    recursive: bool,
) -> io::Result<()> {
    let userns = user_namespace(uids, gids)?;
    let change = Change { set: attr::IDMAP, ..Change::default() };
    sys::mount::setattr(tree, c"", recursive, change, Some(userns.as_fd()))
}

/// A user namespace that nothing runs in, for its mappings.
fn user_namespace(uids: &[IdMapping], gids: &[IdMapping]) -> io::Result<OwnedFd> {
    match sys::process::clone3(CloneFlags::NEWUSER, None)? {
        Cloned::Child => loop {
            // Killed by the other branch as soon as the namespace is open.
            let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 60, tv_nsec: 0 });
        },
        Cloned::Parent { pid, pidfd } => {
            let proc = open_proc().map_err(io::Error::other)?;
            let path = format!("{}/ns/user", pid.as_raw_nonzero());
            let made = write(proc.as_fd(), pid, uids, gids).and_then(|()| {
                Ok(rustix::fs::openat(&proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
            });
            rustix::process::pidfd_send_signal(&pidfd, Signal::KILL)?;
            rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
            made
        }
    }
}
