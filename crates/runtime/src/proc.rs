//! The caller's procfs.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};

use crate::error::Context;
use crate::{Error, Result};

/// The host's `/proc`, or an error if something else is mounted there.
pub(crate) fn open_proc() -> Result<OwnedFd> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    /// <linux/proc_ns.h>: only the root of a procfs has it.
    const PROC_ROOT_INO: u64 = 1;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).step(|| "open /proc".into())?;
    let system = rustix::fs::fstatfs(&proc).step(|| "statfs /proc".into())?;
    let stat = rustix::fs::fstat(&proc).step(|| "stat /proc".into())?;
    if system.f_type != PROC_SUPER_MAGIC || stat.st_ino != PROC_ROOT_INO {
        return Err(Error::Unsupported("/proc is not a proc file system".into()));
    }
    Ok(proc)
}
