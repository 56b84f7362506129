//! A container's counters.

use std::borrow::Cow;
use std::sync::Arc;

use api::stats as wire;
use engine::ports::{BlockIoEntry, Usage};
use engine::stats::Sample;

/// What Docker shows of `memory.stat`, of either version, sorted; the kernel has more.
const MEMORY_V1: &[&str] = &[
    "active_anon",
    "active_file",
    "cache",
    "dirty",
    "hierarchical_memory_limit",
    "hierarchical_memsw_limit",
    "inactive_anon",
    "inactive_file",
    "mapped_file",
    "pgfault",
    "pgmajfault",
    "pgpgin",
    "pgpgout",
    "rss",
    "rss_huge",
    "total_active_anon",
    "total_active_file",
    "total_cache",
    "total_dirty",
    "total_inactive_anon",
    "total_inactive_file",
    "total_mapped_file",
    "total_pgfault",
    "total_pgmajfault",
    "total_pgpgin",
    "total_pgpgout",
    "total_rss",
    "total_rss_huge",
    "total_unevictable",
    "total_writeback",
    "unevictable",
    "writeback",
];
const MEMORY_V2: &[&str] = &[
    "active_anon",
    "active_file",
    "anon",
    "anon_thp",
    "file",
    "file_dirty",
    "file_mapped",
    "file_writeback",
    "inactive_anon",
    "inactive_file",
    "kernel_stack",
    "pgactivate",
    "pgdeactivate",
    "pgfault",
    "pglazyfree",
    "pglazyfreed",
    "pgmajfault",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "shmem",
    "slab",
    "slab_reclaimable",
    "slab_unreclaimable",
    "sock",
    "thp_collapse_alloc",
    "thp_fault_alloc",
    "unevictable",
    "workingset_activate",
    "workingset_nodereclaim",
    "workingset_refault",
];

/// The answers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The `memory.stat` of the last one, and what is shown of it: it is mostly the next one's, too.
    memory: Option<(Arc<[Counter]>, wire::Counters)>,
}

type Counter = (Cow<'static, str>, u64);

impl Answers {
    pub(crate) fn next(&mut self, sample: &Sample, previous: Option<&Sample>) -> wire::StatsResponse {
        let mut response = response(sample, previous);
        let usage = &sample.usage;
        response.memory_stats.stats = match &self.memory {
            Some((of, shown)) if Arc::ptr_eq(of, &usage.memory.stat) => shown.clone(),
            _ => {
                let shown = counters(usage);
                self.memory = Some((usage.memory.stat.clone(), shown.clone()));
                shown
            }
        };
        response
    }
}

/// All but the counters of memory.
fn response(sample: &Sample, previous: Option<&Sample>) -> wire::StatsResponse {
    let mut response = wire::StatsResponse {
        id: sample.id.clone(),
        name: format!("/{}", sample.name),
        os_type: "linux".into(),
        read: super::time(sample.at),
        cpu_stats: cpu(sample),
        preread: super::time(previous.and_then(|previous| previous.at)),
        precpu_stats: previous.map(cpu).unwrap_or_default(),
        ..wire::StatsResponse::default()
    };
    if sample.at.is_none() {
        return response;
    }
    let usage = &sample.usage;
    let memory = &usage.memory;
    response.memory_stats = wire::MemoryStats {
        usage: memory.bytes,
        max_usage: memory.max_bytes,
        stats: wire::Counters::default(),
        failcnt: memory.failures,
        limit: memory.limit_bytes,
    };
    response.pids_stats = wire::PidsStats {
        current: usage.pids,
        // "No limit" of version 2 is the largest number, and left out of version 1.
        limit: usage.pids_limit.unwrap_or(if usage.cgroup_v2 { u64::MAX } else { 0 }),
    };
    response.blkio_stats = if usage.cgroup_v2 { block_io_v2(usage) } else { block_io_v1(usage) };
    let networks = usage.interfaces.iter().map(|(name, interface)| {
        let (received, sent) = (&interface.received, &interface.sent);
        let stats = wire::NetworkStats {
            rx_bytes: received.bytes,
            rx_packets: received.packets,
            rx_errors: received.errors,
            rx_dropped: received.dropped,
            tx_bytes: sent.bytes,
            tx_packets: sent.packets,
            tx_errors: sent.errors,
            tx_dropped: sent.dropped,
        };
        (name.clone(), stats)
    });
    response.networks = networks.collect();
    response
}

fn cpu(sample: &Sample) -> wire::CpuStats {
    let cpu = &sample.usage.cpu;
    wire::CpuStats {
        cpu_usage: wire::CpuUsage {
            total_usage: cpu.total_ns,
            percpu_usage: cpu.per_cpu_ns.clone(),
            usage_in_kernelmode: cpu.kernel_ns,
            usage_in_usermode: cpu.user_ns,
        },
        system_cpu_usage: sample.machine_cpu_ns,
        online_cpus: sample.online_cpus,
        throttling_data: wire::ThrottlingData {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_ns,
        },
    }
}

fn counters(usage: &Usage) -> wire::Counters {
    let memory = &usage.memory;
    // Without the controller there is nothing.
    let keys = match (memory.stat.is_empty(), usage.cgroup_v2) {
        (true, _) => &[][..],
        (false, true) => MEMORY_V2,
        (false, false) => MEMORY_V1,
    };
    // Both are sorted.
    let mut counted = memory.stat.iter().peekable();
    let stats = keys.iter().map(|key| {
        while counted.next_if(|(name, _)| **name < **key).is_some() {}
        // What a kernel does not count is 0.
        let value = counted.next_if(|(name, _)| name == key).map_or(0, |(_, value)| *value);
        (Cow::Borrowed(*key), value)
    });
    wire::Counters(stats.collect())
}

fn block_io_v1(usage: &Usage) -> wire::BlkioStats {
    let list = |entries: &[BlockIoEntry]| Some(entries.iter().map(entry).collect());
    let io = &usage.block_io;
    wire::BlkioStats {
        io_service_bytes_recursive: list(&io.bytes),
        io_serviced_recursive: list(&io.operations),
        io_queue_recursive: list(&io.queued),
        io_service_time_recursive: list(&io.service_time),
        io_wait_time_recursive: list(&io.wait_time),
        io_merged_recursive: list(&io.merged),
        io_time_recursive: list(&io.time),
        sectors_recursive: list(&io.sectors),
    }
}

/// Docker shows bytes read and written, and nothing else.
fn block_io_v2(usage: &Usage) -> wire::BlkioStats {
    let shown = usage.block_io.bytes.iter().filter(|entry| matches!(&*entry.direction, "Read" | "Write"));
    let entries: Vec<_> = shown
        .map(|it| wire::BlkioEntry { op: it.direction.to_ascii_lowercase().into(), ..entry(it) })
        .collect();
    wire::BlkioStats {
        io_service_bytes_recursive: (!entries.is_empty()).then_some(entries),
        ..wire::BlkioStats::default()
    }
}

fn entry(entry: &BlockIoEntry) -> wire::BlkioEntry {
    wire::BlkioEntry {
        major: entry.major,
        minor: entry.minor,
        op: entry.direction.clone(),
        value: entry.value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ports::{BlockIoUsage, CpuUsage, InterfaceUsage, MemoryUsage, Traffic};

    fn sample(cgroup_v2: bool) -> Sample {
        let io = |direction: &str, value| BlockIoEntry {
            major: 8,
            minor: 0,
            direction: direction.to_owned().into(),
            value,
        };
        let received = Traffic { bytes: 1, packets: 2, errors: 3, dropped: 4 };
        Sample {
            id: "abc".into(),
            name: "web".into(),
            at: Some("2026-01-02T03:04:05.000000006Z".parse().unwrap()),
            machine_cpu_ns: 1000,
            online_cpus: 2,
            usage: Usage {
                cgroup_v2,
                pids: 3,
                cpu: CpuUsage { total_ns: 10, ..CpuUsage::default() },
                memory: MemoryUsage {
                    bytes: 4096,
                    limit_bytes: 1 << 20,
                    stat: [("cache".into(), 5), ("file".into(), 6), ("swapcached".into(), 7)].into(),
                    ..MemoryUsage::default()
                },
                block_io: BlockIoUsage {
                    bytes: vec![io("Read", 1), io("Write", 2), io("Discard", 3)],
                    ..BlockIoUsage::default()
                },
                interfaces: [("eth0".to_owned(), InterfaceUsage { received, ..InterfaceUsage::default() })]
                    .into(),
                ..Usage::default()
            },
        }
    }

    fn answer(sample: &Sample, previous: Option<&Sample>) -> wire::StatsResponse {
        Answers::default().next(sample, previous)
    }

    #[test]
    fn version_1_has_empty_lists_and_version_2_none() {
        let shown = serde_json::to_value(answer(&sample(false), None)).unwrap();
        assert_eq!((&shown["name"], &shown["preread"]), (&"/web".into(), &super::super::NEVER.into()));
        assert_eq!(shown["blkio_stats"]["io_service_bytes_recursive"][2]["op"], "Discard");
        assert_eq!(shown["blkio_stats"]["io_serviced_recursive"], serde_json::json!([]));
        assert_eq!(
            (&shown["memory_stats"]["stats"]["cache"], shown["memory_stats"]["stats"].get("file")),
            (&5.into(), None)
        );
        assert_eq!(shown["pids_stats"], serde_json::json!({"current": 3}));
        assert_eq!(shown["networks"]["eth0"]["rx_dropped"], 4);

        let shown = serde_json::to_value(answer(&sample(true), Some(&sample(true)))).unwrap();
        assert_eq!(shown["blkio_stats"]["io_service_bytes_recursive"].as_array().unwrap().len(), 2);
        assert_eq!(shown["blkio_stats"]["io_service_bytes_recursive"][0]["op"], "read");
        assert!(shown["blkio_stats"]["io_serviced_recursive"].is_null());
        assert_eq!(
            (&shown["memory_stats"]["stats"]["file"], &shown["memory_stats"]["stats"]["pgfault"]),
            (&6.into(), &0.into())
        );
        assert_eq!(shown["pids_stats"]["limit"], u64::MAX);
        assert_eq!(
            (&shown["preread"], &shown["precpu_stats"]["system_cpu_usage"]),
            (&shown["read"], &1000.into())
        );
    }

    #[test]
    fn keys_are_found_in_their_order() {
        assert!(MEMORY_V1.is_sorted() && MEMORY_V2.is_sorted());
        let mut all = sample(false);
        all.usage.memory.stat = MEMORY_V1.iter().zip(1..).map(|(key, n)| (Cow::Borrowed(*key), n)).collect();
        let shown = answer(&all, None).memory_stats.stats;
        assert_eq!(shown.0, all.usage.memory.stat);
    }

    #[test]
    fn one_that_does_not_run_has_zeros() {
        let nothing = Sample { id: "abc".into(), name: "web".into(), ..Sample::default() };
        let text = serde_json::to_string(&answer(&nothing, None)).unwrap();
        assert_eq!(
            text,
            "{\"id\":\"abc\",\"name\":\"/web\",\"os_type\":\"linux\",\"read\":\"0001-01-01T00:00:00Z\",\"cpu_stats\":{\"cpu_usage\":\
             {\"total_usage\":0,\"usage_in_kernelmode\":0,\"usage_in_usermode\":0},\"throttling_data\":{\"periods\":0,\
             \"throttled_periods\":0,\"throttled_time\":0}},\"memory_stats\":{},\"pids_stats\":{},\"blkio_stats\":\
             {\"io_service_bytes_recursive\":null,\"io_serviced_recursive\":null,\"io_queue_recursive\":null,\
             \"io_service_time_recursive\":null,\"io_wait_time_recursive\":null,\"io_merged_recursive\":null,\
             \"io_time_recursive\":null,\"sectors_recursive\":null},\"num_procs\":0,\"storage_stats\":{},\
             \"preread\":\"0001-01-01T00:00:00Z\",\"precpu_stats\":{\"cpu_usage\":{\"total_usage\":0,\"usage_in_kernelmode\":0,\
             \"usage_in_usermode\":0},\"throttling_data\":{\"periods\":0,\"throttled_periods\":0,\"throttled_time\":0}}}"
        );
    }
}
