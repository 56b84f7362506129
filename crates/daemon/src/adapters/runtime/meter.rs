//! The engine's `Meter`: a cgroup's counters, and those of the network that the container's process is in.
//!
//! `/proc/<pid>/net/dev` shows the interfaces of that process's network namespace, so nobody has to enter it. The
//! descriptor of `/proc/<pid>` is of that process alone: once it has ended nothing can be opened below it, whoever
//! gets its number next. The file itself is opened for each reading, since an open one would keep the namespace.

use std::os::fd::OwnedFd;
use std::sync::Mutex;

use engine::ports::{
    BlockIoEntry, BlockIoUsage, CpuUsage, InterfaceUsage, MemoryUsage, RuntimeError, Traffic, Usage,
};
use rustix::fs::{Mode, OFlags};

use super::{not_running, other};

#[derive(Debug)]
pub(super) struct Meter {
    cgroup: cgroups::Meter,
    /// `/proc/<pid>`, when its network is counted.
    process: Option<OwnedFd>,
    /// Working space; the lock is held for one reading.
    buffer: Mutex<Vec<u8>>,
}

/// `pid`: of a process in the network to be counted.
pub(super) fn open(cgroup: &cgroups::Cgroup, pid: Option<i32>) -> cgroups::Result<Meter> {
    // Without it there is no network to count: it is just ending.
    let process = pid.and_then(|pid| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok()
    });
    Ok(Meter { cgroup: cgroups::Meter::open(cgroup)?, process, buffer: Mutex::default() })
}

impl engine::ports::Meter for Meter {
    fn read(&self) -> Result<Usage, RuntimeError> {
        let mut buffer = self.buffer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let stats = self.cgroup.read(&mut buffer).map_err(|error| match error.is_gone() {
            true => not_running(),
            false => other(error.to_string()),
        })?;
        let is_v2 = self.cgroup.version() == cgroups::Version::V2;
        let mut usage = usage(stats, is_v2);
        if let Some(process) = &self.process {
            let table = table(process, &mut buffer).map_err(|_| not_running())?;
            usage.interfaces = interfaces(table).collect();
        }
        Ok(usage)
    }
}

fn table<'b>(process: &OwnedFd, buffer: &'b mut Vec<u8>) -> rustix::io::Result<&'b str> {
    const CHUNK: usize = 4096;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(process, "net/dev", flags, Mode::empty())?;
    let mut length = 0;
    loop {
        if buffer.len() < length + CHUNK {
            buffer.resize(length + CHUNK, 0);
        }
        match rustix::io::read(&file, &mut buffer[length..length + CHUNK])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(std::str::from_utf8(&buffer[..length]).unwrap_or_default())
}

/// Two lines of titles, then `eth0: ` with eight numbers of what was received and eight of what was sent.
fn interfaces(table: &str) -> impl Iterator<Item = (String, InterfaceUsage)> {
    table.lines().skip(2).filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let traffic = |from: usize| {
            let numbers = numbers.get(from..from + 4)?;
            Some(Traffic { bytes: numbers[0], packets: numbers[1], errors: numbers[2], dropped: numbers[3] })
        };
        let usage = InterfaceUsage { received: traffic(0)?, sent: traffic(8)? };
        (name.trim() != "lo").then(|| (name.trim().to_owned(), usage))
    })
}

fn usage(stats: cgroups::Stats, cgroup_v2: bool) -> Usage {
    let cgroups::Stats { cpu, memory, pids, blkio, .. } = stats;
    Usage {
        cpu: CpuUsage {
            total_ns: cpu.usage_ns,
            user_ns: cpu.user_ns,
            kernel_ns: cpu.kernel_ns,
            per_cpu_ns: cpu.per_cpu_ns,
            periods: cpu.throttling.periods,
            throttled_periods: cpu.throttling.throttled_periods,
            throttled_ns: cpu.throttling.throttled_time_ns,
        },
        memory: MemoryUsage {
            bytes: memory.usage.usage,
            max_bytes: memory.usage.max_usage,
            limit_bytes: memory.usage.limit,
            failures: memory.usage.failures,
            stat: memory.stats,
        },
        pids: pids.current,
        pids_limit: Some(pids.limit).filter(|limit| *limit != 0),
        block_io: BlockIoUsage {
            bytes: entries(blkio.service_bytes),
            operations: entries(blkio.serviced),
            queued: entries(blkio.queued),
            service_time: entries(blkio.service_time),
            wait_time: entries(blkio.wait_time),
            merged: entries(blkio.merged),
            time: entries(blkio.time),
            sectors: entries(blkio.sectors),
        },
        interfaces: Default::default(),
        cgroup_v2,
    }
}

fn entries(entries: Vec<cgroups::stats::BlkioEntry>) -> Vec<BlockIoEntry> {
    let entry = |entry: cgroups::stats::BlkioEntry| BlockIoEntry {
        major: entry.major,
        minor: entry.minor,
        direction: entry.op,
        value: entry.value,
    };
    entries.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_interfaces() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n  \
            eth0: 12345678901      12    1    2    0     0          0         0      876       9    3    4    0     0       0          0\n";
        let found: Vec<_> = interfaces(table).collect();
        let received = Traffic { bytes: 12_345_678_901, packets: 12, errors: 1, dropped: 2 };
        let sent = Traffic { bytes: 876, packets: 9, errors: 3, dropped: 4 };
        assert_eq!(found, [("eth0".to_owned(), InterfaceUsage { received, sent })]);
    }
}
