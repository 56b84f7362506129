//! A cgroup's counters, to be read again and again: the files stay open, and each reading is one `pread` a file.
//!
//! This is what a display once a second needs, so it reads less than [`Cgroup::stats`](crate::Cgroup::stats): CPU,
//! memory without swap and kernel, tasks, block I/O. Most of what it costs is the kernel's printing, so a file is left
//! alone while what it would say is known: limits until somebody changes them ([`Meter::renew`]), what only a limit makes
//! happen where there is none, and bytes where nothing was read or written. What the lines of `memory.stat` are called, and
//! which file has a list, is found out once. An open file keeps no cgroup from being removed; afterwards its readings
//! fail ([`Error::is_gone`]).

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::controllers::{blkio, memory};
use crate::directory::{Directory, io, number, pairs};
use crate::machine::Version;
use crate::stats::{BlkioEntry, BlkioStats, CpuStats, CpuThrottling, MemoryUsage, PidsStats};
use crate::{Cgroup, Error, Result};

/// Numbers by name, sorted.
pub type Counters = Arc<[(Cow<'static, str>, u64)]>;

/// What one reading finds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// CPU time and throttling.
    pub cpu: CpuStats,
    /// Memory, in bytes.
    pub memory: MemoryUsage,
    /// `memory.stat`, sorted by the version's own keys. The same piece of memory as long as none of it changes.
    pub memory_stat: Counters,
    /// Tasks.
    pub pids: PidsStats,
    /// Block I/O per device and operation.
    pub blkio: BlkioStats,
}

/// The open files of one cgroup.
#[derive(Debug)]
pub struct Meter {
    version: Version,
    cpu_stat: Option<File>,
    /// v1.
    quota: Option<Quota>,
    /// v1: time per CPU, and how it is split.
    cpu_usage: Option<[File; 2]>,
    memory: Option<Memory>,
    pids: Option<Pids>,
    blkio: Blkio,
    /// Since it was opened, or renewed.
    readings: u64,
}

/// v1, where `cpu.stat` counts what the quota does and nothing else.
#[derive(Debug)]
struct Quota {
    file: File,
    is_set: bool,
    /// What was counted last.
    last: CpuThrottling,
}

#[derive(Debug)]
struct Memory {
    version: Version,
    stat: Keyed,
    usage: File,
    limit_file: File,
    /// This group's own limit.
    limit: u64,
    /// v1: the limit that holds, of this group or of one above, when the own was read.
    holds: Option<u64>,
    /// v1 only.
    max_usage: Option<File>,
    /// v1: `memory.failcnt`; v2: `memory.events`.
    failures_file: Option<File>,
    failures: u64,
}

#[derive(Debug)]
struct Pids {
    current: File,
    limit_file: File,
    /// "No limit" is 0.
    limit: u64,
}

#[derive(Debug)]
enum Blkio {
    None,
    V1(Box<BlkioV1>),
    V2(File),
}

#[derive(Debug)]
struct BlkioV1 {
    operations: Option<Listed>,
    bytes: Option<Listed>,
    others: Vec<Listed>,
    last: BlkioStats,
}

/// One list of [`BlkioStats`], and the files that may have it, the finest first.
#[derive(Debug)]
struct Listed {
    list: fn(&mut BlkioStats) -> &mut Vec<BlkioEntry>,
    files: Vec<File>,
    /// The one that has it.
    at: usize,
}

/// Who counts block I/O depends on the disks' schedulers, and who sets limits need not be this program: both are found out
/// again after so many readings.
const READINGS_PER_SETTING: u64 = 16;

/// No limit on memory (v1 has a number for it) is more than this, and any limit is less.
const LIMITLESS: u64 = 1 << 62;

/// A file of `key value` lines.
#[derive(Debug)]
struct Keyed {
    file: File,
    lines: Lines,
    /// What was read last, and what it means.
    text: String,
    values: Counters,
}

/// What the lines of a file are called, which is the same each time.
#[derive(Debug, Default)]
struct Lines {
    /// As they come, with each one's place among the sorted.
    order: Vec<(Cow<'static, str>, usize)>,
    /// Sorted, and 0.
    blank: Vec<(Cow<'static, str>, u64)>,
}

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

impl Keyed {
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Counters> {
        let text = self.file.read(buffer)?;
        if text != self.text {
            self.values = match self.lines.values(text) {
                Some(values) => values.into(),
                None => {
                    let (lines, values) = Lines::learn(text);
                    self.lines = lines;
                    values.into()
                }
            };
            text.clone_into(&mut self.text);
        }
        Ok(self.values.clone())
    }
}

impl Lines {
    /// `None`: these are not its lines.
    fn values(&self, text: &str) -> Option<Vec<(Cow<'static, str>, u64)>> {
        let mut values = self.blank.clone();
        let mut lines = text.lines();
        for (key, place) in &self.order {
            let value = lines.next()?.strip_prefix(&**key)?.strip_prefix(' ')?;
            values[*place].1 = number(value)?;
        }
        lines.next().is_none().then_some(values)
    }

    fn learn(text: &str) -> (Lines, Vec<(Cow<'static, str>, u64)>) {
        let mut sorted: Vec<_> = pairs(text).map(|(key, value)| (memory::key(key), value)).collect();
        sorted.sort_unstable();
        let place = |key: &str| sorted.partition_point(|(other, _)| **other < *key);
        let order = pairs(text).map(|(key, _)| (memory::key(key), place(key))).collect();
        let blank = sorted.iter().map(|(key, _)| (key.clone(), 0)).collect();
        (Lines { order, blank }, sorted)
    }
}

impl Listed {
    /// `None`: nobody counts this.
    fn open(directory: &Directory, (list, names): blkio::ListV1) -> Result<Option<Listed>> {
        let mut files: Vec<File> = Vec::new();
        for name in names {
            // What counts the group alone stands in for what counts those below, too, on old kernels.
            if files.iter().any(|file| file.path.ends_with(format!("{name}_recursive"))) {
                continue;
            }
            files.extend(File::open(directory, name)?);
        }
        Ok((!files.is_empty()).then_some(Listed { list, files, at: 0 }))
    }

    fn read(&mut self, settings: bool, stats: &mut BlkioStats, buffer: &mut Vec<u8>) -> Result<()> {
        let entries = (self.list)(stats);
        if settings {
            self.at = 0;
        }
        for (at, file) in self.files.iter().enumerate().skip(self.at) {
            entries.extend(file.read(buffer)?.lines().filter_map(blkio::entry_v1));
            // Where none has anything yet, the coarsest: it counts whatever the scheduler is.
            self.at = at;
            if !entries.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl BlkioV1 {
    fn open(directory: &Directory) -> Result<BlkioV1> {
        let mut others = Vec::new();
        for list in blkio::OTHERS_V1 {
            others.extend(Listed::open(directory, *list)?);
        }
        Ok(BlkioV1 {
            operations: Listed::open(directory, blkio::OPERATIONS_V1)?,
            bytes: Listed::open(directory, blkio::BYTES_V1)?,
            others,
            last: BlkioStats::default(),
        })
    }

    fn read(&mut self, settings: bool, buffer: &mut Vec<u8>) -> Result<BlkioStats> {
        let mut stats = BlkioStats::default();
        if let Some(operations) = &mut self.operations {
            operations.read(settings, &mut stats, buffer)?;
        }
        if let Some(bytes) = &mut self.bytes {
            // The same layer counts both, bytes first: no operation more, no byte more.
            let counter = self.operations.as_ref().map(|operations| operations.at);
            if !settings && counter == Some(bytes.at) && stats.serviced == self.last.serviced {
                stats.service_bytes.clone_from(&self.last.service_bytes);
            } else {
                bytes.read(settings, &mut stats, buffer)?;
            }
            self.last.serviced.clone_from(&stats.serviced);
            self.last.service_bytes.clone_from(&stats.service_bytes);
        }
        for other in &mut self.others {
            other.read(settings, &mut stats, buffer)?;
        }
        Ok(stats)
    }
}

impl Pids {
    fn read(&mut self, settings: bool, buffer: &mut Vec<u8>) -> Result<PidsStats> {
        if settings {
            let limit = self.limit_file.number(buffer)?;
            self.limit = if limit == u64::MAX { 0 } else { limit };
        }
        Ok(PidsStats { current: self.current.number(buffer)?, limit: self.limit })
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
            quota: None,
            cpu_usage: None,
            memory: None,
            pids: None,
            blkio: Blkio::None,
            readings: 0,
        };
        if let Some(directory) = cgroup.controller("cpu").map(|(d, _)| d).or_else(|| cgroup.unified()) {
            meter.cpu_stat = File::open(directory, "cpu.stat")?;
            meter.quota = File::open(directory, "cpu.cfs_quota_us")?.map(|file| Quota {
                file,
                is_set: true,
                last: CpuThrottling::default(),
            });
        }
        if let Some((directory, _)) = cgroup.controller("cpuacct") {
            let open = |name| File::open(directory, name);
            meter.cpu_usage =
                open("cpuacct.usage_percpu")?.zip(open("cpuacct.usage_all")?).map(<[File; 2]>::from);
        }
        if let Some((directory, version)) = cgroup.controller("memory") {
            meter.memory = Memory::open(directory, version)?;
        }
        if let Some((directory, _)) = cgroup.controller("pids") {
            let open = |name| File::open(directory, name);
            let files = open("pids.current")?.zip(open("pids.max")?);
            meter.pids = files.map(|(current, limit_file)| Pids { current, limit_file, limit: 0 });
        }
        if let Some((directory, _)) = cgroup.controller("blkio") {
            meter.blkio = Blkio::V1(Box::new(BlkioV1::open(directory)?));
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
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Reading> {
        let settings = self.readings.is_multiple_of(READINGS_PER_SETTING);
        let mut reading = Reading { cpu: self.cpu(settings, buffer)?, ..Reading::default() };
        if let Some(memory) = &mut self.memory {
            reading.memory_stat = memory.stat.read(buffer)?;
            reading.memory = memory.read(&reading.memory_stat, settings, buffer)?;
        }
        if let Some(pids) = &mut self.pids {
            reading.pids = pids.read(settings, buffer)?;
        }
        match &mut self.blkio {
            Blkio::None => {}
            Blkio::V1(blkio) => reading.blkio = blkio.read(settings, buffer)?,
            Blkio::V2(file) => reading.blkio = blkio::entries_v2(file.read(buffer)?),
        }
        self.readings += 1;
        Ok(reading)
    }

    /// Limits have been changed: the next reading sees it.
    pub fn renew(&mut self) {
        self.readings = 0;
    }

    fn cpu(&mut self, settings: bool, buffer: &mut Vec<u8>) -> Result<CpuStats> {
        let mut stats = CpuStats::default();
        if settings && let Some(quota) = &mut self.quota {
            // "None" is -1.
            quota.is_set = quota.file.read(buffer)?.trim().parse::<i64>().is_ok_and(|quota| quota >= 0);
        }
        if let Some(quota) = self.quota.as_ref().filter(|quota| !settings && !quota.is_set) {
            stats.throttling = quota.last.clone();
        } else if let Some(file) = &self.cpu_stat {
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
            if let Some(quota) = &mut self.quota {
                quota.last = stats.throttling.clone();
            }
        }
        if let Some([per_cpu, all]) = &self.cpu_usage {
            stats.per_cpu_ns.extend(numbers(per_cpu.read(buffer)?));
            // As the kernel makes cpuacct.usage.
            stats.usage_ns = stats.per_cpu_ns.iter().sum();
            // `0 1234 567`: the CPU, in user space, in the kernel.
            for line in all.read(buffer)?.lines().skip(1) {
                let mut numbers = numbers(line).skip(1);
                stats.user_ns += numbers.next().unwrap_or(0);
                stats.kernel_ns += numbers.next().unwrap_or(0);
            }
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
        let (Some(stat), Some(usage), Some(limit_file)) = (open("memory.stat")?, open(usage)?, open(limit)?)
        else {
            return Ok(None);
        };
        let (max_usage, failures_file) = match version {
            Version::V1 => (open("memory.max_usage_in_bytes")?, open("memory.failcnt")?),
            Version::V2 => (None, open("memory.events")?),
        };
        let stat =
            Keyed { file: stat, lines: Lines::default(), text: String::new(), values: Counters::default() };
        let (limit, holds, failures) = (0, None, 0);
        Ok(Some(Memory {
            version,
            stat,
            usage,
            limit_file,
            limit,
            holds,
            max_usage,
            failures_file,
            failures,
        }))
    }

    fn read(
        &mut self,
        stat: &[(Cow<'static, str>, u64)],
        settings: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<MemoryUsage> {
        let holds = stat.binary_search_by(|(key, _)| (**key).cmp("hierarchical_memory_limit"));
        let holds = holds.ok().map(|at| stat[at].1);
        let settings = settings || holds != self.holds;
        if settings {
            self.limit = self.limit_file.number(buffer)?;
            self.holds = holds;
        }
        // v1 counts how often this group's own limit was in the way, v2 also what happened below.
        let fails = settings || self.version == Version::V2 || self.limit < LIMITLESS;
        if let Some(file) = self.failures_file.as_ref().filter(|_| fails) {
            self.failures = match self.version {
                Version::V1 => file.number(buffer)?,
                Version::V2 => {
                    pairs(file.read(buffer)?).find(|(key, _)| *key == "oom").map_or(0, |(_, value)| value)
                }
            };
        }
        Ok(MemoryUsage {
            usage: self.usage.number(buffer)?,
            limit: self.limit,
            max_usage: self.max_usage.as_ref().map_or(Ok(0), |file| file.number(buffer))?,
            failures: self.failures,
        })
    }
}

fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split_ascii_whitespace().filter_map(|number| number.parse().ok())
}
