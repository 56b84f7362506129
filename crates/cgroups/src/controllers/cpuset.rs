//! Which CPUs and memory nodes. A new v1 group has none of either and takes no process until it is given some,
//! so each inherits its parent's; v2 inherits by itself.

use oci::runtime::Cpu;

use crate::directory::Directory;
use crate::machine::Version;
use crate::stats::CpusetStats;
use crate::{Cgroup, Result, cgroup};

const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Gives a new v1 group what its parent has, where the request does not say otherwise.
pub(crate) fn prepare(cgroup: &Cgroup, cpu: Option<&Cpu>) -> Result<()> {
    let Some(member) = cgroup.member("cpuset") else { return Ok(()) };
    let hierarchy = cgroup.hierarchy(member);
    if hierarchy.version() == Version::V2 {
        return Ok(());
    }
    let parent = cgroup::parent_of(&member.relative);
    let given =
        |file: &str| cpu.is_some_and(|c| !if file == "cpuset.cpus" { &c.cpus } else { &c.mems }.is_empty());
    for file in FILES.into_iter().filter(|f| !given(f)) {
        if !copy(file, &member.directory, &hierarchy.directory.child(parent)?)? {
            // Another process made the parent just now and has not come to filling it.
            for group in cgroup::ancestors(&member.relative) {
                inherit(&hierarchy.directory, group)?;
            }
            copy(file, &member.directory, &hierarchy.directory.child(parent)?)?;
        }
    }
    Ok(())
}

/// Fills a v1 group from its parent, unless it has been filled.
pub(crate) fn inherit(root: &Directory, group: &str) -> Result<()> {
    let (child, parent) = (root.child(group)?, root.child(cgroup::parent_of(group))?);
    for file in FILES {
        if is_empty(&child.read(file)?) {
            copy(file, &child, &parent)?;
        }
    }
    Ok(())
}

/// Answers whether the parent has any.
fn copy(file: &str, child: &Directory, parent: &Directory) -> Result<bool> {
    let value = parent.read(file)?;
    child.write(file, &value)?;
    Ok(!is_empty(&value))
}

fn is_empty(value: &str) -> bool {
    value.trim().is_empty()
}

pub(crate) fn apply(cgroup: &Cgroup, cpu: &Cpu) -> Result<()> {
    for (file, value) in FILES.into_iter().zip([&cpu.cpus, &cpu.mems]).filter(|(_, v)| !v.is_empty()) {
        let (directory, _) = cgroup.require("cpuset", || format!("{file} {value:?}"))?;
        directory.write(file, value)?;
    }
    Ok(())
}

pub(crate) fn stats(directory: &Directory) -> Result<CpusetStats> {
    let number = |name: &str| Ok(directory.read_number(&format!("cpuset.{name}"))?.unwrap_or(0));
    let list = |name: &str| Ok(numbers(&directory.read_optional(name)?.unwrap_or_default()));
    let level = directory.read_optional("cpuset.sched_relax_domain_level")?.unwrap_or_default();
    Ok(CpusetStats {
        cpus: list("cpuset.cpus")?,
        mems: list("cpuset.mems")?,
        cpu_exclusive: number("cpu_exclusive")?,
        mem_exclusive: number("mem_exclusive")?,
        mem_hardwall: number("mem_hardwall")?,
        memory_migrate: number("memory_migrate")?,
        memory_pressure: number("memory_pressure")?,
        memory_spread_page: number("memory_spread_page")?,
        memory_spread_slab: number("memory_spread_slab")?,
        sched_load_balance: number("sched_load_balance")?,
        sched_relax_domain_level: level.trim().parse().unwrap_or(-1),
    })
}

/// `0-2,7`; what is no number is left out.
fn numbers(list: &str) -> Vec<u16> {
    list.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn lists_are_spelled_out() {
        assert_eq!(super::numbers("0-2,7"), [0, 1, 2, 7]);
        assert!(super::numbers("").is_empty());
    }
}
