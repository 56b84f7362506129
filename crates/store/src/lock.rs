//! One engine per data root: an exclusive `flock` on `wharf.lock`, which the kernel drops with the process.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::{At, Error, Result};
use crate::layout::Layout;

/// Held for as long as the store is open.
#[derive(Debug)]
pub(crate) struct RootLock {
    _file: File,
}

impl RootLock {
    pub(crate) fn acquire(layout: &Layout) -> Result<RootLock> {
        let path = layout.lock();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open", &path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).at("read", &path)?;
                let pid = match pid.trim() {
                    "" => "unknown".into(),
                    pid => pid.into(),
                };
                return Err(Error::InUse { root: layout.root().into(), pid });
            }
            Err(error) => return Err(error).at("lock", &path),
        }
        file.set_len(0).at("truncate", &path)?;
        file.rewind().at("seek", &path)?;
        writeln!(file, "{}", std::process::id()).at("write", &path)?;
        Ok(RootLock { _file: file })
    }
}
