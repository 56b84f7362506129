//! What `mounts` does for a new container, for one that runs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;

use super::mounts::{self, failed};
use crate::job::MountJob;
use crate::{Error, Result};
use crate::{file_system, inside};

pub(crate) use super::mounts::attach;

/// As far as it can be made before its place is there.
#[derive(Debug)]
pub(crate) enum Made {
    /// The tree of the job.
    Bound,
    Tree(OwnedFd),
    /// Like what it covers.
    Tmpfs,
}

/// Of a mount that is no bind: with paths of the host's.
pub(crate) fn file_system(job: &MountJob<'_>) -> Result<Made> {
    let mount = job.mount;
    let made = || -> io::Result<Made> {
        if mounts::is_layers(job) {
            return mounts::overlay(job).map(Made::Tree);
        }
        file_system::detached(mount, &job.options).map(Made::Tree)
    };
    match mount.kind.as_str() {
        "tmpfs" => Ok(Made::Tmpfs),
        "proc" | "sysfs" | "cgroup" => {
            Err(Error::Invalid(format!("{} is not mounted in a container that runs", mount.kind)))
        }
        _ => made().map_err(|source| failed(job, source)),
    }
}

/// Attaches it at its place, which is made where it is missing. `path` tells where a descriptor leads.
pub(crate) fn put(
    root: BorrowedFd<'_>,
    job: &MountJob<'_>,
    made: Made,
    path: impl Fn(BorrowedFd<'_>) -> Result<String>,
) -> Result<OwnedFd> {
    let destination = job.mount.destination.as_str();
    let failed = |source| failed(job, source);
    let is_covering = || inside::open(root, destination, OFlags::PATH | OFlags::DIRECTORY).is_ok();
    let covers = matches!(made, Made::Tmpfs) && is_covering();
    let of_file = job.tree.as_ref().is_some_and(|tree| !inside::is_directory(tree));
    let target = match of_file {
        true => inside::file(root, destination),
        false => inside::directory(root, destination, 0o755),
    };
    let target = target.map_err(|error| failed(error.into()))?;
    mounts::refuse(&path(target.as_fd())?, job.tree.as_ref().is_some_and(mounts::is_proc))?;
    let put = || -> io::Result<OwnedFd> {
        let (tree, bound) = match made {
            Made::Bound => match &job.tree {
                Some(tree) => (tree.try_clone()?, true),
                None => return Err(io::ErrorKind::InvalidInput.into()),
            },
            Made::Tree(tree) => {
                mounts::copy_up_if(job, target.as_fd(), tree.as_fd())?;
                (tree, false)
            }
            Made::Tmpfs => (mounts::tmpfs(job, target.as_fd(), covers)?, false),
        };
        mounts::attributes(tree.as_fd(), &job.options, bound)?;
        attach(tree.as_fd(), target.as_fd())?;
        mounts::spread(tree.as_fd(), &job.options)?;
        Ok(tree)
    };
    put().map_err(failed)
}
