//! System calls that the runtime is built on, tried harmlessly.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{FsOpenFlags, fsopen};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::present;
use crate::report::{Finding, Group, Status};

pub(super) fn probe() -> Vec<Finding> {
    let said = |error: rustix::io::Errno| std::io::Error::from(error).to_string();
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty()).map(|_| String::new()).map_err(said);
    let opened = openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT);
    let opened = opened.map(|_| String::new()).map_err(said);
    let mount = match fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(_) => Ok("fsopen, fsmount, move_mount".to_owned()),
        // Without privilege the kernel says so before it looks further: the call is there.
        Err(rustix::io::Errno::PERM) => Ok("there, not permitted to this process".to_owned()),
        Err(e) => Err(format!("{}; mount(2) is used instead", said(e))),
    };
    vec![
        Finding::of(Group::Kernel, "pidfd", pidfd, Status::Fatal, "use Linux 5.3 or newer"),
        Finding::of(Group::Kernel, "openat2", opened, Status::Fatal, "use Linux 5.6 or newer"),
        Finding::of(Group::Kernel, "mount API", mount, Status::Missing, "use Linux 5.2 or newer"),
        Finding::of(
            Group::Kernel,
            "/proc",
            present("/proc/self/exe").map(|_| String::new()),
            Status::Fatal,
            "mount -t proc proc /proc",
        ),
        Finding::of(
            Group::Kernel,
            "pty",
            present("/dev/ptmx").map(|_| String::new()),
            Status::Missing,
            "mount -t devpts devpts /dev/pts; until then docker run -t fails",
        ),
    ]
}
