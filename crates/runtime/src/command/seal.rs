//! Nothing in a container may write to the host's binary.
//!
//! A process that is about to become the container's has this program as its `/proc/<pid>/exe`, and an image
//! whose entry point is `/proc/self/exe` (or a script with that as interpreter) runs this very file and can
//! open it for writing once it ends (CVE-2019-5736). So the program starts itself again through a detached
//! read-only mount of its own file: whatever handle a container gets, it is on that mount.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::exec::{Strings, fexecve};
use sys::mount::{Change, attr, setattr};

use crate::mount_api;

/// Goes on in a sealed copy of this process, unless this is one. Where that cannot be (no privilege, a file
/// system that is no mount of ours, as a sealed memfd) this process goes on as it is.
pub(super) fn seal() {
    if is_sealed() {
        return;
    }
    let made = if mount_api::is_classic() { copy() } else { read_only() };
    let Ok(file) = made else { return };
    let strings = |all: Vec<Vec<u8>>| {
        all.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>().map(Strings::new)
    };
    // As this process was called, not as the command was parsed: `wharf oci` needs its first word again.
    let argv = strings(std::env::args_os().map(OsStringExt::into_vec).collect());
    let envp = strings(
        std::env::vars_os()
            .map(|(name, value)| [&name.into_vec()[..], b"=", value.as_bytes()].concat())
            .collect(),
    );
    if let (Ok(argv), Ok(envp)) = (argv, envp) {
        // Returns only when it could not be.
        let _ = fexecve(file.as_fd(), &argv, &envp);
    }
}

/// This file on a detached read-only mount: nothing is copied.
fn read_only() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let file = open_tree(CWD, EXE, flags)?;
    let change = Change { set: attr::RDONLY, ..Change::default() };
    setattr(file.as_fd(), c"", false, change, None)?;
    Ok(file)
}

/// A copy in memory that nobody can change any more, where there are no detached mounts.
fn copy() -> io::Result<OwnedFd> {
    let mut own = File::open(EXE)?;
    let mut copy =
        File::from(rustix::fs::memfd_create("wharf", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    io::copy(&mut own, &mut copy)?;
    rustix::fs::fcntl_add_seals(&copy, SEALS)?;
    Ok(copy.into())
}

const EXE: &str = "/proc/self/exe";
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

fn is_sealed() -> bool {
    let open = |flags| rustix::fs::openat(CWD, EXE, flags | OFlags::CLOEXEC, Mode::empty());
    let mount = open(OFlags::PATH).and_then(rustix::fs::fstatvfs);
    mount.is_ok_and(|s| s.f_flag.contains(StatVfsMountFlags::RDONLY))
        || open(OFlags::RDONLY).and_then(rustix::fs::fcntl_get_seals).is_ok_and(|seals| seals.contains(SEALS))
}
