//! Freezing and thawing everything in the cgroup.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::directory::Directory;
use crate::wait::Backoff;
use crate::{Cgroup, Error, Result, Version};

/// A process in an uninterruptible sleep freezes when that ends; longer than this nobody waits for a pause.
const DEADLINE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Stops every process and returns when the kernel says that all stand still.
    ///
    /// # Errors
    /// [`Error::Timeout`] if a process could not be frozen; the cgroup is thawed again.
    pub fn freeze(&self) -> Result<()> {
        self.freeze_within(DEADLINE)
    }

    pub(crate) fn freeze_within(&self, limit: Duration) -> Result<()> {
        let started = Instant::now();
        let frozen = match self.freezer()? {
            (directory, Version::V1) => freeze_v1(directory, limit),
            (directory, Version::V2) => {
                directory.write("cgroup.freeze", "1")?;
                wait_v2(directory, limit, |events| event(events, "frozen") == Some(1))
            }
        };
        match frozen {
            Ok(true) => Ok(()),
            failed => {
                // The report is about the freeze; a thaw that fails as well adds nothing to it.
                let _ = self.thaw();
                failed?;
                Err(Error::Timeout {
                    what: "freeze",
                    path: self.display().to_owned(),
                    millis: started.elapsed().as_millis(),
                })
            }
        }
    }

    /// Lets every process go on.
    pub fn thaw(&self) -> Result<()> {
        match self.freezer()? {
            (directory, Version::V1) => directory.write("freezer.state", "THAWED"),
            (directory, Version::V2) => directory.write("cgroup.freeze", "0"),
        }
    }

    /// Does everything in it stand still, by [`Cgroup::freeze`] or somebody else's?
    pub fn is_frozen(&self) -> Result<bool> {
        match self.freezer() {
            Ok((directory, Version::V1)) => {
                Ok(directory.read_optional("freezer.state")?.as_deref() == Some("FROZEN"))
            }
            Ok((directory, Version::V2)) => {
                let events = directory.read_optional("cgroup.events")?.unwrap_or_default();
                Ok(event(&events, "frozen") == Some(1))
            }
            Err(Error::NoController { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// v1 has a controller, v2 does it in every group. On a hybrid machine the v1 controller is the one all
    /// other tools look at.
    fn freezer(&self) -> Result<(&Directory, Version)> {
        if let Some(found) = self.controller("freezer") {
            return Ok(found);
        }
        self.unified()
            .map(|directory| (directory, Version::V2))
            .ok_or(Error::NoController { controller: "freezer", what: "pausing".to_owned() })
    }
}

/// The state stays FREEZING as long as one process could not be stopped. New children may slip by, and the
/// kernel looks again whenever FROZEN is written or the state is read.
fn freeze_v1(directory: &Directory, limit: Duration) -> Result<bool> {
    let mut backoff = Backoff::until(limit);
    loop {
        directory.write("freezer.state", "FROZEN")?;
        if directory.read("freezer.state")? == "FROZEN" {
            return Ok(true);
        }
        if !backoff.pause() {
            return Ok(false);
        }
    }
}

/// Waits until `cgroup.events` satisfies `done`: the kernel wakes pollers of that file when it changes.
pub(crate) fn wait_v2(directory: &Directory, limit: Duration, done: impl Fn(&str) -> bool) -> Result<bool> {
    const FILE: &str = "cgroup.events";
    let deadline = Instant::now() + limit;
    let file = directory.open_file(FILE, OFlags::RDONLY)?;
    let mut buffer = [0u8; 256];
    loop {
        let n = rustix::io::pread(&file, &mut buffer, 0)
            .map_err(|e| crate::directory::io("read", &directory.path().join(FILE), e))?;
        if done(&String::from_utf8_lossy(&buffer[..n])) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        // An interrupted wait is one more look at the file.
        let _ = poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&left));
    }
}

pub(crate) fn event(events: &str, key: &str) -> Option<u64> {
    crate::directory::pairs(events).find(|(k, _)| *k == key).map(|(_, v)| v)
}
