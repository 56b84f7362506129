//! What `info` and `version` show of the machine, with Docker's warnings. Reads a few files, changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use cgroups::{Layout, Version};
use serde::Serialize;

/// Facts that do not change while the engine runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub hostname: String,
    /// `6.1.0-13-amd64`
    pub kernel_version: String,
    /// `Debian GNU/Linux 12 (bookworm)`
    pub operating_system: String,
    /// `12`
    pub os_version: String,
    /// `x86_64`
    pub architecture: String,
    /// Processors this process may use.
    pub cpus: u32,
    pub memory_bytes: u64,
    /// `1` or `2`; empty without cgroups.
    pub cgroup_version: String,
    pub memory_limit: bool,
    pub memory_reservation: bool,
    pub memory_swappiness: bool,
    pub swap_limit: bool,
    pub oom_kill_disable: bool,
    pub cpu_cfs_period: bool,
    pub cpu_cfs_quota: bool,
    pub cpu_shares: bool,
    pub cpu_set: bool,
    pub pids_limit: bool,
    pub blkio_weight: bool,
    pub blkio_throttle: bool,
    /// Processors and memory nodes that are online: `0-3,5`.
    pub cpus_online: String,
    pub mems_online: String,
    pub ipv4_forwarding: bool,
    pub seccomp: bool,
    pub apparmor: bool,
    pub selinux: bool,
    pub cgroup_namespaces: bool,
    /// What Docker's `info` prints below everything else.
    pub warnings: Vec<String>,
}

impl Machine {
    /// Looks at this machine.
    pub fn detect() -> Self {
        let uname = rustix::system::uname();
        let text = |t: &std::ffi::CStr| t.to_string_lossy().into_owned();
        let (operating_system, os_version) =
            os_release(&read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default());
        let mut machine = Self {
            hostname: text(uname.nodename()),
            kernel_version: text(uname.release()),
            architecture: text(uname.machine()),
            operating_system,
            os_version,
            cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            memory_bytes: total_memory(&read("/proc/meminfo").unwrap_or_default()),
            ipv4_forwarding: read("/proc/sys/net/ipv4/ip_forward").is_some_and(|t| t.trim() == "1"),
            seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
            apparmor: read("/sys/module/apparmor/parameters/enabled").is_some_and(|t| t.trim() == "Y"),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            cpus_online: line("/sys/devices/system/cpu/online"),
            mems_online: line("/sys/devices/system/node/online"),
            cgroup_namespaces: Path::new("/proc/self/ns/cgroup").exists(),
            ..Self::default()
        };
        machine.look_at_cgroups();
        machine.warnings = machine.warn();
        machine
    }

    /// `name=seccomp,profile=builtin` and the like, as `info` lists them.
    pub fn security_options(&self) -> Vec<String> {
        let mut options = Vec::new();
        if self.apparmor {
            options.push("name=apparmor".to_owned());
        }
        if self.seccomp {
            options.push("name=seccomp,profile=builtin".to_owned());
        }
        if self.selinux {
            options.push("name=selinux".to_owned());
        }
        if self.cgroup_namespaces {
            options.push("name=cgroupns".to_owned());
        }
        options
    }

    fn look_at_cgroups(&mut self) {
        let Ok(found) = cgroups::machine() else { return };
        let v2 = found.layout() == Layout::Unified;
        self.cgroup_version = if v2 { "2" } else { "1" }.to_owned();
        let place = |controller: &str| -> Option<PathBuf> {
            let hierarchy = found.find(controller)?;
            (hierarchy.version() == if v2 { Version::V2 } else { Version::V1 })
                .then(|| hierarchy.mount_point().to_owned())
        };
        let has = |controller: &str, file: &str| place(controller).is_some_and(|p| p.join(file).exists());
        self.pids_limit = place("pids").is_some();
        self.cpu_set = place("cpuset").is_some();
        if v2 {
            // The root group has no limits to look at; the controller's presence says it, except for swap.
            self.memory_limit = place("memory").is_some();
            self.memory_reservation = self.memory_limit;
            self.swap_limit = self.memory_limit && v2_has_swap_limit(place("memory"));
            self.cpu_cfs_period = place("cpu").is_some();
            self.cpu_cfs_quota = self.cpu_cfs_period;
            self.cpu_shares = self.cpu_cfs_period;
            self.blkio_weight = place("io").is_some();
            self.blkio_throttle = self.blkio_weight;
        } else {
            self.memory_limit = has("memory", "memory.limit_in_bytes");
            self.memory_reservation = has("memory", "memory.soft_limit_in_bytes");
            self.memory_swappiness = has("memory", "memory.swappiness");
            self.swap_limit = has("memory", "memory.memsw.limit_in_bytes");
            self.oom_kill_disable = has("memory", "memory.oom_control");
            self.cpu_cfs_period = has("cpu", "cpu.cfs_period_us");
            self.cpu_cfs_quota = has("cpu", "cpu.cfs_quota_us");
            self.cpu_shares = has("cpu", "cpu.shares");
            self.blkio_weight = has("blkio", "blkio.weight") || has("blkio", "blkio.bfq.weight");
            self.blkio_throttle = has("blkio", "blkio.throttle.read_bps_device");
        }
    }

    /// Docker's texts.
    fn warn(&self) -> Vec<String> {
        let v1 = self.cgroup_version == "1";
        let mut warnings = Vec::new();
        let mut unless = |present: bool, text: &str| {
            if !present {
                warnings.push(format!("WARNING: {text}"));
            }
        };
        unless(self.memory_limit, "No memory limit support");
        unless(self.swap_limit, "No swap limit support");
        unless(self.oom_kill_disable || !v1, "No oom kill disable support");
        unless(self.cpu_cfs_quota, "No cpu cfs quota support");
        unless(self.cpu_cfs_period, "No cpu cfs period support");
        unless(self.cpu_shares, "No cpu shares support");
        unless(self.cpu_set, "No cpuset support");
        if v1 {
            unless(self.blkio_throttle, "No blkio throttle.read_bps_device support");
            unless(self.blkio_throttle, "No blkio throttle.write_bps_device support");
            unless(self.blkio_throttle, "No blkio throttle.read_iops_device support");
            unless(self.blkio_throttle, "No blkio throttle.write_iops_device support");
        } else {
            unless(self.blkio_weight, "No io.weight support");
            unless(self.blkio_weight, "No io.weight (per device) support");
            unless(self.blkio_throttle, "No io.max (rbps) support");
            unless(self.blkio_throttle, "No io.max (wbps) support");
            unless(self.blkio_throttle, "No io.max (riops) support");
            unless(self.blkio_throttle, "No io.max (wiops) support");
        }
        unless(self.ipv4_forwarding, "IPv4 forwarding is disabled");
        warnings
    }
}

fn line(path: &str) -> String {
    read(path).unwrap_or_default().trim().to_owned()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// A swap limit can be switched off in the kernel; then no group but the root has its file. Without any group to
/// look at, the kernel has it.
fn v2_has_swap_limit(root: Option<PathBuf>) -> bool {
    let own = read("/proc/self/cgroup").and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("0::"))
            .map(|path| path.trim_start_matches('/').to_owned())
    });
    match root.zip(own) {
        Some((root, own)) if !own.is_empty() => root.join(own).join("memory.swap.max").exists(),
        _ => Path::new("/proc/swaps").exists(),
    }
}

/// `PRETTY_NAME` and `VERSION_ID`, see `os-release(5)`.
fn os_release(text: &str) -> (String, String) {
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map(|v| v.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
    };
    let mut name = value("PRETTY_NAME");
    if name.is_empty() {
        "Linux".clone_into(&mut name);
    }
    (name, value("VERSION_ID"))
}

fn total_memory(meminfo: &str) -> u64 {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    kib.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read() {
        let text = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\n";
        assert_eq!(os_release(text), ("Debian GNU/Linux 12 (bookworm)".to_owned(), "12".to_owned()));
        assert_eq!(os_release(""), ("Linux".to_owned(), String::new()));
        assert_eq!(total_memory("MemFree: 1 kB\nMemTotal:       16 kB\n"), 16 * 1024);
    }

    #[test]
    fn warnings_are_docker_s() {
        let machine = Machine { cgroup_version: "1".into(), memory_limit: true, ..Machine::default() };
        let warnings = machine.warn();
        assert_eq!(warnings[0], "WARNING: No swap limit support");
        assert_eq!(warnings[1], "WARNING: No oom kill disable support");
        assert_eq!(warnings.last().unwrap(), "WARNING: IPv4 forwarding is disabled");
        let machine = Machine { cgroup_version: "2".into(), ..Machine::default() };
        assert!(machine.warn().contains(&"WARNING: No io.weight support".to_owned()));
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::detect();
        assert!(machine.cpus > 0 && machine.memory_bytes > 1 << 20);
        assert!(!machine.kernel_version.is_empty() && !machine.architecture.is_empty());
    }
}
