//! PID 1 of `--init`: forwards signals to the program, reaps what is orphaned, and ends as the program ends.
//!
//! It stays in the image it was cloned from, without privileges, without descriptors beyond the standard
//! three and the program's pidfd, and not dumpable, so that nothing in the container can read it.

use std::os::fd::AsFd;

use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, WaitOptions, pidfd_open, set_dumpable_behavior, wait,
};
use sys::process::exit_now;
use sys::signal::SignalSet;

/// Signals that are about this process itself, not for the program.
const OWN: [i32; 8] = [4, 5, 7, 8, 11, 6, 21, 22]; // ILL TRAP BUS FPE SEGV ABRT TTIN TTOU

const SIGCHLD: i32 = 17;

/// Blocks what [`run`] waits for; before the program is forked, so that no signal falls in between.
pub(super) fn block() -> std::io::Result<()> {
    sys::signal::set_mask(&waited())
}

fn waited() -> SignalSet {
    let all: Vec<i32> = (1..=64).filter(|n| !OWN.contains(n)).collect();
    SignalSet::of(&all)
}

/// Stays until `program` has ended.
pub(super) fn run(program: Pid) -> ! {
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() || sys::fd::close_from(3).is_err() {
        exit_now(1);
    }
    // Any signal goes through it, real-time ones too.
    let Ok(pidfd) = pidfd_open(program, PidfdFlags::empty()) else { exit_now(1) };
    let set = waited();
    loop {
        match sys::signal::wait(&set, None) {
            Ok(Some(SIGCHLD)) => reap(program),
            Ok(Some(number)) => {
                // It may have ended just now; SIGCHLD tells.
                let _ = sys::pidfd::send_signal(pidfd.as_fd(), number);
            }
            Ok(None) | Err(_) => {}
        }
    }
}

fn reap(program: Pid) {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program {
            let code = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => code,
                (None, Some(signal)) => 128 + signal,
                (None, None) => continue,
            };
            exit_now(code);
        }
    }
}
