//! The engine's `Meter`: a cgroup's counters, and those of the network that the container's process is in.
//!
//! `/proc/<pid>/net/dev` shows the interfaces of that process's network namespace, so nobody has to enter it. The
//! descriptor of `/proc/<pid>` is of that process alone: once it has ended nothing can be opened below it, whoever
//! gets its number next. The file itself keeps the namespace, and with it an address that another container may be given
//! as soon as the process has ended: it stays open from the second reading on, when whoever watches has this meter and
//! ends it with the process.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::ports::{
    BlockIoEntry, BlockIoUsage, CpuUsage, InterfaceUsage, MemoryUsage, RuntimeError, Traffic, Usage,
};
use rustix::fs::{Mode, OFlags};

use super::{not_running, other};

#[derive(Debug)]
pub(super) struct Meter {
    /// The lock is held for one reading.
    files: Mutex<Files>,
}

#[derive(Debug)]
struct Files {
    cgroup: cgroups::Meter,
    is_v2: bool,
    /// When its network is counted.
    network: Option<Network>,
    /// Working space.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Network {
    /// `/proc/<pid>`
    process: OwnedFd,
    table: Option<OwnedFd>,
    /// It has been read before.
    again: bool,
}

/// `pid`: of a process in the network to be counted.
pub(super) fn open(cgroup: &cgroups::Cgroup, pid: Option<i32>) -> cgroups::Result<Meter> {
    // Without it there is no network to count: it is just ending.
    let network = pid.and_then(|pid| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
        Some(Network { process, table: None, again: false })
    });
    let cgroup = cgroups::Meter::open(cgroup)?;
    let is_v2 = cgroup.version() == cgroups::Version::V2;
    Ok(Meter { files: Mutex::new(Files { cgroup, is_v2, network, buffer: Vec::new() }) })
}

impl Meter {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl engine::ports::Meter for Meter {
    fn read(&self) -> Result<Usage, RuntimeError> {
        let mut files = self.files();
        let Files { cgroup, is_v2, network, buffer } = &mut *files;
        let reading = cgroup.read(buffer).map_err(|error| match error.is_gone() {
            true => not_running(),
            false => other(error.to_string()),
        })?;
        let mut usage = usage(reading, *is_v2);
        if let Some(network) = network {
            let table = network.read(buffer).map_err(|_| not_running())?;
            usage.interfaces = interfaces(table).collect();
        }
        Ok(usage)
    }

    fn renew(&self) {
        self.files().cgroup.renew();
    }

    fn end(&self) {
        let mut files = self.files();
        if let Some(network) = &mut files.network {
            network.table = None;
        }
    }
}

impl Network {
    fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> rustix::io::Result<&'b str> {
        let opened;
        let file = match &self.table {
            Some(file) => file,
            None => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&self.process, "net/dev", flags, Mode::empty())?;
                if self.again {
                    self.table.insert(file)
                } else {
                    self.again = true;
                    opened = file;
                    &opened
                }
            }
        };
        table(file, buffer)
    }
}

fn table<'b>(file: &OwnedFd, buffer: &'b mut Vec<u8>) -> rustix::io::Result<&'b str> {
    const CHUNK: usize = 4096;
    /// Where less is left of a page than a line may need, the kernel begins another.
    const LINE: usize = 256;
    let mut length = 0;
    loop {
        if buffer.len() < length + CHUNK {
            buffer.resize(length + CHUNK, 0);
        }
        let read = rustix::io::pread(file, &mut buffer[length..length + CHUNK], length as u64)?;
        length += read;
        // The end is not asked for where it is plain: it would cost as much as the table.
        if read < CHUNK - LINE {
            break;
        }
    }
    Ok(std::str::from_utf8(&buffer[..length]).unwrap_or_default())
}

/// Two lines of titles, then `eth0: ` with eight numbers of what was received and eight of what was sent.
fn interfaces(table: &str) -> impl Iterator<Item = (String, InterfaceUsage)> {
    table.lines().skip(2).filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let name = name.trim_ascii_start();
        if name == "lo" {
            return None;
        }
        let mut numbers = numbers.split_ascii_whitespace().map_while(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next();
        let received = Traffic { bytes: next()?, packets: next()?, errors: next()?, dropped: next()? };
        // fifo, frame, compressed, multicast
        for _ in 0..4 {
            next()?;
        }
        let sent = Traffic { bytes: next()?, packets: next()?, errors: next()?, dropped: next()? };
        Some((name.to_owned(), InterfaceUsage { received, sent }))
    })
}

fn usage(reading: cgroups::Reading, cgroup_v2: bool) -> Usage {
    let cgroups::Reading { cpu, memory, memory_stat, pids, blkio } = reading;
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
            bytes: memory.usage,
            max_bytes: memory.max_usage,
            limit_bytes: memory.limit,
            failures: memory.failures,
            stat: memory_stat,
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
