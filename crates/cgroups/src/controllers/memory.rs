//! Memory, memory and swap, reservation, swappiness.
//!
//! v1: `memory.*_in_bytes`, where the second limit counts memory *and* swap. v2: `memory.max`, `memory.low` and
//! `memory.swap.max`, which counts swap alone. Kernel memory limits are gone from the kernel and ignored, as runc
//! does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oci::runtime::Memory;
use rustix::io::Errno;

use super::{limit, map};
use crate::directory::Directory;
use crate::machine::Version;
use crate::stats::{MemoryStats, MemoryUsage};
use crate::{Cgroup, Error, Result};

pub(crate) fn apply(cgroup: &Cgroup, memory: &Memory) -> Result<()> {
    if *memory == Memory::default() || (lifts_only(memory) && cgroup.controller("memory").is_none()) {
        return Ok(());
    }
    let (directory, version) = cgroup.require("memory", || "a memory limit".to_owned())?;
    if memory.check_before_update == Some(true) {
        check_usage(directory, version, memory)?;
    }
    match version {
        Version::V1 => v1(directory, memory),
        Version::V2 => v2(directory, memory),
    }
}

/// Lifting limits that nobody enforces is no reason to fail.
fn lifts_only(memory: &Memory) -> bool {
    let lifted = |limit: Option<i64>| limit.is_none_or(|limit| matches!(limit, -1 | 0));
    let Memory { limit, reservation, swap, .. } = *memory;
    [limit, reservation, swap].into_iter().all(lifted)
        && *memory == (Memory { limit, reservation, swap, ..Memory::default() })
}

fn v1(directory: &Directory, memory: &Memory) -> Result<()> {
    let wanted = memory.limit.filter(|l| *l != 0);
    // No limit on memory lifts the one on swap as well, where the kernel counts swap.
    let swap = match (wanted, memory.swap.filter(|s| *s != 0)) {
        (Some(-1), None) if directory.has("memory.memsw.limit_in_bytes") => Some(-1),
        // A kernel that does not count swap does not limit it either.
        (_, Some(-1)) if !directory.has("memory.memsw.limit_in_bytes") => None,
        (_, swap) => swap,
    };
    let set_limit = |value| {
        directory
            .write("memory.limit_in_bytes", &limit(value, Version::V1))
            .map_err(|e| explain(directory, value, e))
    };
    let set_swap = |value| directory.write("memory.memsw.limit_in_bytes", &limit(value, Version::V1));
    match (wanted, swap) {
        (Some(limit), Some(swap)) => {
            // memory <= memory+swap must hold at every moment.
            let current = directory.read_number("memory.limit_in_bytes")?.unwrap_or(u64::MAX);
            if swap == -1 || current < swap.cast_unsigned() {
                set_swap(swap)?;
                set_limit(limit)?;
            } else {
                set_limit(limit)?;
                set_swap(swap)?;
            }
        }
        (Some(limit), None) => set_limit(limit)?,
        (None, Some(swap)) => set_swap(swap)?,
        (None, None) => {}
    }
    if let Some(reservation) = memory.reservation.filter(|r| *r != 0) {
        directory.write("memory.soft_limit_in_bytes", &limit(reservation, Version::V1))?;
    }
    if memory.disable_oom_killer == Some(true) {
        directory.write("memory.oom_control", "1")?;
    }
    match memory.swappiness {
        // Docker sends -1, which arrives as the greatest number, for "not set".
        None | Some(u64::MAX) => Ok(()),
        Some(value @ 0..=100) => directory.write("memory.swappiness", &value.to_string()),
        Some(value) => {
            Err(Error::Invalid(format!("invalid memory swappiness value: {value} (valid range is 0-100)")))
        }
    }
}

fn v2(directory: &Directory, memory: &Memory) -> Result<()> {
    let wanted = memory.limit.unwrap_or(0);
    let swap = swap_only(memory.swap.unwrap_or(0), wanted)?;
    if let Some(swap) = swap {
        let value = limit(swap, Version::V2);
        match directory.write("memory.swap.max", &value) {
            // A kernel without swap accounting: nothing to lift, nothing to forbid.
            Err(e) if e.is_not_found() && (swap == -1 || swap == 0) => {}
            other => other?,
        }
    }
    if wanted != 0 {
        directory.write("memory.max", &limit(wanted, Version::V2))?;
    }
    if let Some(reservation) = memory.reservation.filter(|r| *r != 0) {
        directory.write("memory.low", &limit(reservation, Version::V2))?;
    }
    Ok(())
}

/// v1's "memory and swap" as v2's "swap". `None` leaves it alone.
pub(crate) fn swap_only(swap: i64, memory: i64) -> Result<Option<i64>> {
    match (swap, memory) {
        // As on v1, unlimited memory brings unlimited swap.
        (0, -1) => Ok(Some(-1)),
        (0, _) => Ok(None),
        (-1, _) => Ok(Some(-1)),
        (_, 0 | -1) => Err(Error::Invalid("unable to set swap limit without memory limit".to_owned())),
        (swap, memory) if memory < 0 || swap < 0 => {
            Err(Error::Invalid(format!("invalid memory value: memory {memory}, memory and swap {swap}")))
        }
        (swap, memory) if swap < memory => {
            Err(Error::Invalid(format!("memory+swap limit {swap} should be >= memory limit {memory}")))
        }
        (swap, memory) => Ok(Some(swap - memory)),
    }
}

/// `EBUSY` means that the kernel could not reclaim enough; the user wants to know how much there is.
fn explain(directory: &Directory, value: i64, error: Error) -> Error {
    if !error.is(Errno::BUSY) {
        return error;
    }
    let read = |name| directory.read_number(name).ok().flatten().unwrap_or(0);
    Error::Invalid(format!(
        "unable to set memory limit to {value} (current usage: {}, peak usage: {})",
        read("memory.usage_in_bytes"),
        read("memory.max_usage_in_bytes")
    ))
}

fn check_usage(directory: &Directory, version: Version, memory: &Memory) -> Result<()> {
    let Some(limit) = memory.limit.filter(|l| *l > 0) else { return Ok(()) };
    let file = match version {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    };
    match directory.read_number(file)? {
        Some(usage) if usage > limit.cast_unsigned() => {
            Err(Error::Invalid(format!("rejecting memory limit {limit}, because usage {usage} is above it")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn stats(directory: &Directory, version: Version) -> Result<MemoryStats> {
    let stats: BTreeMap<_, _> = directory
        .read_pairs("memory.stat")?
        .into_iter()
        .map(|(key, value)| (Cow::Owned(key), value))
        .collect();
    match version {
        Version::V1 => {
            let usage = |prefix: &str| -> Result<MemoryUsage> {
                let read =
                    |file: &str| Ok(directory.read_number(&format!("memory.{prefix}{file}"))?.unwrap_or(0));
                Ok(MemoryUsage {
                    usage: read("usage_in_bytes")?,
                    max_usage: read("max_usage_in_bytes")?,
                    failures: read("failcnt")?,
                    limit: read("limit_in_bytes")?,
                })
            };
            Ok(MemoryStats {
                cache: stats.get("cache").copied().unwrap_or(0),
                usage: usage("")?,
                swap: usage("memsw.")?,
                kernel: usage("kmem.")?,
                kernel_tcp: usage("kmem.tcp.")?,
                use_hierarchy: directory.read_number("memory.use_hierarchy")? == Some(1),
                stats,
            })
        }
        Version::V2 => {
            let events = map(directory.read_pairs("memory.events")?);
            let read = |file: &str| Ok::<_, Error>(directory.read_number(file)?.unwrap_or(0));
            let usage = MemoryUsage {
                usage: read("memory.current")?,
                max_usage: read("memory.peak")?,
                failures: events.get("oom").copied().unwrap_or(0),
                limit: directory.read_number("memory.max")?.unwrap_or(u64::MAX),
            };
            // Readers of these numbers know v1's sum of both.
            let swap_limit = directory.read_number("memory.swap.max")?.unwrap_or(u64::MAX);
            let swap = MemoryUsage {
                usage: usage.usage.saturating_add(read("memory.swap.current")?),
                max_usage: usage.max_usage.saturating_add(read("memory.swap.peak")?),
                failures: usage.failures,
                limit: usage.limit.saturating_add(swap_limit),
            };
            Ok(MemoryStats {
                cache: stats.get("file").copied().unwrap_or(0),
                usage,
                swap,
                use_hierarchy: true,
                stats,
                ..MemoryStats::default()
            })
        }
    }
}

/// Keys of `memory.stat`, sorted: those that both versions' kernels have had for long.
const KEYS: &[&str] = &[
    "active_anon",
    "active_file",
    "anon",
    "anon_thp",
    "cache",
    "dirty",
    "file",
    "file_dirty",
    "file_mapped",
    "file_writeback",
    "hierarchical_memory_limit",
    "hierarchical_memsw_limit",
    "inactive_anon",
    "inactive_file",
    "kernel",
    "kernel_stack",
    "mapped_file",
    "pagetables",
    "percpu",
    "pgactivate",
    "pgdeactivate",
    "pgfault",
    "pglazyfree",
    "pglazyfreed",
    "pgmajfault",
    "pgpgin",
    "pgpgout",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "rss",
    "rss_huge",
    "shmem",
    "slab",
    "slab_reclaimable",
    "slab_unreclaimable",
    "sock",
    "swap",
    "thp_collapse_alloc",
    "thp_fault_alloc",
    "total_active_anon",
    "total_active_file",
    "total_cache",
    "total_dirty",
    "total_inactive_anon",
    "total_inactive_file",
    "total_mapped_file",
    "total_pgfault",
    "total_pgmajfault",
    "total_pgpgin",
    "total_pgpgout",
    "total_rss",
    "total_rss_huge",
    "total_shmem",
    "total_swap",
    "total_unevictable",
    "total_writeback",
    "unevictable",
    "workingset_activate",
    "workingset_nodereclaim",
    "workingset_refault",
    "writeback",
];

/// A key of `memory.stat`. A reader once a second would otherwise make and drop as many strings as there are numbers.
pub(crate) fn key(text: &str) -> Cow<'static, str> {
    match KEYS.binary_search(&text) {
        Ok(at) => Cow::Borrowed(KEYS[at]),
        Err(_) => Cow::Owned(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS, key, swap_only};
    use std::borrow::Cow;

    #[test]
    fn keys_are_found() {
        assert!(KEYS.is_sorted());
        for known in KEYS {
            assert!(matches!(key(known), Cow::Borrowed(same) if same == *known));
        }
        assert!(matches!(key("zswap"), Cow::Owned(_)));
    }

    #[test]
    fn memory_and_swap_becomes_swap_alone() {
        assert_eq!(swap_only(300, 100).unwrap(), Some(200));
        assert_eq!(swap_only(100, 100).unwrap(), Some(0));
        assert_eq!(swap_only(-1, 100).unwrap(), Some(-1));
        assert_eq!(swap_only(0, 100).unwrap(), None);
        assert_eq!(swap_only(0, -1).unwrap(), Some(-1));
        assert!(swap_only(99, 100).is_err());
        assert!(swap_only(100, 0).is_err());
        assert!(swap_only(100, -1).is_err());
    }
}
