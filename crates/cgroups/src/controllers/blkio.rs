//! Block I/O: weights and throttles, for all devices or each. `blkio` in v1, `io` in v2; weights belong to
//! either the BFQ scheduler or, on old v1 kernels, CFQ, and on v2 to the cost model too.

use std::borrow::Cow;

use oci::runtime::{BlockIo, ThrottleDevice, WeightDevice};

use crate::directory::Directory;
use crate::stats::{BlkioEntry, BlkioStats};
use crate::{Cgroup, Result};

pub(crate) fn apply(cgroup: &Cgroup, io: &BlockIo) -> Result<()> {
    if *io == BlockIo::default() {
        return Ok(());
    }
    if let Some((directory, _)) = cgroup.controller("blkio") {
        return v1(directory, io);
    }
    let (directory, _) = cgroup.require("io", || "a block I/O limit".to_owned())?;
    v2(directory, io)
}

fn v1(directory: &Directory, io: &BlockIo) -> Result<()> {
    if io.weight.is_some_and(|w| w != 0) || !io.weight_device.is_empty() {
        let bfq = !directory.has("blkio.weight") && directory.has("blkio.bfq.weight");
        let (weight, weight_device) = if bfq {
            ("blkio.bfq.weight", "blkio.bfq.weight_device")
        } else {
            ("blkio.weight", "blkio.weight_device")
        };
        if let Some(value) = io.weight.filter(|w| *w != 0) {
            directory.write(weight, &value.to_string())?;
        }
        directory.write_each(weight_device, weights(&io.weight_device, |d| d.weight))?;
        directory.write_each("blkio.leaf_weight_device", weights(&io.weight_device, |d| d.leaf_weight))?;
    }
    if let Some(value) = io.leaf_weight.filter(|w| *w != 0) {
        directory.write("blkio.leaf_weight", &value.to_string())?;
    }
    let line = |d: &ThrottleDevice| format!("{}:{} {}", d.major, d.minor, d.rate);
    directory.write_each("blkio.throttle.read_bps_device", io.throttle_read_bps_device.iter().map(line))?;
    directory.write_each("blkio.throttle.write_bps_device", io.throttle_write_bps_device.iter().map(line))?;
    directory.write_each("blkio.throttle.read_iops_device", io.throttle_read_iops_device.iter().map(line))?;
    directory.write_each("blkio.throttle.write_iops_device", io.throttle_write_iops_device.iter().map(line))
}

fn v2(directory: &Directory, io: &BlockIo) -> Result<()> {
    if io.weight.is_some_and(|w| w != 0) || !io.weight_device.is_empty() {
        let bfq = directory.read_optional("io.bfq.weight")?;
        if let Some(value) = io.weight.filter(|w| *w != 0) {
            match bfq {
                Some(_) => directory.write("io.bfq.weight", &value.to_string())?,
                None => directory.write("io.weight", &format!("default {}", weight(value)))?,
            }
        }
        // A BFQ of before Linux 5.4 shows a bare number and knows no devices.
        match bfq {
            Some(text) if text.trim().parse::<u64>().is_err() => {
                directory.write_each("io.bfq.weight", weights(&io.weight_device, |d| d.weight))?;
            }
            Some(_) => {}
            None => {
                let lines = io.weight_device.iter().filter_map(|d| {
                    let value = d.weight.filter(|w| *w != 0)?;
                    Some(format!("{}:{} {}", d.major, d.minor, weight(value)))
                });
                directory.write_each("io.weight", lines)?;
            }
        }
    }
    directory.write_each("io.max", maxima(io))
}

/// `8:0 rbps=1048576`; what a line does not name is left alone.
fn maxima(io: &BlockIo) -> impl Iterator<Item = String> + '_ {
    [
        ("rbps", &io.throttle_read_bps_device),
        ("wbps", &io.throttle_write_bps_device),
        ("riops", &io.throttle_read_iops_device),
        ("wiops", &io.throttle_write_iops_device),
    ]
    .into_iter()
    .flat_map(|(key, devices)| {
        devices.iter().map(move |d| match d.rate {
            0 => format!("{}:{} {key}=max", d.major, d.minor),
            rate => format!("{}:{} {key}={rate}", d.major, d.minor),
        })
    })
}

fn weights(devices: &[WeightDevice], pick: impl Fn(&WeightDevice) -> Option<u16>) -> Vec<String> {
    devices
        .iter()
        .filter_map(|d| Some(format!("{}:{} {}", d.major, d.minor, pick(d).filter(|w| *w != 0)?)))
        .collect()
}

/// v1's 10 to 1000 as v2's 1 to 10000.
pub(crate) fn weight(v1: u16) -> u64 {
    match v1 {
        0 => 0,
        v1 => 1 + (u64::from(v1).max(10) - 10) * 9999 / 990,
    }
}

/// One list of v1's counters, and the files that may have it. What CFQ and BFQ count is finer; without them the
/// throttle layer counts.
pub(crate) type ListV1 = (fn(&mut BlkioStats) -> &mut Vec<BlkioEntry>, &'static [&'static str]);

pub(crate) const BYTES_V1: ListV1 = (
    |stats| &mut stats.service_bytes,
    &[
        "blkio.io_service_bytes_recursive",
        "blkio.bfq.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    ],
);

pub(crate) const OPERATIONS_V1: ListV1 = (
    |stats| &mut stats.serviced,
    &[
        "blkio.io_serviced_recursive",
        "blkio.bfq.io_serviced_recursive",
        "blkio.throttle.io_serviced_recursive",
        "blkio.throttle.io_serviced",
    ],
);

pub(crate) const OTHERS_V1: &[ListV1] = &[
    (|stats| &mut stats.queued, &["blkio.io_queued_recursive", "blkio.bfq.io_queued_recursive"]),
    (
        |stats| &mut stats.service_time,
        &["blkio.io_service_time_recursive", "blkio.bfq.io_service_time_recursive"],
    ),
    (|stats| &mut stats.wait_time, &["blkio.io_wait_time_recursive", "blkio.bfq.io_wait_time_recursive"]),
    (|stats| &mut stats.merged, &["blkio.io_merged_recursive", "blkio.bfq.io_merged_recursive"]),
    (|stats| &mut stats.time, &["blkio.time_recursive", "blkio.bfq.time_recursive"]),
    (|stats| &mut stats.sectors, &["blkio.sectors_recursive", "blkio.bfq.sectors_recursive"]),
];

pub(crate) fn stats_v1(directory: &Directory) -> Result<BlkioStats> {
    let mut stats = BlkioStats::default();
    for (list, names) in [BYTES_V1, OPERATIONS_V1].iter().chain(OTHERS_V1) {
        let entries = list(&mut stats);
        for name in *names {
            entries.extend(directory.read_optional(name)?.unwrap_or_default().lines().filter_map(entry_v1));
            if !entries.is_empty() {
                break;
            }
        }
    }
    Ok(stats)
}

/// `8:0 Read 1282048` or `8:0 6792`; the line `Total n` at the end counts nothing new.
pub(crate) fn entry_v1(line: &str) -> Option<BlkioEntry> {
    let mut words = line.split_whitespace();
    let (major, minor) = words.next()?.split_once(':')?;
    let (second, third) = (words.next()?, words.next());
    let (op, value) = match third {
        Some(value) => (second, value),
        None => ("", second),
    };
    Some(BlkioEntry {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        op: operation(op),
        value: value.parse().ok()?,
    })
}

/// As the kernel spells them. A reader once a second would otherwise make and drop a string for each number.
fn operation(text: &str) -> Cow<'static, str> {
    let known = ["", "Read", "Write", "Sync", "Async", "Discard"].into_iter().find(|known| *known == text);
    known.map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed)
}

pub(crate) fn stats_v2(directory: &Directory) -> Result<BlkioStats> {
    Ok(entries_v2(&directory.read_optional("io.stat")?.unwrap_or_default()))
}

/// `8:0 rbytes=180224 wbytes=0 rios=3 wios=0 dbytes=0 dios=0`, a line per device.
pub(crate) fn entries_v2(text: &str) -> BlkioStats {
    let mut stats = BlkioStats::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|d| d.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for word in words {
            let Some((key, value)) = word.split_once('=') else { continue };
            let Ok(value) = value.parse() else { continue };
            let (list, op) = match key {
                "rbytes" => (&mut stats.service_bytes, "Read"),
                "wbytes" => (&mut stats.service_bytes, "Write"),
                "dbytes" => (&mut stats.service_bytes, "Discard"),
                "rios" => (&mut stats.serviced, "Read"),
                "wios" => (&mut stats.serviced, "Write"),
                "dios" => (&mut stats.serviced, "Discard"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.into(), value });
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_cover_the_whole_v2_range() {
        assert_eq!([0, 10, 500, 1000].map(weight), [0, 1, 4950, 10_000]);
    }

    #[test]
    fn v1_lines() {
        assert_eq!(
            entry_v1("8:16 Write 77").unwrap(),
            BlkioEntry { major: 8, minor: 16, op: "Write".into(), value: 77 }
        );
        assert_eq!(entry_v1("8:0 6792").unwrap().value, 6792);
        assert_eq!(entry_v1("Total 0"), None);
    }

    #[test]
    fn io_max_lines() {
        let device = |rate| ThrottleDevice { major: 8, minor: 0, rate };
        let io = BlockIo {
            throttle_read_bps_device: vec![device(1 << 20)],
            throttle_write_iops_device: vec![device(0)],
            ..BlockIo::default()
        };
        assert_eq!(maxima(&io).collect::<Vec<_>>(), ["8:0 rbps=1048576", "8:0 wiops=max"]);
    }
}
