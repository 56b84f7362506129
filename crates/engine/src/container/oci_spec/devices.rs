//! Device nodes and who may use them.

use std::path::Path;

use oci::runtime as rt;
use rustix::fs::{FileType, Mode, lstat, major, minor, stat};

use crate::container::HostSpec;
use crate::error::{Error, Result};

pub(super) struct Plan {
    pub(super) nodes: Vec<rt::Device>,
    pub(super) rules: Vec<rt::DeviceRule>,
}

/// The runtime adds the standard nodes itself (null, zero, full, random, urandom, tty, ptmx and console).
pub(super) fn plan(host: &HostSpec) -> Result<Plan> {
    let mut nodes = Vec::new();
    if host.privileged {
        host_devices(Path::new("/dev"), &mut nodes);
        for mapping in host.resources.devices.iter().filter(|m| m.path_on_host != m.path_in_container) {
            from_path(&mapping.path_on_host, &mapping.path_in_container, &mut nodes)?;
        }
        let rules = vec![rt::DeviceRule { allow: true, access: "rwm".into(), ..rt::DeviceRule::default() }];
        return Ok(Plan { nodes, rules });
    }
    let rule = |allow, kind: &str, major: Option<i64>, minor: Option<i64>, access: &str| rt::DeviceRule {
        allow,
        kind: kind.into(),
        major,
        minor,
        access: access.into(),
    };
    let mut rules = vec![rule(false, "", None, None, "rwm")];
    // Any node may be made, as runc allows; opening is another matter.
    for kind in ["c", "b"] {
        rules.push(rule(true, kind, None, None, "m"));
    }
    // zero, null, full, urandom, random, tty, console, ptmx; everything else, fuse too, is denied above.
    for (major, minor) in [(1, 5), (1, 3), (1, 7), (1, 9), (1, 8), (5, 0), (5, 1), (5, 2)] {
        rules.push(rule(true, "c", Some(major), Some(minor), "rwm"));
    }
    // pseudo-terminals, whatever their number
    rules.push(rule(true, "c", Some(136), None, "rwm"));
    for mapping in &host.resources.devices {
        let target = if mapping.path_in_container.is_empty() {
            &mapping.path_on_host
        } else {
            &mapping.path_in_container
        };
        let access = if mapping.permissions.is_empty() { "rwm" } else { mapping.permissions.as_str() };
        if access.bytes().any(|letter| !b"rwm".contains(&letter)) {
            return Err(Error::invalid(format!("invalid device mode: {access}")));
        }
        let before = nodes.len();
        from_path(&mapping.path_on_host, target, &mut nodes)?;
        for node in &nodes[before..] {
            let kind = if node.kind == rt::DeviceType::Block { "b" } else { "c" };
            rules.push(rule(true, kind, Some(node.major), Some(node.minor), access));
        }
    }
    for text in &host.resources.device_cgroup_rules {
        rules.push(cgroup_rule(text)?);
    }
    Ok(Plan { nodes, rules })
}

/// `c 42:* rmw`
fn cgroup_rule(text: &str) -> Result<rt::DeviceRule> {
    let invalid = || Error::invalid(format!("invalid device cgroup rule format: '{text}'"));
    let words: Vec<&str> = text.split(' ').collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else { return Err(invalid()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let number = |word: &str| match word {
        "*" => Ok(None),
        digits => digits.parse::<u32>().map(|n| Some(i64::from(n))).map_err(|_| invalid()),
    };
    if access.is_empty() || access.len() > 3 || access.bytes().any(|letter| !b"rwm".contains(&letter)) {
        return Err(invalid());
    }
    Ok(rt::DeviceRule {
        allow: true,
        kind: kind.into(),
        major: number(major)?,
        minor: number(minor)?,
        access: access.into(),
    })
}

/// One device, or all devices below a directory.
fn from_path(host: &str, container: &str, nodes: &mut Vec<rt::Device>) -> Result<()> {
    let status = stat(host).map_err(|error| {
        Error::invalid(format!(
            "error gathering device information while adding custom device \"{host}\": {error}"
        ))
    })?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => {
            for entry in std::fs::read_dir(host).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let (from, to) = (Path::new(host).join(&name), Path::new(container).join(&name));
                let (Some(from), Some(to)) = (from.to_str(), to.to_str()) else { continue };
                // What is no device below it is passed over.
                let _ = from_path(from, to, nodes);
            }
            Ok(())
        }
        _ => {
            let node = node(&status, container).ok_or_else(|| {
                Error::invalid(format!(
                    "error gathering device information while adding custom device \"{host}\": not a device node"
                ))
            })?;
            nodes.push(node);
            Ok(())
        }
    }
}

fn node(status: &rustix::fs::Stat, path: &str) -> Option<rt::Device> {
    let kind = match FileType::from_raw_mode(status.st_mode) {
        FileType::CharacterDevice => rt::DeviceType::Char,
        FileType::BlockDevice => rt::DeviceType::Block,
        FileType::Fifo => rt::DeviceType::Fifo,
        _ => return None,
    };
    Some(rt::Device {
        kind,
        path: path.to_owned(),
        major: i64::from(major(status.st_rdev)),
        minor: i64::from(minor(status.st_rdev)),
        file_mode: Some(Mode::from_raw_mode(status.st_mode).bits()),
        uid: Some(status.st_uid),
        gid: Some(status.st_gid),
    })
}

/// All of the host's, but for what every container has of its own.
fn host_devices(directory: &Path, nodes: &mut Vec<rt::Device>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        // No symbolic links: /dev/fd and friends.
        let Ok(status) = lstat(&path) else { continue };
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            if !matches!(&*name, "pts" | "shm" | "fd" | "mqueue" | ".lxc" | ".lxd-mounts" | ".udev") {
                host_devices(&path, nodes);
            }
            continue;
        }
        if name == "console" {
            continue;
        }
        if let Some(node) = path.to_str().and_then(|path| node(&status, path))
            && node.kind != rt::DeviceType::Fifo
        {
            nodes.push(node);
        }
    }
}
