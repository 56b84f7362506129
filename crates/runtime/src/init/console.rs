//! The container's terminal: a pty of its own devpts.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::mounts::attach;
use crate::error::Context;
use crate::mount_api::{OpenTreeFlags, open_tree};
use crate::{Result, inside};

/// A pty's two ends.
#[derive(Debug)]
pub(super) struct Pty {
    pub(super) master: OwnedFd,
    pub(super) slave: OwnedFd,
}

/// Opens a pty in the root's `/dev/pts`. The slave is taken through the master, never by its name: a name
/// could lead elsewhere.
pub(super) fn open(root: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<Pty> {
    make(root, rows, columns).step(|| "open a pty in the container's /dev/pts".into())
}

fn make(root: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<Pty> {
    const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
    let master = inside::open(root, "/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY)?;
    if rustix::fs::fstatfs(&master)?.f_type != DEVPTS_SUPER_MAGIC {
        return Err(io::Error::other("/dev/ptmx does not lead to a devpts"));
    }
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    if rows != 0 || columns != 0 {
        tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    }
    Ok(Pty { master, slave })
}

/// Shows the slave as `/dev/console` too.
pub(super) fn mount(root: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<()> {
    let mounted = || -> io::Result<()> {
        // A link there would have it cover something else, a path that is to be masked for one.
        let target = match inside::open_plain(root, "/dev/console", OFlags::PATH) {
            Err(rustix::io::Errno::NOENT) => {
                inside::file(root, "/dev/console")?;
                inside::open_plain(root, "/dev/console", OFlags::PATH)?
            }
            other => other?,
        };
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(slave, "", flags)?;
        attach(tree.as_fd(), target.as_fd())
    };
    mounted().step(|| "mount the terminal at /dev/console".into())
}
