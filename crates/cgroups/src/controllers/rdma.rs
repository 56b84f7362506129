//! Handles and objects of RDMA devices.

use std::collections::BTreeMap;

use oci::runtime::Rdma;

use crate::directory::Directory;
use crate::stats::RdmaStats;
use crate::{Cgroup, Result};

pub(crate) fn apply(cgroup: &Cgroup, devices: &BTreeMap<String, Rdma>) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let (directory, _) = cgroup.require("rdma", || "an RDMA limit".to_owned())?;
    directory.write_each("rdma.max", devices.iter().map(|(name, limits)| line(name, limits)))
}

fn line(name: &str, limits: &Rdma) -> String {
    let mut line = name.to_owned();
    for (key, value) in [("hca_handle", limits.hca_handles), ("hca_object", limits.hca_objects)] {
        if let Some(value) = value {
            line.push_str(&format!(" {key}={value}"));
        }
    }
    line
}

/// `mlx4_0 hca_handle=2 hca_object=max` per line.
pub(crate) fn stats(directory: &Directory, file: &str) -> Result<Vec<RdmaStats>> {
    let text = directory.read_optional(file)?.unwrap_or_default();
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<RdmaStats> {
    let mut words = line.split_whitespace();
    let mut stats = RdmaStats { device: words.next()?.to_owned(), ..RdmaStats::default() };
    for word in words {
        let (key, value) = word.split_once('=')?;
        let value = if value == "max" { u32::MAX } else { value.parse().ok()? };
        match key {
            "hca_handle" => stats.hca_handles = value,
            "hca_object" => stats.hca_objects = value,
            _ => {}
        }
    }
    Some(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_usage_lines() {
        let limits = Rdma { hca_handles: Some(2), hca_objects: None };
        assert_eq!(line("mlx4_0", &limits), "mlx4_0 hca_handle=2");
        let read = parse("mlx4_0 hca_handle=2 hca_object=max").unwrap();
        assert_eq!((read.device.as_str(), read.hca_handles, read.hca_objects), ("mlx4_0", 2, u32::MAX));
    }
}
