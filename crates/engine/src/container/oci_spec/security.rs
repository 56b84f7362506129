//! Capabilities, `--security-opt`, masked and read-only paths.

use oci::runtime::CAPABILITY_NAMES;

use crate::container::HostSpec;
use crate::error::{Error, Result};
use crate::settings::SeccompSetting;

const DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What the engine itself may pass on: its bounding set.
fn available() -> &'static [&'static str] {
    static AVAILABLE: std::sync::OnceLock<Vec<&'static str>> = std::sync::OnceLock::new();
    AVAILABLE.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bounding = status
            .lines()
            .find_map(|line| line.strip_prefix("CapBnd:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or(u64::MAX);
        CAPABILITY_NAMES
            .iter()
            .enumerate()
            .filter(|(bit, _)| bounding >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect()
    })
}

/// `--cap-add`, `--cap-drop`, `--privileged` over the fourteen.
pub(crate) fn capabilities(host: &HostSpec) -> Result<Vec<String>> {
    let names = |list: &[String]| -> Result<Vec<String>> {
        list.iter()
            .map(|text| {
                let upper = text.to_ascii_uppercase();
                let name = match upper.as_str() {
                    "ALL" => return Ok(upper),
                    name if name.starts_with("CAP_") => upper,
                    name => format!("CAP_{name}"),
                };
                match CAPABILITY_NAMES.contains(&name.as_str()) {
                    true => Ok(name),
                    false => {
                        Err(Error::invalid(format!("invalid capability: unknown capability: \"{name}\"")))
                    }
                }
            })
            .collect()
    };
    let (add, drop) = (names(&host.cap_add)?, names(&host.cap_drop)?);
    let all = || available().iter().copied();
    if host.privileged {
        return Ok(all().map(str::to_owned).collect());
    }
    let has = |list: &[String], name: &str| list.iter().any(|n| n == name);
    let (add_all, drop_all) = (has(&add, "ALL"), has(&drop, "ALL"));
    let kept = |name: &&str| match (add_all, drop_all) {
        (true, _) => !has(&drop, name) && !drop_all || has(&add, name),
        (false, true) => has(&add, name),
        (false, false) => (DEFAULT.contains(name) || has(&add, name)) && !has(&drop, name),
    };
    // Docker: `--cap-drop ALL --cap-add ALL` is all.
    if add_all && drop_all {
        return Ok(all().map(str::to_owned).collect());
    }
    for name in add.iter().filter(|name| *name != "ALL") {
        if !available().contains(&name.as_str()) {
            return Err(Error::invalid(format!("invalid capability: {name} is not available to the engine")));
        }
    }
    // The defaults in their order, as inspect and the runtime show them; then what was added.
    let defaults = DEFAULT.iter().copied().filter(|name| available().contains(name));
    let rest = all().filter(|name| !DEFAULT.contains(name));
    Ok(defaults.chain(rest).filter(kept).map(str::to_owned).collect())
}

/// `--security-opt`, parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SecurityOptions {
    pub(crate) no_new_privileges: Option<bool>,
    pub(crate) seccomp: Option<SeccompSetting>,
    pub(crate) apparmor: Option<String>,
    pub(crate) label_disabled: bool,
    pub(crate) systempaths_unconfined: bool,
    pub(crate) writable_cgroups: Option<bool>,
}

pub(crate) fn security_options(host: &HostSpec) -> Result<SecurityOptions> {
    let mut parsed = SecurityOptions::default();
    for option in &host.security_opt {
        let (key, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
            Some(pair) => pair,
            None => (option.as_str(), ""),
        };
        let bad = || Error::invalid(format!("invalid --security-opt 2: \"{option}\""));
        let flag = |value: &str| match value {
            "" | "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(bad()),
        };
        match (key, value) {
            ("no-new-privileges", value) => parsed.no_new_privileges = Some(flag(value)?),
            ("writable-cgroups", value) => parsed.writable_cgroups = Some(flag(value)?),
            ("seccomp", "unconfined") => parsed.seccomp = Some(SeccompSetting::Unconfined),
            ("seccomp", "builtin") => parsed.seccomp = Some(SeccompSetting::Builtin),
            // The client sends the profile's text.
            ("seccomp", text) if text.trim_start().starts_with('{') => {
                parsed.seccomp = Some(SeccompSetting::Profile(text.to_owned()));
            }
            ("seccomp", text) => {
                return Err(Error::invalid(format!(
                    "Decoding seccomp profile failed: \"{text}\" is no JSON object"
                )));
            }
            ("apparmor", "unconfined" | "") => parsed.apparmor = None,
            ("apparmor", profile) => {
                if !std::path::Path::new("/sys/kernel/security/apparmor").exists() {
                    return Err(Error::invalid(format!(
                        "AppArmor is not enabled on this host, cannot use profile {profile}"
                    )));
                }
                parsed.apparmor = Some(profile.to_owned());
            }
            ("label", "disable") => parsed.label_disabled = true,
            // Labels are of no effect where SELinux is off, as in Docker.
            ("label", _) if !std::path::Path::new("/sys/fs/selinux/enforce").exists() => {}
            ("label", _) => return Err(Error::unsupported("SELinux labels are not built yet")),
            ("systempaths", "unconfined") => parsed.systempaths_unconfined = true,
            _ => return Err(bad()),
        }
    }
    Ok(parsed)
}

/// Docker's list. `thermal_throttle` of each processor belongs to it where it exists.
pub(crate) fn masked_paths() -> Vec<String> {
    static PATHS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    PATHS
        .get_or_init(|| {
            let mut paths: Vec<String> = [
                "/proc/acpi",
                "/proc/asound",
                "/proc/interrupts",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/sys/devices/virtual/powercap",
                "/sys/firmware",
            ]
            .map(str::to_owned)
            .to_vec();
            for entry in std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten() {
                let path = entry.path().join("thermal_throttle");
                if path.exists() {
                    paths.push(path.to_string_lossy().into_owned());
                }
            }
            paths
        })
        .clone()
}

pub(crate) fn readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(add: &[&str], drop: &[&str]) -> HostSpec {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        HostSpec { cap_add: strings(add), cap_drop: strings(drop), ..HostSpec::default() }
    }

    #[test]
    fn fourteen_by_default_and_changed_as_asked() {
        assert_eq!(capabilities(&host(&[], &[])).unwrap().len(), 14);
        assert_eq!(capabilities(&host(&["chown"], &["ALL"])).unwrap(), ["CAP_CHOWN"]);
        assert!(capabilities(&host(&[], &["all"])).unwrap().is_empty());
        let all_but_one = capabilities(&host(&["ALL"], &["CAP_MKNOD"])).unwrap();
        assert_eq!(all_but_one.len() + 1, available().len());
        let error = capabilities(&host(&["nope"], &[])).unwrap_err();
        assert_eq!(error.message, "invalid capability: unknown capability: \"CAP_NOPE\"");
    }

    #[test]
    fn security_options_are_parsed_or_refused() {
        let parse = |text: &str| {
            security_options(&HostSpec { security_opt: vec![text.into()], ..HostSpec::default() })
        };
        assert_eq!(parse("no-new-privileges").unwrap().no_new_privileges, Some(true));
        assert_eq!(parse("no-new-privileges=false").unwrap().no_new_privileges, Some(false));
        assert_eq!(parse("seccomp=unconfined").unwrap().seccomp, Some(SeccompSetting::Unconfined));
        assert!(parse("seccomp=/no/file").is_err());
        assert!(parse("what=ever").is_err());
    }
}
