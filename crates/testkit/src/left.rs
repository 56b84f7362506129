//! What an engine that has ended left behind: of the machine, not of its own directory.

use std::path::Path;

use crate::place::Place;

/// Mounts below `directory`, containers' cgroups, interfaces on the bridge, and processes that have to do with it
/// (and with them the namespaces they hold). One line each.
pub(crate) fn left_over(directory: &Path, place: &Place, keeper: u32) -> Vec<String> {
    let here = directory.display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<String> =
        mounts.lines().filter(|line| line.contains(&here)).map(|line| format!("mount: {line}")).collect();
    for group in place.cgroups() {
        found.extend(names(&group).iter().filter(|name| group.join(name).is_dir()).map(|name| {
            let members = std::fs::read_to_string(group.join(name).join("cgroup.procs")).unwrap_or_default();
            format!(
                "cgroup: {}/{name} with {:?}",
                group.display(),
                members.split_whitespace().collect::<Vec<_>>()
            )
        }));
    }
    let ports = Path::new("/sys/class/net").join(&place.bridge).join("brif");
    found.extend(names(&ports).iter().map(|name| format!("interface: {name} on {}", place.bridge)));
    for name in names(Path::new("/proc")) {
        let Ok(pid) = name.parse::<u32>() else { continue };
        if pid != std::process::id() && pid != keeper && belongs(pid, &here) {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            found.push(format!("process {pid}: {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

/// Started with `directory` in its arguments or environment, or having a file open below it. A zombie, whose parent
/// has only to look, has neither.
fn belongs(pid: u32, directory: &str) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let says = |name: &str| {
        let text = std::fs::read(process.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(directory)
    };
    says("cmdline")
        || says("environ")
        || names(&process.join("fd")).iter().any(|fd| {
            let target = std::fs::read_link(process.join("fd").join(fd)).unwrap_or_default();
            target.starts_with(directory)
        })
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
