//! Limits: from Docker's fields to the runtime spec's.

use oci::runtime as rt;
use rustix::fs::{major, minor, stat};

use crate::container::{DeviceLimit, Resources, Ulimit};
use crate::error::{Error, Result};

pub(crate) fn resources(r: &Resources) -> Result<rt::Resources> {
    let said = |value: i64| (value != 0).then_some(value);
    let said_u = |value: i64| u64::try_from(value).ok().filter(|v| *v != 0);

    // As Docker: a limit without a word about swap allows as much swap again.
    let swap = match (r.memory_bytes, r.memory_swap_bytes) {
        (limit, 0) if limit > 0 => Some(limit.saturating_mul(2)),
        (_, swap) => said(swap),
    };
    let memory = rt::Memory {
        limit: said(r.memory_bytes),
        reservation: said(r.memory_reservation_bytes),
        swap,
        swappiness: r.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        disable_oom_killer: r.oom_kill_disable,
        ..rt::Memory::default()
    };
    let (mut period, mut quota) = (said_u(r.cpu_period_us), said(r.cpu_quota_us));
    if r.nano_cpus > 0 {
        period = Some(100_000);
        quota = Some(r.nano_cpus / 10_000);
    }
    let cpu = rt::Cpu {
        shares: said_u(r.cpu_shares),
        quota,
        period,
        realtime_runtime: said(r.cpu_rt_runtime_us),
        realtime_period: said_u(r.cpu_rt_period_us),
        cpus: r.cpuset_cpus.clone(),
        mems: r.cpuset_mems.clone(),
        ..rt::Cpu::default()
    };
    let block_io = rt::BlockIo {
        weight: Some(r.blkio_weight).filter(|weight| *weight != 0),
        weight_device: r
            .blkio_weight_device
            .iter()
            .map(|limit| {
                let (major, minor) = numbers(&limit.path)?;
                let weight = u16::try_from(limit.value)
                    .map_err(|_| Error::invalid(format!("invalid weight for device {}", limit.path)))?;
                Ok(rt::WeightDevice { major, minor, weight: Some(weight), leaf_weight: None })
            })
            .collect::<Result<_>>()?,
        throttle_read_bps_device: throttles(&r.blkio_read_bps)?,
        throttle_write_bps_device: throttles(&r.blkio_write_bps)?,
        throttle_read_iops_device: throttles(&r.blkio_read_iops)?,
        throttle_write_iops_device: throttles(&r.blkio_write_iops)?,
        ..rt::BlockIo::default()
    };
    // 0 and -1 both say "no limit".
    let pids = r.pids_limit.map(|limit| rt::Pids { limit: Some(if limit <= 0 { -1 } else { limit }) });
    Ok(rt::Resources {
        memory: (memory != rt::Memory::default()).then_some(memory),
        cpu: (cpu != rt::Cpu::default()).then_some(cpu),
        block_io: (block_io != rt::BlockIo::default()).then_some(block_io),
        pids,
        ..rt::Resources::default()
    })
}

fn throttles(limits: &[DeviceLimit]) -> Result<Vec<rt::ThrottleDevice>> {
    limits
        .iter()
        .map(|limit| {
            let (major, minor) = numbers(&limit.path)?;
            Ok(rt::ThrottleDevice { major, minor, rate: limit.value })
        })
        .collect()
}

fn numbers(path: &str) -> Result<(i64, i64)> {
    let status = stat(path).map_err(|error| Error::invalid(format!("device {path}: {error}")))?;
    Ok((i64::from(major(status.st_rdev)), i64::from(minor(status.st_rdev))))
}

/// `nofile=1024:2048` → `RLIMIT_NOFILE`.
pub(crate) fn rlimit(ulimit: &Ulimit) -> Result<rt::Rlimit> {
    const KNOWN: &[&str] = &[
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let name = ulimit.name.to_ascii_lowercase();
    if !KNOWN.contains(&name.as_str()) {
        return Err(Error::invalid(format!("invalid ulimit type: {}", ulimit.name)));
    }
    let number = |value: i64| if value < 0 { u64::MAX } else { value.unsigned_abs() };
    let (soft, hard) = (number(ulimit.soft), number(ulimit.hard));
    if soft > hard {
        return Err(Error::invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            ulimit.soft, ulimit.hard
        )));
    }
    Ok(rt::Rlimit { kind: format!("RLIMIT_{}", name.to_ascii_uppercase()), hard, soft })
}
