//! One module per controller. Each writes only what was asked for, and knows both versions of its files.

use std::collections::BTreeMap;

use oci::runtime::Resources;

use crate::directory::Directory;
use crate::machine::{Machine, Version};
use crate::{Cgroup, Error, Result};

pub(crate) mod blkio;
pub(crate) mod cpu;
pub(crate) mod cpuset;
pub(crate) mod devices;
pub(crate) mod hugetlb;
pub(crate) mod memory;
pub(crate) mod network;
pub(crate) mod pids;
pub(crate) mod rdma;
pub(crate) mod unified;

/// A new, empty group takes its rules outright; one in use is changed step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Creation,
    Update,
}

pub(crate) fn apply(cgroup: &Cgroup, resources: &Resources, moment: Moment) -> Result<()> {
    if moment == Moment::Creation {
        cpuset::prepare(cgroup, resources.cpu.as_ref())?;
    }
    devices::apply(cgroup, &resources.devices, moment)?;
    if let Some(memory) = &resources.memory {
        memory::apply(cgroup, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        cpu::apply(cgroup, cpu)?;
        cpuset::apply(cgroup, cpu)?;
    }
    if let Some(pids) = &resources.pids {
        pids::apply(cgroup, pids)?;
    }
    if let Some(block_io) = &resources.block_io {
        blkio::apply(cgroup, block_io)?;
    }
    hugetlb::apply(cgroup, &resources.hugepage_limits)?;
    if let Some(network) = &resources.network {
        network::apply(cgroup, network)?;
    }
    rdma::apply(cgroup, &resources.rdma)?;
    unified::apply(cgroup, &resources.unified)
}

/// On a hybrid machine: is something asked for that only the v2 tree can do?
pub(crate) fn need_unified(machine: &Machine, resources: &Resources) -> bool {
    let in_v2 = |name: &str| machine.find(name).is_some_and(|h| h.version() == Version::V2);
    let wants = |name: &str| match name {
        "memory" => resources.memory.is_some(),
        "cpu" => resources.cpu.is_some(),
        "cpuset" => resources.cpu.as_ref().is_some_and(|c| !c.cpus.is_empty() || !c.mems.is_empty()),
        "pids" => resources.pids.is_some(),
        "io" => resources.block_io.is_some(),
        "hugetlb" => !resources.hugepage_limits.is_empty(),
        "rdma" => !resources.rdma.is_empty(),
        _ => false,
    };
    !resources.unified.is_empty()
        || ["memory", "cpu", "cpuset", "pids", "io", "hugetlb", "rdma"].iter().any(|c| in_v2(c) && wants(c))
}

impl Cgroup {
    /// The directory of `controller`, or the error that names what needed it.
    fn require(
        &self,
        controller: &'static str,
        what: impl FnOnce() -> String,
    ) -> Result<(&Directory, Version)> {
        self.controller(controller).ok_or_else(|| Error::NoController { controller, what: what() })
    }
}

/// -1 is "no limit" in requests.
fn limit(value: i64, version: Version) -> String {
    match (value, version) {
        (-1, Version::V2) => "max".to_owned(),
        _ => value.to_string(),
    }
}

/// Statistics of `key value` files.
fn map(pairs: Vec<(String, u64)>) -> BTreeMap<String, u64> {
    pairs.into_iter().collect()
}
