//! One line of the page, and how its numbers are reckoned.

use api::stats::{CpuStats, MemoryStats, StatsResponse};
use serde_json::json;

use crate::output::short_id;
use crate::output::table::{Listing, Row};
use crate::output::units::{binary_size, human_size};

pub(super) const LISTING: Listing = Listing {
    type_name: "*container.statsContext",
    titles: &[
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
};

/// Sizes are bytes.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// As it was asked for.
    pub(super) container: String,
    name: String,
    id: String,
    /// The numbers are not to be relied on.
    pub(super) invalid: bool,
    numbers: Numbers,
}

#[derive(Debug, Default)]
struct Numbers {
    cpu_percent: f64,
    memory: u64,
    memory_limit: u64,
    received: u64,
    sent: u64,
    read: u64,
    written: u64,
    pids: u64,
}

impl Entry {
    pub(super) fn new(container: &str) -> Self {
        Self { container: container.to_owned(), ..Self::default() }
    }

    pub(super) fn put(&mut self, sample: &StatsResponse) {
        let moved = |direction: &[char]| {
            let entries = sample.blkio_stats.io_service_bytes_recursive.iter().flatten();
            entries.filter(|entry| entry.op.starts_with(direction)).map(|entry| entry.value).sum()
        };
        self.id.clone_from(&sample.id);
        self.name.clone_from(&sample.name);
        self.invalid = false;
        self.numbers = Numbers {
            cpu_percent: cpu_percent(&sample.precpu_stats, &sample.cpu_stats),
            memory: memory_without_cache(&sample.memory_stats),
            memory_limit: sample.memory_stats.limit,
            received: sample.networks.values().map(|network| network.rx_bytes).sum(),
            sent: sample.networks.values().map(|network| network.tx_bytes).sum(),
            read: moved(&['r', 'R']),
            written: moved(&['w', 'W']),
            pids: sample.pids_stats.current,
        };
    }

    /// Nothing has come for too long.
    pub(super) fn reset(&mut self) {
        self.invalid = true;
        self.numbers = Numbers::default();
    }

    pub(super) fn row(&self, truncate: bool) -> Row {
        let numbers = &self.numbers;
        let or_none = |text: String, none: &str| if self.invalid { none.to_owned() } else { text };
        let sizes = |a: u64, b: u64| format!("{} / {}", human_size(a as f64, 3), human_size(b as f64, 3));
        let memory_percent = match numbers.memory_limit {
            0 => 0.0,
            limit => numbers.memory as f64 / limit as f64 * 100.0,
        };
        let memory =
            format!("{} / {}", binary_size(numbers.memory as f64), binary_size(numbers.memory_limit as f64));
        let name = self.name.strip_prefix('/').unwrap_or(&self.name);
        let cells = vec![
            ("BlockIO", json!(or_none(sizes(numbers.read, numbers.written), "--"))),
            ("CPUPerc", json!(or_none(format!("{:.2}%", numbers.cpu_percent), "--"))),
            ("Container", json!(self.container)),
            ("ID", json!(if truncate { short_id(&self.id) } else { &self.id })),
            ("MemPerc", json!(or_none(format!("{memory_percent:.2}%"), "--"))),
            ("MemUsage", json!(or_none(memory, "-- / --"))),
            ("Name", json!(if name.is_empty() { "--" } else { name })),
            ("NetIO", json!(or_none(sizes(numbers.received, numbers.sent), "--"))),
            ("PIDs", json!(or_none(numbers.pids.to_string(), "--"))),
        ];
        Row { cells, labels: None }
    }
}

/// Of one processor: its time over the machine's, times their number.
fn cpu_percent(before: &CpuStats, now: &CpuStats) -> f64 {
    let used = now.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let machine = now.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let processors = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.len() as f64,
        online => f64::from(online),
    };
    if machine > 0.0 && used > 0.0 { used / machine * processors * 100.0 } else { 0.0 }
}

/// What the kernel would take back at once does not count.
fn memory_without_cache(memory: &MemoryStats) -> u64 {
    ["total_inactive_file", "inactive_file"]
        .iter()
        .filter_map(|key| memory.stats.get(key))
        .find(|cache| *cache < memory.usage)
        .map_or(memory.usage, |cache| memory.usage - cache)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::table::render;
    use api::stats::Counters;

    const LINE: &str =
        "{{.ID}}|{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.MemPerc}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}";

    fn sample() -> StatsResponse {
        serde_json::from_value(json!({
            "id": "0123456789abcdef", "name": "/web",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 4},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 3 << 20, "limit": 512 << 20, "stats": {"total_inactive_file": 1 << 20}},
            "networks": {"eth0": {"rx_bytes": 1200, "tx_bytes": 0}, "eth1": {"rx_bytes": 34, "tx_bytes": 7}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"op": "Read", "value": 1_000_000}, {"op": "write", "value": 5}, {"op": "Sync", "value": 9}, {"value": 9}
            ]},
            "pids_stats": {"current": 3},
        }))
        .unwrap()
    }

    #[test]
    fn a_line_has_docker_s_numbers() {
        let mut entry = Entry::new("web");
        let line = |entry: &Entry| render(&LISTING, LINE, vec![entry.row(true)]).unwrap();
        assert_eq!(line(&entry), "|--|0.00%|0B / 0B|0.00%|0B / 0B|0B / 0B|0\n");
        entry.put(&sample());
        assert_eq!(line(&entry), "0123456789ab|web|80.00%|2MiB / 512MiB|0.39%|1.23kB / 7B|1MB / 5B|3\n");
        entry.invalid = true;
        assert_eq!(line(&entry), "0123456789ab|web|--|-- / --|--|--|--|--\n");
        entry.put(&StatsResponse {
            id: "0123456789abcdef".into(),
            name: "/web".into(),
            ..StatsResponse::default()
        });
        assert_eq!(line(&entry), "0123456789ab|web|0.00%|0B / 0B|0.00%|0B / 0B|0B / 0B|0\n");
        assert_eq!(
            render(&LISTING, "json", vec![entry.row(false)]).unwrap(),
            "{\"BlockIO\":\"0B / 0B\",\"CPUPerc\":\"0.00%\",\"Container\":\"web\",\"ID\":\"0123456789abcdef\",\"MemPerc\":\"0.00%\",\
             \"MemUsage\":\"0B / 0B\",\"Name\":\"web\",\"NetIO\":\"0B / 0B\",\"PIDs\":\"0\"}\n"
        );
    }

    #[test]
    fn memory_is_reckoned_for_both_versions_of_cgroups() {
        let memory = |stats: &[(&str, u64)]| MemoryStats {
            usage: 100,
            stats: Counters(stats.iter().map(|(key, value)| ((*key).to_owned().into(), *value)).collect()),
            ..MemoryStats::default()
        };
        assert_eq!(memory_without_cache(&memory(&[("inactive_file", 10), ("total_inactive_file", 40)])), 60);
        assert_eq!(memory_without_cache(&memory(&[("inactive_file", 10)])), 90);
        assert_eq!(memory_without_cache(&memory(&[("inactive_file", 200)])), 100);
    }
}
