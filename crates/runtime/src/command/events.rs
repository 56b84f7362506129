//! `events`.

use std::process::ExitCode;

use cgroups::stats::{BlkioEntry, CpusetStats, MemoryUsage, Stats};
use clap::Args;
use oci::runtime::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::{Map, Value, json};

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

/// As Go's `time.ParseDuration`: `1m30s`, `1.5s`, `500ms`.
fn interval(text: &str) -> Result<Timespec, String> {
    let wrong = || format!("a duration like 5s, not {text:?}");
    let mut rest = text;
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic() || c == '\u{b5}').ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "\u{b5}s" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        nanoseconds += number * unit;
        rest = &rest[end..];
    }
    if !(1.0..9e18).contains(&nanoseconds) {
        return Err("duration interval must be greater than 0".into());
    }
    let whole = nanoseconds as i64;
    Ok(Timespec { tv_sec: whole / 1_000_000_000, tv_nsec: whole % 1_000_000_000 })
}

pub(super) fn events(global: &Global, args: &EventsArgs) -> Outcome {
    let (home, record) = record::open(global, &args.id)?;
    if record.status(&home) == Status::Stopped {
        return Err(Failure(format!("container with id {} is not running", args.id)));
    }
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

/// runc's shape of the figures: what it leaves out when it is zero is left out here too.
fn document(stats: &Stats) -> Value {
    let (cpu, memory, blkio) = (&stats.cpu, &stats.memory, &stats.blkio);
    let throttling = &cpu.throttling;
    let sparse = |pairs: &[(&str, u64)]| -> Value {
        pairs.iter().filter(|p| p.1 != 0).map(|p| (p.0.to_owned(), p.1.into())).collect::<Map<_, _>>().into()
    };
    let mut usage_of_cpu = json!({"kernel": cpu.kernel_ns, "user": cpu.user_ns});
    put(&mut usage_of_cpu, "total", json!(cpu.usage_ns), cpu.usage_ns == 0);
    for (name, list) in [
        ("percpu", &cpu.per_cpu_ns),
        ("percpu_kernel", &cpu.per_cpu_kernel_ns),
        ("percpu_user", &cpu.per_cpu_user_ns),
    ] {
        put(&mut usage_of_cpu, name, json!(list), list.is_empty());
    }
    let mut of_memory = json!({
        "usage": usage(&memory.usage),
        "swap": usage(&memory.swap),
        "kernel": usage(&memory.kernel),
        "kernelTCP": usage(&memory.kernel_tcp),
    });
    put(&mut of_memory, "cache", json!(memory.cache), memory.cache == 0);
    put(&mut of_memory, "raw", json!(memory.stats), memory.stats.is_empty());
    let mut of_blkio = json!({});
    for (name, list) in [
        ("ioServiceBytesRecursive", &blkio.service_bytes),
        ("ioServicedRecursive", &blkio.serviced),
        ("ioQueueRecursive", &blkio.queued),
        ("ioServiceTimeRecursive", &blkio.service_time),
        ("ioWaitTimeRecursive", &blkio.wait_time),
        ("ioMergedRecursive", &blkio.merged),
        ("ioTimeRecursive", &blkio.time),
        ("sectorsRecursive", &blkio.sectors),
    ] {
        put(&mut of_blkio, name, entries(list), list.is_empty());
    }
    let hugetlb = stats.hugetlb.iter().map(|(size, pages)| {
        let mut entry = sparse(&[("usage", pages.usage), ("max", pages.max_usage)]);
        put(&mut entry, "failcnt", json!(pages.failures), false);
        (size.clone(), entry)
    });
    json!({
        "cpu": {
            "usage": usage_of_cpu,
            "throttling": sparse(&[
                ("periods", throttling.periods),
                ("throttledPeriods", throttling.throttled_periods),
                ("throttledTime", throttling.throttled_time_ns),
            ]),
        },
        "cpuset": cpuset(&stats.cpuset),
        "memory": of_memory,
        "pids": sparse(&[("current", stats.pids.current), ("limit", stats.pids.limit)]),
        "blkio": of_blkio,
        "hugetlb": hugetlb.collect::<Map<String, Value>>(),
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// Adds a field, unless it would be empty.
fn put(to: &mut Value, name: &str, value: Value, is_empty: bool) {
    if let (Value::Object(fields), false) = (to, is_empty) {
        fields.insert(name.into(), value);
    }
}

fn cpuset(stats: &CpusetStats) -> Value {
    let mut all = json!({
        "cpu_exclusive": stats.cpu_exclusive,
        "mem_hardwall": stats.mem_hardwall,
        "mem_exclusive": stats.mem_exclusive,
        "memory_migrate": stats.memory_migrate,
        "memory_spread_page": stats.memory_spread_page,
        "memory_spread_slab": stats.memory_spread_slab,
        "memory_pressure": stats.memory_pressure,
        "sched_load_balance": stats.sched_load_balance,
        "sched_relax_domain_level": stats.sched_relax_domain_level,
    });
    put(&mut all, "cpus", json!(stats.cpus), stats.cpus.is_empty());
    put(&mut all, "mems", json!(stats.mems), stats.mems.is_empty());
    all
}

fn usage(of: &MemoryUsage) -> Value {
    let mut all = json!({"limit": of.limit, "failcnt": of.failures});
    put(&mut all, "usage", json!(of.usage), of.usage == 0);
    put(&mut all, "max", json!(of.max_usage), of.max_usage == 0);
    all
}

fn entries(of: &[BlkioEntry]) -> Value {
    let entry = |e: &BlkioEntry| {
        let mut all = json!({});
        put(&mut all, "major", json!(e.major), e.major == 0);
        put(&mut all, "minor", json!(e.minor), e.minor == 0);
        put(&mut all, "op", json!(e.op), e.op.is_empty());
        put(&mut all, "value", json!(e.value), e.value == 0);
        all
    };
    of.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn intervals() {
        assert_eq!(super::interval("500ms").unwrap().tv_nsec, 500_000_000);
        assert_eq!(super::interval("2m").unwrap().tv_sec, 120);
        assert_eq!(super::interval("1m1.5s").unwrap().tv_sec, 61);
        assert!(super::interval("0s").is_err());
        assert!(super::interval("soon").is_err());
    }
}
