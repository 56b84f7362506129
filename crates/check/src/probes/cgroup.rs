//! Control groups and their controllers.

use cgroups::Layout;

use crate::machine::Machine;
use crate::report::{Finding, Group, Status};

pub(super) fn probe(machine: &Machine) -> Vec<Finding> {
    let found = cgroups::machine();
    let mounted = match &found {
        Ok(found) => Ok(match found.layout() {
            Layout::Legacy => "version 1".to_owned(),
            Layout::Hybrid => "version 1, with an additional version 2 tree".to_owned(),
            Layout::Unified => "version 2".to_owned(),
        }),
        Err(e) => Err(e.to_string()),
    };
    let remedy = "mount -t cgroup2 none /sys/fs/cgroup (systemd does that)";
    let mut findings = vec![Finding::of(Group::Cgroups, "hierarchy", mounted, Status::Fatal, remedy)];
    let Ok(found) = found else { return findings };
    let v2 = machine.cgroup_version == "2";
    let controllers: &[(&'static str, &str)] = &[
        ("memory", "--memory"),
        ("cpu", "--cpus and --cpu-shares"),
        ("cpuset", "--cpuset-cpus"),
        ("pids", "--pids-limit"),
        (if v2 { "io" } else { "blkio" }, "--blkio-weight and --device-read-bps"),
        ("hugetlb", "limits of huge pages"),
    ];
    findings.extend(controllers.iter().map(|(name, flags)| {
        let result = match found.find(name) {
            Some(hierarchy) => Ok(hierarchy.mount_point().display().to_string()),
            None => Err(format!("not available: {flags} cannot be had")),
        };
        let remedy = match *name {
            "memory" => "boot with cgroup_enable=memory",
            _ => "mount the controller, or use a kernel that has it",
        };
        Finding::of(Group::Cgroups, name, result, Status::Missing, remedy)
    }));
    if !v2 {
        let freezer = match found.find("freezer") {
            Some(_) => Ok(String::new()),
            None => Err("not available: pause cannot be had".to_owned()),
        };
        findings.push(Finding::of(
            Group::Cgroups,
            "freezer",
            freezer,
            Status::Missing,
            "mount the freezer controller",
        ));
        let devices = match found.find("devices") {
            Some(_) => Ok(String::new()),
            None => Err("not available: devices are guarded by capabilities only".to_owned()),
        };
        findings.push(Finding::of(
            Group::Cgroups,
            "devices",
            devices,
            Status::Missing,
            "mount the devices controller",
        ));
    }
    let swap = if machine.swap_limit { Ok(String::new()) } else { Err("no swap limit support".to_owned()) };
    findings.push(Finding::of(
        Group::Cgroups,
        "swap limit",
        swap,
        Status::Missing,
        "boot with swapaccount=1",
    ));
    findings
}
