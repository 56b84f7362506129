//! `events`.

use std::process::ExitCode;

use cgroups::stats::{BlkioEntry, MemoryUsage, Stats};
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::{Failure, Global, Outcome, print, record};

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Time between two reports, as 5s, 500ms or 1m
    #[arg(long, default_value = "5s", value_parser = interval)]
    interval: Timespec,
    /// Print the statistics once
    #[arg(long)]
    stats: bool,
    id: String,
}

fn interval(text: &str) -> Result<Timespec, String> {
    let number = |digits: &str, ms: i64| digits.parse::<i64>().ok().and_then(|n| n.checked_mul(ms));
    let ms = match text {
        _ if text.ends_with("ms") => number(&text[..text.len() - 2], 1),
        _ if text.ends_with('s') => number(&text[..text.len() - 1], 1000),
        _ if text.ends_with('m') => number(&text[..text.len() - 1], 60_000),
        _ => None,
    };
    let ms = ms.filter(|ms| *ms > 0).ok_or("a duration like 5s")?;
    Ok(Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 })
}

pub(super) fn events(global: &Global, args: &EventsArgs) -> Outcome {
    let (_, record) = record::open(global, &args.id)?;
    let cgroup = record.cgroup()?;
    let report =
        |kind: &str, data: Value| print(&format!("{}\n", json!({"type": kind, "id": args.id, "data": data})));
    if args.stats {
        report("stats", document(&cgroup.stats()?));
        return Ok(ExitCode::SUCCESS);
    }
    let pidfd = pidfd_open(record.process()?, PidfdFlags::empty())
        .map_err(|_| Failure("container not running".into()))?;
    let mut killed = cgroup.oom_kills()?;
    loop {
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&args.interval))? > 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let now = cgroup.oom_kills()?;
        if now > killed {
            print(&format!("{}\n", json!({"type": "oom", "id": args.id})));
            killed = now;
        }
        report("stats", document(&cgroup.stats()?));
    }
}

/// runc's shape of the figures.
fn document(stats: &Stats) -> Value {
    let (cpu, memory, blkio) = (&stats.cpu, &stats.memory, &stats.blkio);
    let throttling = &cpu.throttling;
    json!({
        "cpu": {
            "usage": {"total": cpu.usage_ns, "percpu": cpu.per_cpu_ns, "kernel": cpu.kernel_ns, "user": cpu.user_ns},
            "throttling": {"periods": throttling.periods, "throttledPeriods": throttling.throttled_periods,
                "throttledTime": throttling.throttled_time_ns},
        },
        "cpuset": {},
        "memory": {
            "cache": memory.cache,
            "usage": usage(&memory.usage),
            "swap": usage(&memory.swap),
            "kernel": usage(&memory.kernel),
            "kernelTCP": usage(&memory.kernel_tcp),
            "raw": memory.stats,
        },
        "pids": {"current": stats.pids.current, "limit": stats.pids.limit},
        "blkio": {
            "ioServiceBytesRecursive": entries(&blkio.service_bytes),
            "ioServicedRecursive": entries(&blkio.serviced),
            "ioQueueRecursive": entries(&blkio.queued),
            "ioServiceTimeRecursive": entries(&blkio.service_time),
            "ioWaitTimeRecursive": entries(&blkio.wait_time),
            "ioMergedRecursive": entries(&blkio.merged),
            "ioTimeRecursive": entries(&blkio.time),
            "sectorsRecursive": entries(&blkio.sectors),
        },
        "hugetlb": stats.hugetlb.iter()
            .map(|(size, h)| (size.clone(), json!({"usage": h.usage, "max": h.max_usage, "failcnt": h.failures})))
            .collect::<serde_json::Map<String, Value>>(),
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn usage(of: &MemoryUsage) -> Value {
    json!({"limit": of.limit, "usage": of.usage, "max": of.max_usage, "failcnt": of.failures})
}

fn entries(of: &[BlkioEntry]) -> Value {
    of.iter().map(|e| json!({"major": e.major, "minor": e.minor, "op": e.op, "value": e.value})).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn intervals() {
        assert_eq!(super::interval("500ms").unwrap().tv_nsec, 500_000_000);
        assert_eq!(super::interval("2m").unwrap().tv_sec, 120);
        assert!(super::interval("0s").is_err());
        assert!(super::interval("soon").is_err());
    }
}
