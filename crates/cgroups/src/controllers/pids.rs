//! How many tasks. The files are the same in both versions.

use oci::runtime::Pids;

use crate::directory::Directory;
use crate::stats::PidsStats;
use crate::{Cgroup, Result};

pub(crate) fn apply(cgroup: &Cgroup, pids: &Pids) -> Result<()> {
    let Some(limit) = pids.limit else { return Ok(()) };
    let value = match limit {
        1.. => limit.to_string(),
        // systemd cannot express none, and one (the process itself) is the same in practice.
        0 => "1".to_owned(),
        _ => "max".to_owned(),
    };
    // Lifting a limit that nobody enforces is no reason to fail.
    if value == "max" && cgroup.controller("pids").is_none() {
        return Ok(());
    }
    let (directory, _) = cgroup.require("pids", || format!("the limit of {limit} processes"))?;
    directory.write("pids.max", &value)
}

pub(crate) fn stats(directory: &Directory) -> Result<PidsStats> {
    Ok(PidsStats {
        current: directory.read_number("pids.current")?.unwrap_or(0),
        // Docker's "no limit" is 0.
        limit: directory.read_number("pids.max")?.filter(|l| *l != u64::MAX).unwrap_or(0),
    })
}
