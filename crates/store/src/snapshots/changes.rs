//! What a container has changed in its root.

use std::os::fd::OwnedFd;

use archive::{Change, Mode, Ours};
use rustix::fs::{FileType, Stat};

use super::Snapshots;
use super::driver::Driver;
use super::view::{mount, open_directory};
use crate::error::Result;

impl Snapshots {
    /// In the order of the names. The container may run meanwhile.
    pub fn changes(&self, container: &str) -> Result<Vec<Change>> {
        let (new, mode) = self.changed(container)?;
        Ok(archive::changes(new, self.below(container)?, mode, is_ours)?)
    }

    /// Where the changes are: the upper directory of an overlay, or all of it.
    pub(crate) fn changed(&self, container: &str) -> Result<(OwnedFd, Mode)> {
        self.top(container)?;
        let driver: &dyn Driver = &*self.driver;
        let mode = match driver.mode() {
            Mode::Overlay => Mode::Overlay,
            _ => Mode::Verbatim,
        };
        Ok((open_directory(&driver.changes_dir(&self.container_dir(container)))?, mode))
    }

    /// What the container began with.
    fn below(&self, container: &str) -> Result<OwnedFd> {
        let top = self.top(container)?;
        let stack = self.stack(top.as_deref());
        match (&*stack, self.driver.mode()) {
            ([only], _) => open_directory(only),
            // A full copy has everything of those below it.
            ([only, ..], mode) if mode != Mode::Overlay => open_directory(only),
            (stack, _) => mount(stack, None),
        }
    }
}

/// What the runtime makes where the image has nothing to mount at. It is covered as long as a container runs.
fn is_ours(path: &[u8], stat: &Stat) -> Ours {
    let kind = FileType::from_raw_mode(stat.st_mode);
    match path {
        b"dev" | b"proc" | b"sys" | b"etc" if kind == FileType::Directory => Ours::UnlessFilled,
        b"dev/pts" | b"dev/shm" | b"dev/mqueue" if kind == FileType::Directory => Ours::UnlessFilled,
        b"etc/hosts" | b"etc/hostname" | b"etc/resolv.conf" | b"dev/console"
            if kind == FileType::RegularFile && stat.st_size == 0 =>
        {
            Ours::Yes
        }
        _ => Ours::No,
    }
}
