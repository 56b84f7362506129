//! What a cgroup has used. Field by field the numbers that runc's `events` and Docker's `stats` show; both
//! versions fill the same shapes, and what a version does not count is 0 or empty.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::controllers::{blkio, cpu, cpuset, hugetlb, memory, pids, rdma};
use crate::{Cgroup, Result, Version};

/// Usage of all controllers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// CPU time and throttling.
    pub cpu: CpuStats,
    /// Memory, in bytes.
    pub memory: MemoryStats,
    /// Tasks.
    pub pids: PidsStats,
    /// Block I/O per device and operation.
    pub blkio: BlkioStats,
    /// Huge pages by page size.
    pub hugetlb: BTreeMap<String, HugetlbStats>,
    /// RDMA use and limits.
    pub rdma: Rdma,
    /// CPUs and memory nodes, and how they are used (v1 only).
    pub cpuset: CpusetStats,
}

/// The cpuset controller's settings (v1); switches are 0 or 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the kernel's names: cpuset(7)")]
pub struct CpusetStats {
    pub cpus: Vec<u16>,
    pub mems: Vec<u16>,
    pub cpu_exclusive: u64,
    pub mem_exclusive: u64,
    pub mem_hardwall: u64,
    pub memory_migrate: u64,
    pub memory_pressure: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuStats {
    /// All of it.
    pub usage_ns: u64,
    /// In user space.
    pub user_ns: u64,
    /// In the kernel.
    pub kernel_ns: u64,
    /// Per CPU (v1 only).
    pub per_cpu_ns: Vec<u64>,
    /// Per CPU, in user space (v1 only).
    pub per_cpu_user_ns: Vec<u64>,
    /// Per CPU, in the kernel (v1 only).
    pub per_cpu_kernel_ns: Vec<u64>,
    /// By the quota.
    pub throttling: CpuThrottling,
}

/// How often the quota ran out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuThrottling {
    /// Periods in which somebody ran.
    pub periods: u64,
    /// Of these, periods that were cut short.
    pub throttled_periods: u64,
    /// Time spent waiting for the next period.
    pub throttled_time_ns: u64,
    /// Periods that used burst.
    pub bursts: u64,
    /// Time above the quota.
    pub burst_time_ns: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Page cache.
    pub cache: u64,
    /// Memory.
    pub usage: MemoryUsage,
    /// Memory and swap together.
    pub swap: MemoryUsage,
    /// Kernel memory (v1).
    pub kernel: MemoryUsage,
    /// TCP buffers (v1).
    pub kernel_tcp: MemoryUsage,
    /// Children count too.
    pub use_hierarchy: bool,
    /// `memory.stat`, in the version's own keys.
    pub stats: BTreeMap<Cow<'static, str>, u64>,
}

/// One counter of the memory controller, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryUsage {
    /// Now.
    pub usage: u64,
    /// At most so far; 0 where the kernel does not keep it.
    pub max_usage: u64,
    /// How often the limit was hit (v1) or was out of memory (v2).
    pub failures: u64,
    /// `u64::MAX` (v2) or a number close to it (v1) when unlimited.
    pub limit: u64,
}

/// Tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// 0 when unlimited.
    pub limit: u64,
}

/// One number of one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BlkioEntry {
    /// Device number, upper part.
    pub major: u64,
    /// Device number, lower part.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`, or empty where the kernel does not tell them apart.
    pub op: Cow<'static, str>,
    /// Bytes, operations or nanoseconds, by the list it is in.
    pub value: u64,
}

/// Block I/O, with all groups below. v2 fills the first two lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the kernel's names: Documentation/admin-guide/cgroup-v1/blkio-controller.rst"
)]
pub struct BlkioStats {
    pub service_bytes: Vec<BlkioEntry>,
    pub serviced: Vec<BlkioEntry>,
    pub queued: Vec<BlkioEntry>,
    pub service_time: Vec<BlkioEntry>,
    pub wait_time: Vec<BlkioEntry>,
    pub merged: Vec<BlkioEntry>,
    pub time: Vec<BlkioEntry>,
    pub sectors: Vec<BlkioEntry>,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HugetlbStats {
    /// Now.
    pub usage: u64,
    /// At most so far (v1).
    pub max_usage: u64,
    /// Refused allocations.
    pub failures: u64,
}

/// RDMA use and limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rdma {
    /// `rdma.current`
    pub current: Vec<RdmaStats>,
    /// `rdma.max`; `u32::MAX` is no limit.
    pub limit: Vec<RdmaStats>,
}

/// Numbers of one RDMA device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RdmaStats {
    /// Its name.
    pub device: String,
    /// Handles.
    pub hca_handles: u32,
    /// Objects.
    pub hca_objects: u32,
}

impl Cgroup {
    /// Reads every controller's counters.
    ///
    /// # Errors
    /// A file cannot be read. A controller that is not there leaves its part at 0.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats { cpu: cpu::stats(self)?, ..Stats::default() };
        if let Some((directory, version)) = self.controller("memory") {
            stats.memory = memory::stats(directory, version)?;
        }
        if let Some((directory, _)) = self.controller("pids") {
            stats.pids = pids::stats(directory)?;
        }
        if let Some((directory, _)) = self.controller("blkio") {
            stats.blkio = blkio::stats_v1(directory)?;
        } else if let Some((directory, Version::V2)) = self.controller("io") {
            stats.blkio = blkio::stats_v2(directory)?;
        }
        if let Some((directory, version)) = self.controller("hugetlb") {
            stats.hugetlb = hugetlb::stats(directory, version)?;
        }
        if let Some((directory, Version::V1)) = self.controller("cpuset") {
            stats.cpuset = cpuset::stats(directory)?;
        }
        if let Some((directory, _)) = self.controller("rdma") {
            stats.rdma = Rdma {
                current: rdma::stats(directory, "rdma.current")?,
                limit: rdma::stats(directory, "rdma.max")?,
            };
        }
        Ok(stats)
    }
}
