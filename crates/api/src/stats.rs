//! `GET /containers/{id}/stats`: one sample. Windows' fields of the definition are never filled and so not here, but for
//! those that Docker prints on Linux, too.

use crate::go;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sample, with the processor time of the one before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsResponse {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub id: String,
    /// With its slash.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub name: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub os_type: Cow<'static, str>,
    pub read: String,
    pub cpu_stats: CpuStats,
    pub memory_stats: MemoryStats,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub networks: BTreeMap<String, NetworkStats>,
    pub pids_stats: PidsStats,
    pub blkio_stats: BlkioStats,
    pub num_procs: u32,
    pub storage_stats: StorageStats,
    pub preread: String,
    pub precpu_stats: CpuStats,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    pub cpu_usage: CpuUsage,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub system_cpu_usage: u64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub online_cpus: u32,
    pub throttling_data: ThrottlingData,
}

/// Nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    pub total_usage: u64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub percpu_usage: Vec<u64>,
    pub usage_in_kernelmode: u64,
    pub usage_in_usermode: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThrottlingData {
    pub periods: u64,
    pub throttled_periods: u64,
    /// Nanoseconds.
    pub throttled_time: u64,
}

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub max_usage: u64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub stats: Counters,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub failcnt: u64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub limit: u64,
}

/// Numbers by name, sorted. Of each container there are dozens a second: one piece of memory, not a tree, and the same one
/// for as long as they are what they were.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters(pub Arc<[(Cow<'static, str>, u64)]>);

impl Counters {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        let at = self.0.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        Some(self.0[at].1)
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, number)| (name, number)))
    }
}

impl<'de> Deserialize<'de> for Counters {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let numbers = BTreeMap::<Cow<'static, str>, u64>::deserialize(from)?;
        Ok(Self(numbers.into_iter().collect()))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStats {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PidsStats {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub current: u64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub limit: u64,
}

/// `None` is Go's nil, which differs from an empty list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioStats {
    pub io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
    pub io_serviced_recursive: Option<Vec<BlkioEntry>>,
    pub io_queue_recursive: Option<Vec<BlkioEntry>>,
    pub io_service_time_recursive: Option<Vec<BlkioEntry>>,
    pub io_wait_time_recursive: Option<Vec<BlkioEntry>>,
    pub io_merged_recursive: Option<Vec<BlkioEntry>>,
    pub io_time_recursive: Option<Vec<BlkioEntry>>,
    pub sectors_recursive: Option<Vec<BlkioEntry>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioEntry {
    pub major: u64,
    pub minor: u64,
    pub op: Cow<'static, str>,
    pub value: u64,
}

/// Of Windows; an empty object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageStats {}
