//! Limits: what no machine can do is refused, what this one cannot is discarded with a warning, both in Docker's words
//! (`verifyPlatformContainerResources`).

use super::Resources;
use crate::error::{Error, Result};

/// Smallest memory limit Docker takes.
const MEMORY_MIN_BYTES: i64 = 6 << 20;

/// What the machine's kernel and mounted controllers can limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub memory: bool,
    pub memory_reservation: bool,
    pub memory_swappiness: bool,
    pub swap: bool,
    pub oom_kill_disable: bool,
    pub pids: bool,
    pub cpu_cfs: bool,
    pub cpu_shares: bool,
    pub cpuset: bool,
    pub blkio_weight: bool,
    pub blkio_throttle: bool,
    /// Processors that are online, as the kernel lists them: `0-3,5`. Empty: not known.
    pub cpus: String,
    /// Memory nodes, likewise.
    pub mems: String,
}

impl Default for Limits {
    /// Everything: the kernel will say what it thinks of it.
    fn default() -> Self {
        Self {
            memory: true,
            memory_reservation: true,
            memory_swappiness: true,
            swap: true,
            oom_kill_disable: true,
            pids: true,
            cpu_cfs: true,
            cpu_shares: true,
            cpuset: true,
            blkio_weight: true,
            blkio_throttle: true,
            cpus: String::new(),
            mems: String::new(),
        }
    }
}

/// Of a change: what is not said stays as it is, so that nothing is filled in.
pub(crate) fn check_change(r: &mut Resources, offered: &Limits, warnings: &mut Vec<String>) -> Result<()> {
    memory(r, offered, warnings)?;
    cpu(r, offered, warnings)?;
    cpuset(r, offered, warnings)?;
    blkio(r, offered, warnings)
}

pub(super) fn check(r: &mut Resources, offered: &Limits, warnings: &mut Vec<String>) -> Result<()> {
    // A change may say it of memory that is limited already.
    if r.memory_bytes == 0 && r.memory_swap_bytes > 0 {
        return invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    check_change(r, offered, warnings)?;
    if r.memory_bytes > 0 && r.memory_swap_bytes == 0 {
        // As much swap again, and inspect shows it.
        r.memory_swap_bytes = r.memory_bytes.saturating_mul(2);
    }
    for ulimit in &r.ulimits {
        super::oci_spec::rlimit(ulimit)?;
    }
    Ok(())
}

fn invalid<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::invalid(text.into()))
}

fn memory(r: &mut Resources, offered: &Limits, warnings: &mut Vec<String>) -> Result<()> {
    let mut warn = |what: &str| warnings.push(format!("Your kernel does not support {what}"));
    if r.memory_swappiness == Some(-1) {
        r.memory_swappiness = None;
    }
    if r.memory_bytes != 0 && r.memory_bytes < MEMORY_MIN_BYTES {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if r.memory_bytes > 0 && !offered.memory {
        warn("memory limit capabilities or the cgroup is not mounted. Limitation discarded.");
        r.memory_bytes = 0;
        r.memory_swap_bytes = -1;
    }
    if r.memory_bytes > 0 && r.memory_swap_bytes != -1 && !offered.swap {
        warn("swap limit capabilities or the cgroup is not mounted. Memory limited without swap.");
        r.memory_swap_bytes = -1;
    }
    if r.memory_bytes > 0 && r.memory_swap_bytes > 0 && r.memory_swap_bytes < r.memory_bytes {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if r.memory_swappiness.is_some() && !offered.memory_swappiness {
        warn("memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.");
        r.memory_swappiness = None;
    }
    if let Some(value) = r.memory_swappiness.filter(|value| !(0..=100).contains(value)) {
        return invalid(format!("Invalid value: {value}, valid memory swappiness range is 0-100"));
    }
    if r.memory_reservation_bytes > 0 && !offered.memory_reservation {
        warn("memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.");
        r.memory_reservation_bytes = 0;
    }
    if r.memory_reservation_bytes != 0 && r.memory_reservation_bytes < MEMORY_MIN_BYTES {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if r.memory_bytes > 0 && r.memory_reservation_bytes > 0 && r.memory_bytes < r.memory_reservation_bytes {
        return invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if !offered.oom_kill_disable && r.oom_kill_disable.take() == Some(true) {
        warn("OomKillDisable. OomKillDisable discarded.");
    }
    if r.oom_kill_disable == Some(true) && r.memory_bytes == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system \
             running out of resources."
                .into(),
        );
    }
    if !offered.pids && r.pids_limit.take().is_some_and(|limit| limit > 0) {
        warnings.push(
            "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded."
                .into(),
        );
    }
    Ok(())
}

fn cpu(r: &mut Resources, offered: &Limits, warnings: &mut Vec<String>) -> Result<()> {
    let mut warn = |what: &str| warnings.push(format!("Your kernel does not support {what}"));
    if r.nano_cpus > 0 && r.cpu_period_us > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if r.nano_cpus > 0 && r.cpu_quota_us > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    if r.nano_cpus > 0 && !offered.cpu_cfs {
        return invalid(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        );
    }
    // Looked up only for who asks: it reads the engine's own cgroup's files.
    if r.nano_cpus != 0 {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as i64;
        if r.nano_cpus < 0 || r.nano_cpus > cpus * 1_000_000_000 {
            return invalid(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            ));
        }
    }
    if r.cpu_shares < 0 {
        return invalid(format!("shares must be greater than or equal to 0: {}", r.cpu_shares));
    }
    if r.cpu_shares > 0 && !offered.cpu_shares {
        warn("CPU shares or the cgroup is not mounted. Shares discarded.");
        r.cpu_shares = 0;
    }
    if (r.cpu_period_us != 0 || r.cpu_quota_us != 0) && !offered.cpu_cfs {
        warn("CPU CFS scheduler. CPU period/quota discarded.");
        (r.cpu_period_us, r.cpu_quota_us) = (0, 0);
    }
    if r.cpu_period_us != 0 && !(1000..=1_000_000).contains(&r.cpu_period_us) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if r.cpu_quota_us > 0 && r.cpu_quota_us < 1000 {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    Ok(())
}

fn cpuset(r: &mut Resources, offered: &Limits, warnings: &mut Vec<String>) -> Result<()> {
    if (!r.cpuset_cpus.is_empty() || !r.cpuset_mems.is_empty()) && !offered.cpuset {
        warnings.push(
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.".into(),
        );
        r.cpuset_cpus.clear();
        r.cpuset_mems.clear();
    }
    for (asked, offered, what, things) in [
        (&r.cpuset_cpus, &offered.cpus, "cpuset cpus", "CPUs"),
        (&r.cpuset_mems, &offered.mems, "cpuset mems", "memory nodes"),
    ] {
        let Some(wanted) = ranges(asked) else {
            return invalid(format!("Invalid value {asked} for {what}"));
        };
        let there = ranges(offered).unwrap_or_default();
        let is_there = |number: u32| there.iter().any(|(first, last)| (*first..=*last).contains(&number));
        let mut all = wanted.into_iter().flat_map(|(first, last)| first..=last);
        if !there.is_empty() && !all.all(is_there) {
            return invalid(format!(
                "Requested {things} are not available - requested {asked}, available: {offered}"
            ));
        }
    }
    Ok(())
}

/// `0-3,5`; the numbers are bounded, since all of them are looked at. `None`: it cannot be read.
fn ranges(list: &str) -> Option<Vec<(u32, u32)>> {
    const NUMBER_MAX: u32 = 8192;
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= NUMBER_MAX);
    let words = list.trim().split(',').filter(|_| !list.trim().is_empty());
    words
        .map(|word| match word.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)).filter(|(first, last)| first <= last),
            None => number(word).map(|one| (one, one)),
        })
        .collect()
}

fn blkio(r: &mut Resources, offered: &Limits, warnings: &mut Vec<String>) -> Result<()> {
    let mut warn = |what: &str| warnings.push(format!("Your kernel does not support {what}"));
    if r.blkio_weight > 0 && !offered.blkio_weight {
        warn("Block I/O weight or the cgroup is not mounted. Weight discarded.");
        r.blkio_weight = 0;
    }
    if r.blkio_weight > 0 && !(10..=1000).contains(&r.blkio_weight) {
        return invalid("Range of blkio weight is from 10 to 1000");
    }
    if !r.blkio_weight_device.is_empty() && !offered.blkio_weight {
        warn("Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.");
        r.blkio_weight_device.clear();
    }
    for (limits, what, word) in [
        (&mut r.blkio_read_bps, "BPS Block I/O read limit", "Block I/O BPS read limit"),
        (&mut r.blkio_write_bps, "BPS Block I/O write limit", "Block I/O BPS write limit"),
        (&mut r.blkio_read_iops, "IOPS Block read limit", "Block I/O IOPS read limit"),
        (&mut r.blkio_write_iops, "IOPS Block write limit", "Block I/O IOPS write limit"),
    ] {
        if !limits.is_empty() && !offered.blkio_throttle {
            warn(&format!("{what} or the cgroup is not mounted. {word} discarded."));
            limits.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Limits {
        Limits {
            memory: false,
            memory_reservation: false,
            memory_swappiness: false,
            swap: false,
            oom_kill_disable: false,
            pids: false,
            cpu_cfs: false,
            cpu_shares: false,
            cpuset: false,
            blkio_weight: false,
            blkio_throttle: false,
            cpus: String::new(),
            mems: String::new(),
        }
    }

    #[test]
    fn what_the_machine_cannot_is_discarded_and_told() {
        let asked = Resources {
            memory_bytes: 64 << 20,
            memory_reservation_bytes: 32 << 20,
            memory_swappiness: Some(5),
            memory_swap_bytes: 128 << 20,
            oom_kill_disable: Some(true),
            pids_limit: Some(7),
            cpu_shares: 5,
            cpu_quota_us: 5000,
            cpuset_cpus: "0".into(),
            blkio_weight: 500,
            ..Resources::default()
        };
        let (mut kept, mut warnings) = (asked.clone(), Vec::new());
        check(&mut kept, &Limits::default(), &mut warnings).unwrap();
        assert_eq!((&kept, warnings.len()), (&asked, 0));
        check(&mut kept, &nothing(), &mut warnings).unwrap();
        assert_eq!(kept, Resources { memory_swap_bytes: -1, ..Resources::default() });
        assert_eq!(warnings.len(), 9, "{warnings:?}");
        assert_eq!(
            warnings[0],
            "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded."
        );
        // Said to be unlimited: nothing is lost.
        let mut unlimited =
            Resources { pids_limit: Some(-1), oom_kill_disable: Some(false), ..Resources::default() };
        warnings.clear();
        check(&mut unlimited, &nothing(), &mut warnings).unwrap();
        assert_eq!((unlimited, warnings.len()), (Resources::default(), 0));
        let mut cpus = Resources { nano_cpus: 500_000_000, ..Resources::default() };
        check(&mut cpus, &nothing(), &mut warnings).unwrap_err();
    }

    #[test]
    fn processors_that_are_not_there_are_refused() {
        let offered = Limits { cpus: "0-3,5\n".trim().into(), mems: "0".into(), ..Limits::default() };
        for (cpus, error) in [
            ("0", ""),
            ("0-3,5", ""),
            ("4", "Requested CPUs are not available - requested 4, available: 0-3,5"),
            ("3-5", "Requested CPUs are not available - requested 3-5, available: 0-3,5"),
            ("x", "Invalid value x for cpuset cpus"),
            ("3-1", "Invalid value 3-1 for cpuset cpus"),
            ("0,", "Invalid value 0, for cpuset cpus"),
            ("0-4294967295", "Invalid value 0-4294967295 for cpuset cpus"),
        ] {
            let mut asked = Resources { cpuset_cpus: cpus.into(), ..Resources::default() };
            let said = check(&mut asked, &offered, &mut Vec::new());
            assert_eq!(said.err().map(|error| error.message).unwrap_or_default(), error, "{cpus}");
        }
    }
}
