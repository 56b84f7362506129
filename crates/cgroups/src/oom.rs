//! Being told when the kernel kills for lack of memory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{OFlags, inotify};
use rustix::io::Errno;

use crate::directory::{Directory, io};
use crate::{Cgroup, CgroupPath, Error, Machine, Result, Version, cgroup};

/// A descriptor that becomes readable when the memory limit was hit, or the cgroup is removed. Poll it, then
/// call [`OomWatch::take`], or [`OomWatch::kills`].
#[derive(Debug)]
pub struct OomWatch {
    notifications: OwnedFd,
    /// v1: the kernel wants `memory.oom_control` open as long as the eventfd is.
    _control: Option<OwnedFd>,
    directory: Directory,
    version: Version,
    /// v2: those that were told of.
    told: u64,
}

impl Cgroup {
    /// Starts watching.
    ///
    /// # Errors
    /// [`Error::NoController`] without a memory controller.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        let (directory, version) = self
            .controller("memory")
            .ok_or(Error::NoController { controller: "memory", what: "watching for OOM kills".to_owned() })?;
        watch(directory.child("")?, version)
    }

    /// How many processes the kernel killed here for lack of memory; 0 without a memory controller. Read it
    /// after the exit and before the removal.
    pub fn oom_kills(&self) -> Result<u64> {
        match self.controller("memory") {
            Some((directory, version)) => kills(directory, version),
            None => Ok(0),
        }
    }
}

/// As [`Cgroup::watch_oom`], of a group that nothing else is asked of: opens the one directory.
///
/// # Errors
/// As `watch_oom`.
pub fn watch_oom_in(machine: &Machine, path: &CgroupPath) -> Result<OomWatch> {
    let Some(hierarchy) = machine.find("memory") else {
        return Err(Error::NoController { controller: "memory", what: "watching for OOM kills".to_owned() });
    };
    watch(hierarchy.directory.child(&cgroup::below(hierarchy, path))?, hierarchy.version)
}

fn watch(directory: Directory, version: Version) -> Result<OomWatch> {
    let path = directory.path();
    let (notifications, control) = match version {
        Version::V1 => {
            let notifications = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|e| io("create an eventfd for", path, e))?;
            let control = directory.open_file("memory.oom_control", OFlags::RDONLY)?;
            let request = format!("{} {}", notifications.as_raw_fd(), control.as_raw_fd());
            directory.write("cgroup.event_control", &request)?;
            (notifications, Some(control))
        }
        Version::V2 => {
            let notifications = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
                .map_err(|e| io("create an inotify instance for", path, e))?;
            let file = path.join("memory.events");
            inotify::add_watch(
                &notifications,
                &file,
                inotify::WatchFlags::MODIFY | inotify::WatchFlags::DELETE_SELF,
            )
            .map_err(|e| io("watch", &file, e))?;
            (notifications, None)
        }
    };
    Ok(OomWatch { notifications, _control: control, directory, version, told: 0 })
}

/// As [`Cgroup::oom_kills`], of a group that nothing else is asked of: opens the one directory.
pub fn oom_kills_in(machine: &Machine, path: &CgroupPath) -> Result<u64> {
    let Some(hierarchy) = machine.find("memory") else { return Ok(0) };
    kills(&hierarchy.directory.child(&cgroup::below(hierarchy, path))?, hierarchy.version)
}

impl OomWatch {
    /// Takes the pending notification: whether memory has run out since the last time. Version 1 says so before it
    /// kills, and also where killing is switched off; version 2 when it has killed.
    ///
    /// # Errors
    /// The cgroup is gone: nothing more will be told.
    pub fn take(&mut self) -> Result<bool> {
        let is_notified = self.drain()?;
        let kills = kills(&self.directory, self.version)?;
        Ok(match self.version {
            Version::V1 => is_notified,
            Version::V2 => std::mem::replace(&mut self.told, kills) < kills,
        })
    }

    /// Takes the pending notification, and says how many processes have been killed so far.
    pub fn kills(&self) -> Result<u64> {
        self.drain()?;
        match kills(&self.directory, self.version) {
            // The removal notifies as well.
            Err(e) if e.is(Errno::NODEV) => Ok(0),
            other => other,
        }
    }

    fn drain(&self) -> Result<bool> {
        let mut buffer = [0u8; 4096];
        let mut found = false;
        loop {
            match rustix::io::read(&self.notifications, &mut buffer) {
                // An eventfd is empty after one.
                Ok(n) if n > 0 && self.version == Version::V2 => found = true,
                Ok(n) => return Ok(found || n > 0),
                Err(Errno::AGAIN) => return Ok(found),
                Err(Errno::INTR) => {}
                Err(e) => return Err(io("read notifications of", self.directory.path(), e)),
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}

fn kills(directory: &Directory, version: Version) -> Result<u64> {
    let file = match version {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    Ok(directory.read_pairs(file)?.into_iter().find(|(k, _)| k == "oom_kill").map_or(0, |(_, v)| v))
}
