//! The mount list: Docker's seven, the three files, then what the user mounts, outer before inner.

use std::collections::BTreeMap;

use oci::runtime as rt;

use super::{Joined, SecurityOptions};
use crate::container::files::Files;
use crate::container::mounts::spec_of;
use crate::container::{HostSpec, IpcMode, MountKind, MountPoint, MountSpec};
use crate::error::{Error, Result};
use crate::records::Record;
use crate::settings::Settings;

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> rt::Mount {
    rt::Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: source.into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..rt::Mount::default()
    }
}

pub(super) fn mounts(
    settings: &Settings,
    record: &Record,
    files: &Files,
    joined: &Joined,
    security: &SecurityOptions,
    volumes: &BTreeMap<String, VolumeSource>,
    linux: &mut rt::Linux,
) -> Result<Vec<rt::Mount>> {
    let host = &record.spec.host;
    let mut user = user_mounts(record, volumes, linux)?;
    let taken = |destination: &str, user: &[rt::Mount]| user.iter().any(|m| m.destination == destination);

    for (path, destination) in [
        (&files.resolv_conf, "/etc/resolv.conf"),
        (&files.hostname, "/etc/hostname"),
        (&files.hosts, "/etc/hosts"),
    ] {
        if !taken(destination, &user) {
            user.push(mount(destination, "bind", &path.to_string_lossy(), &["rbind", "rprivate"]));
        }
    }
    let shm_size = if host.shm_size_bytes == 0 { settings.shm_size_bytes } else { host.shm_size_bytes };
    let ipc =
        if host.ipc_mode == IpcMode::Default { settings.ipc_mode.clone() } else { host.ipc_mode.clone() };
    let shm = match &ipc {
        IpcMode::None => None,
        IpcMode::Host => Some(mount("/dev/shm", "bind", "/dev/shm", &["rbind", "rprivate"])),
        IpcMode::Container(_) => {
            let pid = joined.ipc.as_ref().map_or(0, |other| other.state.pid);
            let source = format!("/proc/{pid}/root/dev/shm");
            Some(mount("/dev/shm", "bind", &source, &["rbind", "rprivate"]))
        }
        IpcMode::Default | IpcMode::Private | IpcMode::Shareable => {
            let size = format!("size={shm_size}");
            Some(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]))
        }
    };
    let writable_cgroups = security.writable_cgroups.unwrap_or(host.privileged);
    let cgroup: &[&str] = match writable_cgroups {
        true => &["nosuid", "noexec", "nodev"],
        false => &["ro", "nosuid", "noexec", "nodev"],
    };
    let sys: &[&str] = match host.privileged {
        true => &["nosuid", "noexec", "nodev"],
        false => &["nosuid", "noexec", "nodev", "ro"],
    };
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let mut list = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/sys", "sysfs", "sysfs", sys),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", cgroup),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    list.extend(shm);
    let own_dev = taken("/dev", &user);
    list.retain(|m| !(taken(&m.destination, &user) || own_dev && m.destination.starts_with("/dev/")));
    if host.readonly_rootfs {
        for m in &mut list {
            let stays =
                matches!(m.destination.as_str(), "/proc" | "/dev/pts" | "/dev/shm" | "/dev/mqueue" | "/dev");
            if !stays && !m.options.iter().any(|option| option == "ro") {
                m.options.push("ro".into());
            }
        }
    }
    // Outer mounts come before those inside them.
    user.sort_by_key(|m| (m.destination.matches('/').count(), m.destination.clone()));
    list.extend(user);
    Ok(list)
}

fn user_mounts(
    record: &Record,
    volumes: &BTreeMap<String, VolumeSource>,
    linux: &mut rt::Linux,
) -> Result<Vec<rt::Mount>> {
    let host = &record.spec.host;
    let mut list = listed(host, &record.mounts, volumes, linux)?;
    for (target, options) in &host.tmpfs {
        let destination = crate::container::mounts::clean(target).unwrap_or_else(|| target.clone());
        let words = options.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        list.push(rt::Mount {
            destination,
            kind: "tmpfs".into(),
            source: "tmpfs".into(),
            options: tmpfs_options(words),
            ..rt::Mount::default()
        });
    }
    Ok(list)
}

fn listed(
    host: &HostSpec,
    points: &[MountPoint],
    volumes: &BTreeMap<String, VolumeSource>,
    linux: &mut rt::Linux,
) -> Result<Vec<rt::Mount>> {
    let mut list = Vec::new();
    for point in points {
        let spec = point.spec.clone().or_else(|| spec_of(host, &point.destination));
        list.push(match point.kind.as_str() {
            "tmpfs" => tmpfs(point, spec.as_ref()),
            "image" | "container" => image(point, spec.as_ref()),
            "volume" => volume(point, spec.as_ref(), volumes.get(&point.name)),
            _ => bind(point, spec.as_ref(), linux)?,
        });
    }
    Ok(list)
}

/// For a container that runs: these alone, outer before inner.
pub(crate) fn of_points(
    host: &HostSpec,
    points: &[MountPoint],
    volumes: &BTreeMap<String, VolumeSource>,
) -> Result<Vec<rt::Mount>> {
    // How the root passes mounts on was settled when it was made.
    let mut list = listed(host, points, volumes, &mut rt::Linux::default())?;
    list.sort_by_key(|m| (m.destination.matches('/').count(), m.destination.clone()));
    Ok(list)
}

fn bind(point: &MountPoint, spec: Option<&MountSpec>, linux: &mut rt::Linux) -> Result<rt::Mount> {
    if !std::path::Path::new(&point.source).exists() {
        let create = spec.is_none_or(|m| m.bind.as_ref().is_some_and(|bind| bind.create_mountpoint));
        if !create {
            return Err(Error::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                point.source
            )));
        }
        std::fs::create_dir_all(&point.source).map_err(|error| {
            Error::internal(format!(
                "error while creating mount source path '{}': mkdir: {error}",
                point.source
            ))
        })?;
    }
    let bind = spec.and_then(|m| m.bind.clone()).unwrap_or_default();
    let mut options = vec![if bind.non_recursive { "bind" } else { "rbind" }.to_owned()];
    if !point.read_write {
        if bind.read_only_non_recursive && bind.read_only_force_recursive {
            return Err(Error::invalid(
                "mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive",
            ));
        }
        options.push(if bind.read_only_non_recursive { "ro" } else { "rro" }.to_owned());
    }
    let propagation = if point.propagation.is_empty() { "rprivate" } else { &point.propagation };
    options.push(propagation.to_owned());
    let (uid_mappings, gid_mappings) = match bind.match_user {
        None | Some((0, 0)) => Default::default(),
        // What is mounted below keeps its owners: its file system may know no mappings.
        Some((uid, gid)) => (as_root(uid), as_root(gid)),
    };
    if !uid_mappings.is_empty() || !gid_mappings.is_empty() {
        options.push("idmap".to_owned());
    }
    match propagation {
        "shared" | "rshared" => linux.rootfs_propagation = "shared".into(),
        "slave" | "rslave" if linux.rootfs_propagation.is_empty() => {
            linux.rootfs_propagation = "rslave".into()
        }
        _ => {}
    }
    Ok(rt::Mount {
        destination: point.destination.clone(),
        kind: "bind".into(),
        source: point.source.clone(),
        options,
        uid_mappings,
        gid_mappings,
        ..rt::Mount::default()
    })
}

/// An id of the host's is root's in the container. Root's own and the container's user of that number are nobody there, so
/// that nothing in the container can make files of the host's root; all others are who they are.
fn as_root(id: u32) -> Vec<rt::IdMapping> {
    const LAST: u32 = u32::MAX - 1;
    let one = |container_id, host_id, size| rt::IdMapping { container_id, host_id, size };
    let below = (id > 1).then(|| one(1, 1, id - 1));
    let above = (id < LAST).then(|| one(id + 1, id + 1, LAST - id));
    [Some(one(id, 0, 1)), below, above].into_iter().flatten().collect()
}

/// What a volume is to the kernel, where it is more than its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VolumeSource {
    Bound { source: String, options: Vec<String> },
    Mounted { kind: String, device: String, options: Vec<String> },
}

fn volume(point: &MountPoint, spec: Option<&MountSpec>, source: Option<&VolumeSource>) -> rt::Mount {
    let (kind, source, mut options) = match source {
        None => ("bind", &point.source, vec!["rbind".to_owned()]),
        Some(VolumeSource::Bound { source, options }) => {
            ("bind", source, [&["rbind".to_owned()][..], options].concat())
        }
        Some(VolumeSource::Mounted { kind, device, options }) => (kind.as_str(), device, options.clone()),
    };
    if !point.read_write {
        options.push(if kind == "bind" { "rro" } else { "ro" }.to_owned());
    }
    options.push("rprivate".into());
    let subpath = spec.and_then(|m| m.volume.as_ref()).map(|volume| volume.subpath.clone());
    rt::Mount {
        destination: point.destination.clone(),
        kind: kind.into(),
        source: source.clone(),
        options,
        subpath: subpath.unwrap_or_default(),
        ..rt::Mount::default()
    }
}

/// Its layers on top of each other, without a place to write to.
fn image(point: &MountPoint, spec: Option<&MountSpec>) -> rt::Mount {
    let (kind, mut options) = match point.lower.as_slice() {
        [_, _, ..] => {
            let layers = point.lower.iter().map(|path| format!("lowerdir+={}", path.display()));
            ("overlay", layers.collect())
        }
        _ => ("bind", vec!["rbind".to_owned()]),
    };
    options.extend(["ro".to_owned(), "rprivate".to_owned()]);
    rt::Mount {
        destination: point.destination.clone(),
        kind: kind.into(),
        source: if kind == "bind" { point.source.clone() } else { "overlay".into() },
        options,
        subpath: spec.and_then(|m| m.image_subpath.clone()).unwrap_or_default(),
        ..rt::Mount::default()
    }
}

fn tmpfs(point: &MountPoint, spec: Option<&MountSpec>) -> rt::Mount {
    let mut words = Vec::new();
    if let Some(options) = spec.filter(|m| m.kind == MountKind::Tmpfs).and_then(|m| m.tmpfs.as_ref()) {
        if options.size_bytes > 0 {
            words.push(format!("size={}", options.size_bytes));
        }
        if let Some(mode) = options.mode {
            words.push(format!("mode={mode:o}"));
        }
        words.extend(options.options.iter().map(|pair| pair.join("=")));
    }
    if !point.read_write {
        words.push("ro".into());
    }
    rt::Mount {
        destination: point.destination.clone(),
        kind: "tmpfs".into(),
        source: "tmpfs".into(),
        options: tmpfs_options(words),
        ..rt::Mount::default()
    }
}

/// Docker's four defaults, each replaced by its opposite when that is said.
fn tmpfs_options(said: Vec<String>) -> Vec<String> {
    let opposite = |option: &str| match option {
        "noexec" => "exec",
        "nosuid" => "suid",
        "nodev" => "dev",
        _ => "",
    };
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev", "rprivate"]
        .into_iter()
        .filter(|default| !said.iter().any(|word| word == opposite(default) || word == default))
        .map(str::to_owned)
        .collect();
    options.extend(said);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_id_is_roots_and_no_id_is_anothers_twice() {
        let of = |id| as_root(id).iter().map(|m| (m.container_id, m.host_id, m.size)).collect::<Vec<_>>();
        assert_eq!(of(1000), [(1000, 0, 1), (1, 1, 999), (1001, 1001, 4_294_966_294)]);
        assert_eq!(of(1), [(1, 0, 1), (2, 2, 4_294_967_293)]);
        assert_eq!(of(u32::MAX - 1), [(4_294_967_294, 0, 1), (1, 1, 4_294_967_293)]);
        // Root's caller has nothing to be mapped, but another group may.
        assert_eq!(of(0), [(0, 0, 1), (1, 1, 4_294_967_294)]);
    }
}
