//! Short grace periods while a process is moved.
//!
//! Writing to `cgroup.procs` takes a per-CPU semaphore for writing, and the first writer after a pause waits
//! for an RCU grace period: 5 to 15 ms on an idle machine, longer than everything else a container start does.
//! (`CLONE_INTO_CGROUP` on v2 and the `favordynmods` mount option avoid the semaphore; v1 offers neither for
//! trees that somebody else mounted.) While `/sys/kernel/rcu_expedited` is 1 the kernel ends grace periods by
//! interrupting the other CPUs, in 50 to 100 microseconds. Making network namespaces and unmounting wait for
//! grace periods too, so a starter holds the guard across its whole set-up.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};

const SWITCH: &str = "/sys/kernel/rcu_expedited";

/// Grace periods are expedited until this is dropped.
///
/// The switch is one for the machine. If it is on already, it is left alone; where `/sys` is read-only or the
/// kernel lacks it, nothing happens but the wait. If another starter turns it off in between, or this process
/// is killed while holding it, grace periods are slower, or cost interrupts: never wrong.
#[derive(Debug)]
pub struct Expedited {
    switch: Option<OwnedFd>,
}

impl Expedited {
    /// Turns the switch on, if it is off and can be turned.
    pub fn begin() -> Expedited {
        Expedited { switch: turn_on() }
    }
}

fn turn_on() -> Option<OwnedFd> {
    let switch = rustix::fs::openat(CWD, SWITCH, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut state = [0u8; 4];
    let n = rustix::io::pread(&switch, &mut state, 0).ok()?;
    if state[..n].trim_ascii() != b"0" {
        return None;
    }
    rustix::io::pwrite(&switch, b"1", 0).ok()?;
    Some(switch)
}

impl Drop for Expedited {
    fn drop(&mut self) {
        if let Some(switch) = &self.switch {
            // Nothing sensible is left to do should the kernel refuse what it took a moment ago.
            let _ = rustix::io::pwrite(switch, b"0", 0);
        }
    }
}
