//! `spec`: a configuration to begin with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use oci::runtime::LinuxSeccomp;
use serde_json::{Value, json};

use super::{Failure, Outcome, indented};
use crate::seccomp;

#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// Directory to write it in
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// For a container of an ordinary user
    #[arg(long)]
    rootless: bool,
    /// Filter system calls with this profile (Wharf's addition: runc has no such flag)
    #[arg(long, value_name = "PROFILE", value_parser = ["default"])]
    seccomp: Option<String>,
}

pub(super) fn spec(args: &SpecArgs) -> Outcome {
    let path = args.bundle.join("config.json");
    let mut config = example(args.rootless);
    // The parser knows one name, so there is one profile: Docker's, as the engine installs it.
    if args.seccomp.is_some() {
        config["linux"]["seccomp"] = serde_json::to_value(default_filter(&config)?)?;
    }
    let text = indented(&config, b"\t")?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure("File config.json exists. Remove it first".into()),
        _ => Failure(format!("{}: {error}", path.display())),
    })?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Docker's default profile, its conditions decided for the configuration's capabilities and this machine: a
/// bundle has no place for conditions.
fn default_filter(config: &Value) -> Result<LinuxSeccomp, Failure> {
    let bounding = config["process"]["capabilities"]["bounding"].as_array();
    let bounding: Vec<&str> = bounding.into_iter().flatten().filter_map(Value::as_str).collect();
    seccomp::default_profile()
        .resolve(&bounding, seccomp::Host::detect())
        .map_err(|error| Failure(format!("default seccomp profile: {error}")))
}

fn example(rootless: bool) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut namespaces = vec!["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
        json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"]}),
    ];
    let mut linux = json!({
        "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
            "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    });
    if rootless {
        namespaces.retain(|n| *n != "network");
        namespaces.push("user");
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
        linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
        mounts.push(json!({"destination": "/sys", "type": "none", "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]}));
    } else {
        if let Some(Value::Array(options)) = mounts[2].get_mut("options") {
            options.push("gid=5".into());
        }
        linux["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
        mounts.push(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]}));
        mounts.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}));
    }
    linux["namespaces"] = namespaces.iter().map(|n| json!({"type": n})).collect();
    json!({
        "ociVersion": oci::runtime::VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "runc",
        "mounts": mounts,
        "linux": linux,
    })
}

#[cfg(test)]
mod tests {
    use oci::runtime::Action;

    #[test]
    fn the_example_is_a_configuration() {
        for rootless in [false, true] {
            let spec: oci::runtime::Spec = serde_json::from_value(super::example(rootless)).unwrap();
            assert_eq!(spec.linux.unwrap().uid_mappings.is_empty(), !rootless);
        }
    }

    #[test]
    fn the_default_filter_is_decided_for_the_examples_capabilities() {
        let filter = super::default_filter(&super::example(false)).unwrap();
        let allows = |name: &str| {
            let mut rules = filter.syscalls.iter().filter(|rule| rule.action == Action::Allow);
            rules.any(|rule| rule.args.is_empty() && rule.names.iter().any(|n| n == name))
        };
        assert!(allows("execve"));
        // Only with CAP_SYS_BOOT.
        assert!(!allows("reboot"));
        // What is written can be read and compiled again.
        let text = serde_json::to_string(&filter).unwrap();
        let read: oci::runtime::LinuxSeccomp = serde_json::from_str(&text).unwrap();
        assert!(!crate::seccomp::compile(&read).unwrap().program().is_empty());
    }
}
