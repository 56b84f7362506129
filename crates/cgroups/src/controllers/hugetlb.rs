//! Huge pages, a limit per page size, and on newer kernels the same limit for reservations.

use std::collections::BTreeMap;

use oci::runtime::HugepageLimit;
use rustix::io::Errno;

use crate::directory::Directory;
use crate::machine::Version;
use crate::stats::HugetlbStats;
use crate::{Cgroup, Result};

pub(crate) fn apply(cgroup: &Cgroup, limits: &[HugepageLimit]) -> Result<()> {
    for HugepageLimit { page_size, limit } in limits {
        let (directory, version) =
            cgroup.require("hugetlb", || format!("the limit on pages of {page_size}"))?;
        let suffix = match version {
            Version::V1 => "limit_in_bytes",
            Version::V2 => "max",
        };
        let value = limit.to_string();
        directory.write(&format!("hugetlb.{page_size}.{suffix}"), &value)?;
        // Since Linux 5.7; before that, faults alone are limited.
        match directory.write(&format!("hugetlb.{page_size}.rsvd.{suffix}"), &value) {
            Err(e) if e.is_not_found() || e.is(Errno::OPNOTSUPP) => {}
            other => other?,
        }
    }
    Ok(())
}

pub(crate) fn stats(directory: &Directory, version: Version) -> Result<BTreeMap<String, HugetlbStats>> {
    let mut all = BTreeMap::new();
    for size in page_sizes() {
        let read = |file: &str| directory.read_number(&format!("hugetlb.{size}.{file}"));
        let stats = match version {
            Version::V1 => HugetlbStats {
                usage: read("usage_in_bytes")?.unwrap_or(0),
                max_usage: read("max_usage_in_bytes")?.unwrap_or(0),
                failures: read("failcnt")?.unwrap_or(0),
            },
            Version::V2 => {
                let events = directory.read_pairs(&format!("hugetlb.{size}.events"))?;
                HugetlbStats {
                    usage: read("current")?.unwrap_or(0),
                    max_usage: 0,
                    failures: events.iter().find(|(k, _)| k == "max").map_or(0, |(_, v)| *v),
                }
            }
        };
        all.insert(size, stats);
    }
    Ok(all)
}

/// The machine's page sizes as the controller spells them: `hugepages-2048kB` is `2MB`.
fn page_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|e| {
            let kib: u64 =
                e.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            Some(spell(kib))
        })
        .collect()
}

fn spell(kib: u64) -> String {
    match kib {
        k if k >= 1 << 20 && k % (1 << 20) == 0 => format!("{}GB", k >> 20),
        k if k >= 1 << 10 && k % (1 << 10) == 0 => format!("{}MB", k >> 10),
        k => format!("{k}KB"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn page_sizes_are_spelled_as_the_controller_does() {
        assert_eq!([64, 2048, 1 << 20].map(super::spell), ["64KB", "2MB", "1GB"]);
    }
}
