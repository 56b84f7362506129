//! `clone3(2)` and the calls around a new process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;

use crate::call::check;

/// `CLONE_NEW*` and the few other flags that make sense without shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CloneFlags(u64);

impl CloneFlags {
    /// Of [`unshare`] only: root, working directory and umask of its own, which entering a mount namespace takes.
    pub const FS: Self = Self(libc::CLONE_FS as u64);
    pub const NEWCGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    pub const NEWIPC: Self = Self(libc::CLONE_NEWIPC as u64);
    pub const NEWNET: Self = Self(libc::CLONE_NEWNET as u64);
    pub const NEWNS: Self = Self(libc::CLONE_NEWNS as u64);
    pub const NEWPID: Self = Self(libc::CLONE_NEWPID as u64);
    pub const NEWTIME: Self = Self(0x80);
    pub const NEWUSER: Self = Self(libc::CLONE_NEWUSER as u64);
    pub const NEWUTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// The child's parent is the caller's parent.
    pub const PARENT: Self = Self(libc::CLONE_PARENT as u64);

    /// No flag.
    #[must_use]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in `self`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// `self` without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kernel's number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl std::ops::BitOr for CloneFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl std::ops::BitOrAssign for CloneFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

/// Which of the two processes returned from [`clone3`].
#[derive(Debug)]
pub enum Cloned {
    Child,
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// `clone_args` of linux/sched.h; the C library's binding lacks `Default`.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Forks into new namespaces, and on cgroup v2 straight into a cgroup.
///
/// The child is a copy (no shared memory, no stack given) and gets `SIGCHLD` as exit signal; the parent
/// also gets a pidfd, close-on-exec.
///
/// # Errors
/// Those of `clone3(2)`; `EDEADLK` when the process has more than one thread: the copy of a lock held by a
/// thread that does not exist in the child could never be released.
pub fn clone3(flags: CloneFlags, into_cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    if !is_single_threaded() {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags.bits() | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: if flags.contains(CloneFlags::PARENT) { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = into_cgroup {
        args.flags |= 0x2_0000_0000; // CLONE_INTO_CGROUP
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(io::Error::other)?;
    }
    // SAFETY: `args` is a valid clone_args of the size given, alive during the call; `pidfd` outlives it.
    // Without CLONE_VM and CLONE_SETTLS the child runs on a copy of this memory and this stack, as after
    // fork(2). fork's one requirement beyond that, that no other thread may hold a lock, is checked above.
    let returned = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) })?;
    match Pid::from_raw(i32::try_from(returned).map_err(io::Error::other)?) {
        None => Ok(Cloned::Child),
        Some(pid) => {
            // SAFETY: the kernel stored a new descriptor (CLONE_PIDFD) that nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

/// Whether this process has one thread, as the C library counts them.
#[must_use]
pub fn is_single_threaded() -> bool {
    unsafe extern "C" {
        /// <sys/single_threaded.h>, glibc 2.32: non-zero while there is one thread.
        static __libc_single_threaded: libc::c_char;
    }
    // SAFETY: glibc defines this char and writes it only while there is one thread, so it is never
    // written while another thread reads it.
    unsafe { (&raw const __libc_single_threaded).read_volatile() != 0 }
}

/// Ends the process now, without destructors or exit handlers: those belong to the process we are a copy of.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no requirement and does not return.
    unsafe { libc::_exit(status) }
}

/// `personality(2)`.
///
/// # Errors
/// `EINVAL` for a domain the kernel does not know.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: takes a number, touches no memory of ours.
    check(unsafe { libc::syscall(libc::SYS_personality, persona) }).map(drop)
}

/// Makes the process a reaper of orphaned descendants, or stops being one (`PR_SET_CHILD_SUBREAPER`).
///
/// # Errors
/// Those of `prctl(2)`.
pub fn set_subreaper(on: bool) -> io::Result<()> {
    // SAFETY: takes numbers, touches no memory of ours.
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(on), 0, 0, 0)
    }))
    .map(drop)
}

/// Moves the calling thread into new namespaces (`unshare(2)`); only `CLONE_NEW*` flags are meant.
///
/// # Errors
/// Those of `unshare(2)`.
pub fn unshare(namespaces: CloneFlags) -> io::Result<()> {
    // SAFETY: takes a number. Only CLONE_FILES could surprise owners of descriptors (by giving this thread a
    // table of its own), and `CloneFlags` cannot name it.
    check(unsafe { libc::syscall(libc::SYS_unshare, namespaces.bits()) }).map(drop)
}
