//! `sched_setattr(2)`, `ioprio_set(2)`, `set_mempolicy(2)`: of the calling process.

use std::io;

use crate::call::check;

/// `struct sched_attr`, times in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// `SCHED_OTHER` 0, `FIFO` 1, `RR` 2, `BATCH` 3, `ISO` 4, `IDLE` 5, `DEADLINE` 6.
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

#[repr(C)]
struct RawSchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets the calling thread's scheduling policy.
///
/// # Errors
/// `EPERM` for a real-time policy without `CAP_SYS_NICE`, `EINVAL`.
pub fn set_scheduler(attr: SchedAttr) -> io::Result<()> {
    let mut raw = RawSchedAttr {
        size: 48,
        policy: attr.policy,
        flags: attr.flags,
        nice: attr.nice,
        priority: attr.priority,
        runtime: attr.runtime,
        deadline: attr.deadline,
        period: attr.period,
    };
    // SAFETY: `raw` is a sched_attr whose `size` says how long it is; it lives during the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw mut raw, 0) }).map(drop)
}

/// Sets the calling process's I/O class (1 real time, 2 best effort, 3 idle) and level in it (0 to 7).
///
/// # Errors
/// `EPERM` for the real-time class without `CAP_SYS_ADMIN` or `CAP_SYS_NICE`, `EINVAL`.
pub fn set_io_priority(class: u8, level: u16) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    let value = libc::c_long::from(class) << 13 | libc::c_long::from(level);
    // SAFETY: takes numbers only.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) }).map(drop)
}

/// Sets the calling thread's memory policy; `mode` is `MPOL_*` with its flags, `nodes` a bit set.
///
/// # Errors
/// `EINVAL` for nodes that do not exist.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    let (pointer, bits) =
        if nodes.is_empty() { (std::ptr::null(), 0) } else { (nodes.as_ptr(), nodes.len() * 64 + 1) };
    // SAFETY: the kernel reads `bits - 1` bits from `pointer`, which `nodes` holds during the call.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}
