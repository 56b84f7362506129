//! CPU shares (weight), quota, period, burst, real-time budget, idle class.
//!
//! v1: `cpu.shares` 2 to 262144, `cpu.cfs_*_us`. v2: `cpu.weight` 1 to 10000, `cpu.max` "quota period".

use oci::runtime::Cpu;
use rustix::io::Errno;

use super::map;
use crate::directory::Directory;
use crate::machine::Version;
use crate::stats::{CpuStats, CpuThrottling};
use crate::{Cgroup, Error, Result};

pub(crate) fn apply(cgroup: &Cgroup, cpu: &Cpu) -> Result<()> {
    let untouched = Cpu { cpus: cpu.cpus.clone(), mems: cpu.mems.clone(), ..Cpu::default() };
    if *cpu == untouched {
        return Ok(());
    }
    let (directory, version) = cgroup.require("cpu", || "a CPU limit".to_owned())?;
    match version {
        Version::V1 => v1(directory, cpu),
        Version::V2 => v2(directory, cpu),
    }
}

fn v1(directory: &Directory, cpu: &Cpu) -> Result<()> {
    if let Some(period) = cpu.realtime_period.filter(|p| *p != 0) {
        directory.write("cpu.rt_period_us", &period.to_string())?;
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|r| *r != 0) {
        directory.write("cpu.rt_runtime_us", &runtime.to_string())?;
    }
    if let Some(shares) = cpu.shares.filter(|s| *s != 0) {
        directory.write("cpu.shares", &shares.to_string())?;
        // The kernel clamps silently; a request it did not honour is an error.
        let kept = directory.read_number("cpu.shares")?.unwrap_or(shares);
        if shares > kept {
            return Err(Error::Invalid(format!("the maximum allowed cpu-shares is {kept}")));
        }
        if shares < kept {
            return Err(Error::Invalid(format!("the minimum allowed cpu-shares is {kept}")));
        }
    }
    // Each of the three is checked against the two old ones, so one that does not fit them is tried again
    // after the quota.
    let mut later: Vec<(&str, String)> = Vec::new();
    for (file, value) in
        [("cpu.cfs_period_us", cpu.period.filter(|p| *p != 0)), ("cpu.cfs_burst_us", cpu.burst)]
    {
        let Some(value) = value.map(|v| v.to_string()) else { continue };
        match directory.write(file, &value) {
            Err(e) if e.is(Errno::INVAL) && cpu.quota.is_some_and(|q| q != 0) => later.push((file, value)),
            other => other?,
        }
    }
    if let Some(quota) = cpu.quota.filter(|q| *q != 0) {
        directory.write("cpu.cfs_quota_us", &quota.to_string())?;
    }
    for (file, value) in later {
        directory.write(file, &value)?;
    }
    if let Some(idle) = cpu.idle {
        directory.write("cpu.idle", &idle.to_string())?;
    }
    Ok(())
}

fn v2(directory: &Directory, cpu: &Cpu) -> Result<()> {
    if cpu.realtime_period.is_some_and(|p| p != 0) || cpu.realtime_runtime.is_some_and(|r| r != 0) {
        return Err(Error::Invalid("cgroup v2 has no real-time budget (cpu.realtimeRuntime)".to_owned()));
    }
    if let Some(idle) = cpu.idle {
        directory.write("cpu.idle", &idle.to_string())?;
    }
    // The weight of an idle group is fixed, and writing one is an error.
    if let Some(shares) = cpu.shares.filter(|s| *s != 0 && cpu.idle != Some(1)) {
        directory.write("cpu.weight", &weight(shares).to_string())?;
    }
    let burst_first =
        cpu.burst.filter(|b| *b != 0).map(|burst| directory.write("cpu.max.burst", &burst.to_string()));
    if let Some(max) = cpu_max(cpu) {
        directory.write("cpu.max", &max)?;
    }
    match (burst_first, cpu.burst) {
        // Refused against the old quota, so asked again under the new one.
        (Some(Err(e)), Some(burst)) if e.is(Errno::INVAL) => {
            directory.write("cpu.max.burst", &burst.to_string())
        }
        (Some(other), _) => other,
        (None, Some(0)) => directory.write("cpu.max.burst", "0"),
        (None, _) => Ok(()),
    }
}

/// The line for `cpu.max`, if quota or period is set.
fn cpu_max(cpu: &Cpu) -> Option<String> {
    let quota = cpu.quota.filter(|q| *q != 0);
    let period = cpu.period.filter(|p| *p != 0);
    if quota.is_none() && period.is_none() {
        return None;
    }
    let quota = quota.filter(|q| *q > 0).map_or_else(|| "max".to_owned(), |q| q.to_string());
    Some(format!("{quota} {}", period.unwrap_or(100_000)))
}

/// Shares as weight: the quadratic (in the logarithm) through (2, 1), (1024, 100) and (262144, 10000) that runc,
/// crun and systemd agreed on in 2025. The straight line used before gave the default 1024 a weight of 39.
pub(crate) fn weight(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

pub(crate) fn stats(cgroup: &Cgroup) -> Result<CpuStats> {
    let mut stats = CpuStats::default();
    if let Some((directory, version)) = cgroup.controller("cpu") {
        let lines = map(directory.read_pairs("cpu.stat")?);
        let get = |key: &str| lines.get(key).copied().unwrap_or(0);
        stats.throttling = CpuThrottling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time_ns: match version {
                Version::V1 => get("throttled_time"),
                Version::V2 => get("throttled_usec") * 1000,
            },
            bursts: get("nr_bursts"),
            burst_time_ns: match version {
                Version::V1 => get("burst_time"),
                Version::V2 => get("burst_usec") * 1000,
            },
        };
    }
    if let Some((directory, _)) = cgroup.controller("cpuacct") {
        accounting_v1(directory, &mut stats)?;
    } else if let Some(directory) = cgroup.unified() {
        // Every v2 group has cpu.stat, also without the controller.
        let lines = map(directory.read_pairs("cpu.stat")?);
        let get = |key: &str| lines.get(key).copied().unwrap_or(0) * 1000;
        stats.usage_ns = get("usage_usec");
        stats.user_ns = get("user_usec");
        stats.kernel_ns = get("system_usec");
    }
    Ok(stats)
}

fn accounting_v1(directory: &Directory, stats: &mut CpuStats) -> Result<()> {
    stats.usage_ns = directory.read_number("cpuacct.usage")?.unwrap_or(0);
    if let Some(text) = directory.read_optional("cpuacct.usage_percpu")? {
        stats.per_cpu_ns = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    }
    // "cpu user system", then a line per CPU, in nanoseconds.
    if let Some(text) = directory.read_optional("cpuacct.usage_all")? {
        for line in text.lines().skip(1) {
            let mut numbers = line.split_whitespace().skip(1).filter_map(|n| n.parse::<u64>().ok());
            if let (Some(user), Some(system)) = (numbers.next(), numbers.next()) {
                stats.user_ns += user;
                stats.kernel_ns += system;
                stats.per_cpu_user_ns.push(user);
                stats.per_cpu_kernel_ns.push(system);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, expected) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (1024, 100),
            (512, 59),
            (2048, 174),
            (262_143, 10_000),
            (262_144, 10_000),
        ] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        assert!((2..262_144u64).step_by(97).all(|s| weight(s) <= weight(s + 97)), "monotonic");
    }

    #[test]
    fn quota_and_period_become_one_line() {
        let cpu = |quota, period| Cpu { quota, period, ..Cpu::default() };
        assert_eq!(cpu_max(&cpu(None, None)), None);
        assert_eq!(cpu_max(&cpu(Some(50_000), None)).unwrap(), "50000 100000");
        assert_eq!(cpu_max(&cpu(Some(-1), None)).unwrap(), "max 100000");
        assert_eq!(cpu_max(&cpu(None, Some(20_000))).unwrap(), "max 20000");
        assert_eq!(cpu_max(&cpu(Some(1000), Some(20_000))).unwrap(), "1000 20000");
    }
}
