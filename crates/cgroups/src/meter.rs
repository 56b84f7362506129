//! A cgroup's counters, to be read again and again: the files stay open, and each reading is one `pread` a file.
//!
//! This is what a display once a second needs, so it reads less than [`Cgroup::stats`](crate::Cgroup::stats): CPU,
//! memory without swap and kernel, tasks, block I/O. An open file keeps no cgroup from being removed; afterwards its
//! readings fail ([`Error::is_gone`]).

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::controllers::{blkio, memory};
use crate::directory::{Directory, io, number, pairs};
use crate::machine::Version;
use crate::stats::{BlkioEntry, BlkioStats, CpuStats, MemoryStats, MemoryUsage, PidsStats};
use crate::{Cgroup, Error, Result, Stats};

/// The open files of one cgroup.
#[derive(Debug)]
pub struct Meter {
    version: Version,
    cpu_stat: Option<File>,
    /// v1: time per CPU; user and system time.
    cpu_usage: Option<[File; 3]>,
    memory: Option<Memory>,
    pids: Option<[File; 2]>,
    blkio: Blkio,
}

#[derive(Debug)]
struct Memory {
    version: Version,
    stat: File,
    usage: File,
    limit: File,
    /// v1 only.
    max_usage: Option<File>,
    /// v1: `memory.failcnt`; v2: `memory.events`.
    failures: Option<File>,
}

#[derive(Debug)]
enum Blkio {
    None,
    /// One list of [`BlkioStats`], and the files that may have it, the finest first.
    V1(Vec<(List, Vec<File>)>),
    V2(File),
}

type List = fn(&mut BlkioStats) -> &mut Vec<BlkioEntry>;

#[derive(Debug)]
struct File {
    fd: OwnedFd,
    path: PathBuf,
}

impl File {
    /// `None` when the kernel has no such file.
    fn open(directory: &Directory, name: &str) -> Result<Option<File>> {
        match directory.open_file(name, OFlags::RDONLY) {
            Ok(fd) => Ok(Some(File { fd, path: directory.path().join(name) })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read<'b>(&self, buffer: &'b mut Vec<u8>) -> Result<&'b str> {
        const CHUNK: usize = 4096;
        let mut length = 0;
        loop {
            // It stays as long as it has become: clearing it for each of twenty files costs more than some of them.
            if buffer.len() < length + CHUNK {
                buffer.resize(length + CHUNK, 0);
            }
            match rustix::io::pread(&self.fd, &mut buffer[length..length + CHUNK], length as u64) {
                // A file of one text gives all there is at once: less than asked for is its end.
                Ok(read) if read < CHUNK => {
                    length += read;
                    break;
                }
                Ok(read) => length += read,
                Err(Errno::INTR) => {}
                // Offered without the feature.
                Err(Errno::OPNOTSUPP) => break,
                Err(errno) => return Err(io("read", &self.path, errno)),
            }
        }
        let text = &buffer[..length];
        std::str::from_utf8(text).map_err(|_| self.malformed(&String::from_utf8_lossy(text)))
    }

    /// A file of one number; `max` is `u64::MAX`.
    fn number(&self, buffer: &mut Vec<u8>) -> Result<u64> {
        let text = self.read(buffer)?.trim();
        number(text).ok_or_else(|| self.malformed(text))
    }

    fn malformed(&self, text: &str) -> Error {
        Error::Malformed { path: self.path.clone(), text: text.to_owned(), expected: "numbers" }
    }
}

impl Meter {
    /// Opens the files that are there.
    ///
    /// # Errors
    /// The cgroup is gone, or there are no descriptors left.
    pub fn open(cgroup: &Cgroup) -> Result<Meter> {
        let mut meter = Meter {
            version: cgroup.controller("cpu").map_or(Version::V2, |(_, version)| version),
            cpu_stat: None,
            cpu_usage: None,
            memory: None,
            pids: None,
            blkio: Blkio::None,
        };
        if let Some(directory) = cgroup.controller("cpu").map(|(d, _)| d).or_else(|| cgroup.unified()) {
            meter.cpu_stat = File::open(directory, "cpu.stat")?;
        }
        if let Some((directory, _)) = cgroup.controller("cpuacct") {
            let open = |name| File::open(directory, name);
            let files =
                (open("cpuacct.usage_percpu")?, open("cpuacct.usage_user")?, open("cpuacct.usage_sys")?);
            if let (Some(per_cpu), Some(user), Some(system)) = files {
                meter.cpu_usage = Some([per_cpu, user, system]);
            }
        }
        if let Some((directory, version)) = cgroup.controller("memory") {
            meter.memory = Memory::open(directory, version)?;
        }
        if let Some((directory, _)) = cgroup.controller("pids") {
            let open = |name| File::open(directory, name);
            meter.pids = open("pids.current")?.zip(open("pids.max")?).map(<[File; 2]>::from);
        }
        if let Some((directory, _)) = cgroup.controller("blkio") {
            let mut lists = Vec::new();
            for (list, names) in blkio::LISTS_V1 {
                let mut files: Vec<File> = Vec::new();
                for name in *names {
                    // What counts the group alone stands in for what counts those below, too, on old kernels.
                    if files.iter().any(|file| file.path.ends_with(format!("{name}_recursive"))) {
                        continue;
                    }
                    files.extend(File::open(directory, name)?);
                }
                if !files.is_empty() {
                    lists.push((*list, files));
                }
            }
            meter.blkio = Blkio::V1(lists);
        } else if let Some((directory, Version::V2)) = cgroup.controller("io")
            && let Some(file) = File::open(directory, "io.stat")?
        {
            meter.blkio = Blkio::V2(file);
        }
        Ok(meter)
    }

    /// The counters now. `buffer` is working space, the same for many meters.
    ///
    /// # Errors
    /// The cgroup was removed.
    pub fn read(&self, buffer: &mut Vec<u8>) -> Result<Stats> {
        let mut stats = Stats { cpu: self.cpu(buffer)?, ..Stats::default() };
        if let Some(memory) = &self.memory {
            stats.memory = memory.read(buffer)?;
        }
        if let Some([current, limit]) = &self.pids {
            let current = current.number(buffer)?;
            // "No limit" is 0.
            let limit = Some(limit.number(buffer)?).filter(|limit| *limit != u64::MAX).unwrap_or(0);
            stats.pids = PidsStats { current, limit };
        }
        match &self.blkio {
            Blkio::None => {}
            Blkio::V1(lists) => {
                for (list, files) in lists {
                    let entries = list(&mut stats.blkio);
                    for file in files {
                        entries.extend(file.read(buffer)?.lines().filter_map(blkio::entry_v1));
                        if !entries.is_empty() {
                            break;
                        }
                    }
                }
            }
            Blkio::V2(file) => stats.blkio = blkio::entries_v2(file.read(buffer)?),
        }
        Ok(stats)
    }

    fn cpu(&self, buffer: &mut Vec<u8>) -> Result<CpuStats> {
        let mut stats = CpuStats::default();
        if let Some(file) = &self.cpu_stat {
            let throttling = &mut stats.throttling;
            for (key, value) in pairs(file.read(buffer)?) {
                match key {
                    "nr_periods" => throttling.periods = value,
                    "nr_throttled" => throttling.throttled_periods = value,
                    "throttled_time" => throttling.throttled_time_ns = value,
                    "throttled_usec" => throttling.throttled_time_ns = value * 1000,
                    "nr_bursts" => throttling.bursts = value,
                    "burst_time" => throttling.burst_time_ns = value,
                    "burst_usec" => throttling.burst_time_ns = value * 1000,
                    "usage_usec" => stats.usage_ns = value * 1000,
                    "user_usec" => stats.user_ns = value * 1000,
                    "system_usec" => stats.kernel_ns = value * 1000,
                    _ => {}
                }
            }
        }
        if let Some([per_cpu, user, system]) = &self.cpu_usage {
            let numbers = per_cpu.read(buffer)?.split_whitespace().filter_map(|n| n.parse().ok());
            stats.per_cpu_ns = numbers.collect();
            // As the kernel makes cpuacct.usage.
            stats.usage_ns = stats.per_cpu_ns.iter().sum();
            stats.user_ns = user.number(buffer)?;
            stats.kernel_ns = system.number(buffer)?;
        }
        Ok(stats)
    }

    /// Which version counts.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl Memory {
    fn open(directory: &Directory, version: Version) -> Result<Option<Memory>> {
        let open = |name| File::open(directory, name);
        let (usage, limit) = match version {
            Version::V1 => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
            Version::V2 => ("memory.current", "memory.max"),
        };
        // The root of a v2 tree has no limit.
        let (Some(stat), Some(usage), Some(limit)) = (open("memory.stat")?, open(usage)?, open(limit)?)
        else {
            return Ok(None);
        };
        let (max_usage, failures) = match version {
            Version::V1 => (open("memory.max_usage_in_bytes")?, open("memory.failcnt")?),
            Version::V2 => (None, open("memory.events")?),
        };
        Ok(Some(Memory { version, stat, usage, limit, max_usage, failures }))
    }

    fn read(&self, buffer: &mut Vec<u8>) -> Result<MemoryStats> {
        let usage = MemoryUsage {
            usage: self.usage.number(buffer)?,
            limit: self.limit.number(buffer)?,
            max_usage: self.max_usage.as_ref().map_or(Ok(0), |file| file.number(buffer))?,
            failures: match (&self.failures, self.version) {
                (None, _) => 0,
                (Some(file), Version::V1) => file.number(buffer)?,
                (Some(file), Version::V2) => {
                    pairs(file.read(buffer)?).find(|(key, _)| *key == "oom").map_or(0, |(_, value)| value)
                }
            },
        };
        let stats = pairs(self.stat.read(buffer)?).map(|(key, value)| (memory::key(key), value)).collect();
        Ok(MemoryStats { usage, stats, ..MemoryStats::default() })
    }
}
