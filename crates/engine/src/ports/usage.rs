//! What a container uses, as the kernel counts it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::RuntimeError;

/// What a container's processes have used since its start, as the kernel counts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu: CpuUsage,
    pub memory: MemoryUsage,
    pub pids: u64,
    /// `None`: unlimited.
    pub pids_limit: Option<u64>,
    pub block_io: BlockIoUsage,
    /// Of the container's own network, by interface; without the loopback.
    pub interfaces: BTreeMap<String, InterfaceUsage>,
    /// Counted by cgroups of version 2.
    pub cgroup_v2: bool,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuUsage {
    pub total_ns: u64,
    pub user_ns: u64,
    pub kernel_ns: u64,
    /// Version 1 only.
    pub per_cpu_ns: Vec<u64>,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    pub bytes: u64,
    /// Version 1 only.
    pub max_bytes: u64,
    /// Some very large number without a limit.
    pub limit_bytes: u64,
    pub failures: u64,
    /// `memory.stat`, sorted by the version's own keys. Mostly what it was a second ago, and then the same piece of memory.
    pub stat: Arc<[(Cow<'static, str>, u64)]>,
}

/// Block devices: bytes, operations and times, each by device and direction. Version 2 counts the first two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIoUsage {
    pub bytes: Vec<BlockIoEntry>,
    pub operations: Vec<BlockIoEntry>,
    pub queued: Vec<BlockIoEntry>,
    pub service_time: Vec<BlockIoEntry>,
    pub wait_time: Vec<BlockIoEntry>,
    pub merged: Vec<BlockIoEntry>,
    pub time: Vec<BlockIoEntry>,
    pub sectors: Vec<BlockIoEntry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIoEntry {
    pub major: u64,
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, or empty.
    pub direction: Cow<'static, str>,
    pub value: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceUsage {
    pub received: Traffic,
    pub sent: Traffic,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

/// Reads a running container's counters, again and again: whatever can be kept open is.
pub trait Meter: Send + Sync + fmt::Debug {
    /// Waits for the kernel: called where waiting is allowed. `NotRunning` once the container has ended.
    fn read(&self) -> Result<Usage, RuntimeError>;

    /// The container's limits have been changed: the next reading says so. Waits for one that is under way.
    fn renew(&self);

    /// The process has ended: lets go of what would outlive it, as its network. Waits for a reading that is under way.
    fn end(&self);
}
