//! Limits, of a new container and of a change.

use super::host_config::invalid;
use api::host_config::{self as wire, HostConfig};
use engine::Result;
use engine::containers::{DeviceLimit, DeviceMapping, DeviceRequest, Resources, Ulimit};

/// A container needs some memory to start in.
const MEMORY_MIN_BYTES: i64 = 6 << 20;

pub(crate) fn spec(host: &HostConfig) -> Result<Resources> {
    if host.memory != 0 && host.memory < MEMORY_MIN_BYTES {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if host.memory == 0 && host.memory_swap > 0 {
        return invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if host.memory_reservation != 0 && host.memory_reservation < MEMORY_MIN_BYTES {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if host.memory > 0 && host.memory_reservation > host.memory {
        return invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    // -1 is what clients send for "not said".
    let memory_swappiness = host.memory_swappiness.filter(|s| *s != -1);
    if let Some(swappiness) = memory_swappiness
        && !(0..=100).contains(&swappiness)
    {
        return invalid(format!("Invalid value: {swappiness}, valid memory swappiness range is 0-100"));
    }
    if host.nano_cpus != 0 {
        if host.cpu_period != 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        }
        if host.cpu_quota != 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        }
    }
    if host.cpu_shares < 0 {
        return invalid(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            host.cpu_shares
        ));
    }
    if host.cpu_period != 0 && !(1000..=1_000_000).contains(&host.cpu_period) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1000 {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if host.cpu_realtime_period != 0 && host.cpu_realtime_runtime > host.cpu_realtime_period {
        return invalid("cpu real-time runtime cannot be higher than cpu real-time period");
    }
    for (list, word) in [(&host.cpuset_cpus, "cpus"), (&host.cpuset_mems, "mems")] {
        if !is_set_list(list) {
            return invalid(format!("Invalid value {list} for cpuset {word}"));
        }
    }
    if host.blkio_weight != 0 && !(10..=1000).contains(&host.blkio_weight) {
        return invalid("Range of blkio weight is from 10 to 1000");
    }
    for ulimit in &host.ulimits {
        if ulimit.name.is_empty() {
            return invalid("invalid ulimit: the name is empty");
        }
    }
    Ok(Resources { pids_limit: host.pids_limit.filter(|n| *n > 0), memory_swappiness, ..as_said(host) })
}

/// Of a change: what is left out stays as it is. What Docker passes over in silence is refused.
pub(crate) fn change(host: &HostConfig) -> Result<Resources> {
    for (field, is_said) in [
        ("CgroupParent", !host.cgroup_parent.is_empty()),
        ("Devices", !host.devices.is_empty()),
        ("DeviceCgroupRules", !host.device_cgroup_rules.is_empty()),
        ("DeviceRequests", !host.device_requests.is_empty()),
        ("MemorySwappiness", host.memory_swappiness.is_some_and(|value| value != -1)),
        ("OomKillDisable", host.oom_kill_disable == Some(true)),
        ("Ulimits", !host.ulimits.is_empty()),
    ] {
        if is_said {
            return invalid(format!(
                "{field} of a container cannot be changed: it is set when the container is made"
            ));
        }
    }
    // Any number that is no limit is none.
    let pids_limit = host.pids_limit.map(|limit| limit.max(0));
    Ok(Resources { pids_limit, memory_swappiness: None, oom_kill_disable: None, ..as_said(host) })
}

/// Field by field.
fn as_said(host: &HostConfig) -> Resources {
    let limits = |list: &[wire::ThrottleDevice]| {
        list.iter().map(|d| DeviceLimit { path: d.path.clone(), value: d.rate }).collect()
    };
    let weights = host.blkio_weight_device.iter();
    let devices = host.devices.iter().map(|d| DeviceMapping {
        path_on_host: d.path_on_host.clone(),
        path_in_container: d.path_in_container.clone(),
        permissions: d.cgroup_permissions.clone(),
    });
    let requests = host.device_requests.iter().map(|r| DeviceRequest {
        driver: r.driver.clone(),
        count: r.count,
        device_ids: r.device_ids.clone(),
        capabilities: r.capabilities.clone(),
        options: r.options.clone(),
    });
    let ulimits = host.ulimits.iter().map(|u| Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard });
    Resources {
        cpu_shares: host.cpu_shares,
        memory_bytes: host.memory,
        nano_cpus: host.nano_cpus,
        cgroup_parent: host.cgroup_parent.clone(),
        blkio_weight: host.blkio_weight,
        blkio_weight_device: weights
            .map(|d| DeviceLimit { path: d.path.clone(), value: d.weight.into() })
            .collect(),
        blkio_read_bps: limits(&host.blkio_device_read_bps),
        blkio_write_bps: limits(&host.blkio_device_write_bps),
        blkio_read_iops: limits(&host.blkio_device_read_iops),
        blkio_write_iops: limits(&host.blkio_device_write_iops),
        cpu_period_us: host.cpu_period,
        cpu_quota_us: host.cpu_quota,
        cpu_rt_period_us: host.cpu_realtime_period,
        cpu_rt_runtime_us: host.cpu_realtime_runtime,
        cpuset_cpus: host.cpuset_cpus.clone(),
        cpuset_mems: host.cpuset_mems.clone(),
        devices: devices.collect(),
        device_cgroup_rules: host.device_cgroup_rules.clone(),
        device_requests: requests.collect(),
        memory_reservation_bytes: host.memory_reservation,
        memory_swap_bytes: host.memory_swap,
        memory_swappiness: host.memory_swappiness,
        oom_kill_disable: host.oom_kill_disable,
        pids_limit: host.pids_limit,
        ulimits: ulimits.collect(),
    }
}

/// `0-2,4`; empty is any.
fn is_set_list(text: &str) -> bool {
    text.is_empty()
        || text.split(',').all(|part| match part.split_once('-') {
            Some((from, to)) => matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(a), Ok(b)) if a <= b),
            None => part.parse::<u16>().is_ok(),
        })
}
