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
        args.flags |= CLONE_INTO_CGROUP;
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

/// Runs `child` in a process that shares this one's memory, as after `vfork(2)`: the caller sleeps until it has ended.
///
/// No memory is copied and none given back, which is most of what a short-lived process costs. What the child changes
/// in memory stays, and that includes what belongs to the memory and not to the process, such as being dumpable; its
/// descriptors, namespaces, cgroup and credentials are its own. It starts with a copy of the caller's descriptors, so
/// closing one there does not close it here: `child` borrows what it uses. Returns the pidfd; the child is to be
/// reaped.
///
/// # Errors
/// As [`clone3`].
#[inline(never)]
pub fn vfork(into_cgroup: Option<BorrowedFd<'_>>, child: &mut dyn FnMut()) -> io::Result<OwnedFd> {
    if !is_single_threaded() {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: (libc::CLONE_PIDFD | libc::CLONE_VM | libc::CLONE_VFORK) as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = into_cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(io::Error::other)?;
    }
    let mut child = child;
    // SAFETY: `args` and `child` outlive the call, as the caller returns only after the child has ended.
    let returned = check(unsafe { vfork_into(&raw mut args, (&raw mut child).cast()) })?;
    debug_assert!(returned > 0);
    // SAFETY: the kernel stored a new descriptor (CLONE_PIDFD) that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child of [`vfork`] runs, on the caller's stack below everything that the caller still needs.
extern "C" fn vfork_child(child: *mut libc::c_void) -> ! {
    // SAFETY: `vfork` passes a pointer to such a reference, and sleeps.
    let child = unsafe { &mut *child.cast::<&mut dyn FnMut()>() };
    child();
    exit_now(0)
}

/// `clone3(2)` with `CLONE_VM | CLONE_VFORK` and no stack of its own. The C library's `syscall` cannot do this: the
/// child would overwrite the address that it returns to in the caller.
///
/// # Safety
/// `args` is valid and asks for `CLONE_VFORK`; `child` is what [`vfork_child`] expects.
#[cfg(target_arch = "x86_64")]
unsafe fn vfork_into(args: *mut CloneArgs, child: *mut libc::c_void) -> libc::c_long {
    let returned: libc::c_long;
    // SAFETY: the child leaves for a function that does not return before the compiler's code sees it, and writes only
    // below the stack pointer; the caller sleeps meanwhile. The kernel clobbers rcx and r11.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, r12",
            "call {run}",
            "ud2",
            "2:",
            run = sym vfork_child,
            inlateout("rax") libc::SYS_clone3 => returned,
            in("rdi") args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") child,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    checked(returned)
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn vfork_into(args: *mut CloneArgs, child: *mut libc::c_void) -> libc::c_long {
    let returned: libc::c_long;
    // SAFETY: as above. The child never comes back, so what its calls clobber is nobody's.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x0, x20",
            "bl {run}",
            "brk 1",
            "2:",
            run = sym vfork_child,
            in("x8") libc::SYS_clone3,
            inlateout("x0") args => returned,
            in("x1") size_of::<CloneArgs>(),
            in("x20") child,
            lateout("x30") _,
        );
    }
    checked(returned)
}

/// The kernel's answer as the C library gives it.
fn checked(returned: libc::c_long) -> libc::c_long {
    if !(-4095..0).contains(&returned) {
        return returned;
    }
    // SAFETY: the place of this thread's errno is always valid.
    unsafe { *libc::__errno_location() = i32::try_from(-returned).unwrap_or(libc::EINVAL) };
    -1
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
