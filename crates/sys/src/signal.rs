//! Signals of the calling process: dispositions, mask, waiting.

use std::io;
use std::time::Duration;

use crate::call::check;

/// A set of signals by number, as `sigset_t`.
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl std::fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries((1..=64).filter(|&n| self.contains(n))).finish()
    }
}

impl SignalSet {
    /// No signal.
    #[must_use]
    pub fn empty() -> Self {
        // SAFETY: sigset_t is an array of integers, for which zero is a value; sigemptyset then makes it one
        // of the C library's.
        let mut set = unsafe { std::mem::zeroed::<libc::sigset_t>() };
        // SAFETY: writes the set that the pointer leads to.
        unsafe { libc::sigemptyset(&raw mut set) };
        Self(set)
    }

    /// All signals.
    #[must_use]
    pub fn all() -> Self {
        let mut set = Self::empty();
        // SAFETY: writes the set that the pointer leads to.
        unsafe { libc::sigfillset(&raw mut set.0) };
        set
    }

    /// These signals.
    #[must_use]
    pub fn of(signals: &[i32]) -> Self {
        let mut set = Self::empty();
        for &signal in signals {
            // SAFETY: writes the set; a number that is no signal is refused by the C library.
            unsafe { libc::sigaddset(&raw mut set.0, signal) };
        }
        set
    }

    /// Whether the signal is in the set.
    #[must_use]
    pub fn contains(&self, signal: i32) -> bool {
        // SAFETY: reads the set; a number that is no signal gives -1.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }
}

/// Replaces the calling thread's signal mask.
///
/// # Errors
/// None that a valid set can cause.
pub fn set_mask(set: &SignalSet) -> io::Result<()> {
    // SAFETY: reads the set, writes nothing of ours.
    check(libc::c_long::from(unsafe {
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set.0, std::ptr::null_mut())
    }))
    .map(drop)
}

/// Puts every signal back to its default and unblocks all: what a program expects to be started with.
///
/// # Errors
/// Those of `sigprocmask(2)`.
pub fn reset() -> io::Result<()> {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL runs no code of ours. Numbers that cannot be changed (SIGKILL, SIGSTOP, the C
        // library's own) are refused, which is as well.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_mask(&SignalSet::empty())
}

/// Ignores a signal, or puts it back to its default. A process that ignores `SIGCHLD` has no zombies.
///
/// # Errors
/// `EINVAL` when the number is no signal, or one that cannot be ignored.
pub fn ignore(signal: i32, on: bool) -> io::Result<()> {
    // SAFETY: neither disposition runs code of ours.
    let old = unsafe { libc::signal(signal, if on { libc::SIG_IGN } else { libc::SIG_DFL }) };
    if old == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits for one of the (blocked) signals and takes it; `None` when the time is over.
///
/// # Errors
/// `EINTR` when another signal was handled.
pub fn wait(set: &SignalSet, timeout: Option<Duration>) -> io::Result<Option<i32>> {
    let timeout = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(t.subsec_nanos().cast_signed()),
    });
    let pointer = timeout.as_ref().map_or(std::ptr::null(), |t| &raw const *t);
    // SAFETY: reads set and timeout, which live during the call; no siginfo is wanted.
    let returned = unsafe { libc::sigtimedwait(&raw const set.0, std::ptr::null_mut(), pointer) };
    match check(libc::c_long::from(returned)) {
        Ok(_) => Ok(Some(returned)),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}
