//! Nothing in a container may write to the host's binary.
//!
//! A process that is about to become the container's has this program as its `/proc/<pid>/exe`, and an image
//! whose entry point is `/proc/self/exe` (or a script with that as interpreter) runs this very file and can
//! open it for writing once it ends (CVE-2019-5736). So the program starts itself again through a detached
//! read-only mount of its own file: whatever handle a container gets, it is on that mount.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::exec::{Strings, fexecve};
use sys::mount::{Change, attr, setattr};

/// Goes on in a sealed copy of this process, unless this is one. Where that cannot be (no privilege, a file
/// system that is no mount of ours, as a sealed memfd) this process goes on as it is.
pub(super) fn seal() {
    if is_sealed() {
        return;
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let Ok(file) = open_tree(CWD, "/proc/self/exe", flags) else { return };
    let change = Change { set: attr::RDONLY, ..Change::default() };
    if setattr(file.as_fd(), c"", false, change, None).is_err() {
        return;
    }
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

fn is_sealed() -> bool {
    let own = rustix::fs::openat(CWD, "/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    own.and_then(rustix::fs::fstatvfs).is_ok_and(|s| s.f_flag.contains(StatVfsMountFlags::RDONLY))
}
