//! Where a container's mount points come from: `-v`, `--mount`, `--tmpfs`, the image's volumes, other
//! containers. Planned at create; what the kernel is told is derived from the plan at each start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{ContainerSpec, MountKind, MountPoint};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::layout;
use crate::ports::StoredImage;

/// What create has to make, and what inspect shows.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) points: Vec<MountPoint>,
    pub(crate) volumes: Vec<VolumePlan>,
}

/// A volume that must exist.
#[derive(Debug, Clone)]
pub(crate) struct VolumePlan {
    pub(crate) name: String,
    pub(crate) anonymous: bool,
    /// Fill a new (empty) volume with what the image has at this path.
    pub(crate) copy_from: Option<String>,
}

pub(crate) fn plan(core: &Core, spec: &ContainerSpec, image: &StoredImage) -> Result<Plan> {
    let mut points: BTreeMap<String, MountPoint> = BTreeMap::new();
    let mut volumes = Vec::new();
    let data_root = core.settings().data_root.clone();
    for from in &spec.host.volumes_from {
        let (reference, mode) = from.split_once(':').unwrap_or((from, "rw"));
        if !matches!(mode, "ro" | "rw") {
            return Err(Error::invalid(format!("invalid mode for volumes-from: {mode}")));
        }
        for point in &core.index.find(reference)?.view().mounts {
            let mut point = point.clone();
            point.read_write &= mode == "rw";
            points.insert(point.destination.clone(), point);
        }
    }
    let mut said = std::collections::HashSet::new();
    let mut once = |destination: &str| match said.insert(destination.to_owned()) {
        true => Ok(()),
        false => Err(Error::invalid(format!("Duplicate mount point: {destination}"))),
    };
    for bind in &spec.host.binds {
        let (point, volume) = parse_bind(bind, &data_root, core)?;
        once(&point.destination)?;
        volumes.extend(volume);
        points.insert(point.destination.clone(), point);
    }
    for mount in &spec.host.mounts {
        let destination = clean(&mount.target)
            .ok_or_else(|| mount_error(mount.kind, "field Target must not be empty or relative"))?;
        once(&destination)?;
        let mut point = MountPoint {
            kind: mount.kind.word().into(),
            destination: destination.clone(),
            read_write: !mount.read_only,
            ..MountPoint::default()
        };
        match mount.kind {
            MountKind::Bind => {
                if mount.source.is_empty() {
                    return Err(mount_error(mount.kind, "field Source must not be empty"));
                }
                if !mount.source.starts_with('/') {
                    return Err(mount_error(
                        mount.kind,
                        &format!("invalid mount path: '{}' mount path must be absolute", mount.source),
                    ));
                }
                let create = mount.bind.as_ref().is_some_and(|bind| bind.create_mountpoint);
                if !create && !Path::new(&mount.source).exists() {
                    return Err(mount_error(
                        mount.kind,
                        &format!("bind source path does not exist: {}", mount.source),
                    ));
                }
                point.source.clone_from(&mount.source);
                point.propagation = match mount.bind.as_ref().map_or("", |bind| bind.propagation.as_str()) {
                    "" => "rprivate".into(),
                    word if is_propagation(word) => word.into(),
                    word => {
                        return Err(mount_error(mount.kind, &format!("invalid propagation mode: {word}")));
                    }
                };
            }
            MountKind::Volume => {
                let options = mount.volume.clone().unwrap_or_default();
                if !matches!(options.driver.as_str(), "" | "local") {
                    return Err(plugin_not_found(&options.driver));
                }
                if !options.driver_options.is_empty() {
                    return Err(Error::unsupported("options of the local volume driver are not built yet"));
                }
                if !options.subpath.is_empty() {
                    return Err(Error::unsupported("volume-subpath is not built yet"));
                }
                let anonymous = mount.source.is_empty();
                let name = if anonymous { core.ports.ids.id() } else { check_volume_name(&mount.source)? };
                fill_volume(&mut point, &data_root, &name);
                volumes.push(VolumePlan {
                    name,
                    anonymous,
                    copy_from: (!options.no_copy).then(|| destination.clone()),
                });
            }
            MountKind::Tmpfs => {
                if !mount.source.is_empty() {
                    return Err(mount_error(mount.kind, "field Source must not be specified"));
                }
            }
            MountKind::Image | MountKind::Npipe | MountKind::Cluster => {
                return Err(Error::unsupported(format!(
                    "mounts of type {} are not built yet",
                    mount.kind.word()
                )));
            }
        }
        points.insert(destination, point);
    }
    for target in spec.host.tmpfs.keys() {
        let destination =
            clean(target).ok_or_else(|| Error::invalid(format!("invalid tmpfs path: {target}")))?;
        once(&destination)?;
    }
    for target in spec.volumes.iter().chain(&image.config.volumes) {
        let Some(destination) = clean(target) else {
            return Err(Error::invalid(format!("invalid volume specification: '{target}'")));
        };
        if points.contains_key(&destination) || spec.host.tmpfs.contains_key(target) {
            continue;
        }
        let name = core.ports.ids.id();
        let mut point = MountPoint {
            kind: "volume".into(),
            destination: destination.clone(),
            read_write: true,
            ..MountPoint::default()
        };
        fill_volume(&mut point, &data_root, &name);
        volumes.push(VolumePlan { name, anonymous: true, copy_from: Some(destination.clone()) });
        points.insert(destination, point);
    }
    let driver = spec.host.volume_driver.as_str();
    if !volumes.is_empty() && !matches!(driver, "" | "local") {
        return Err(plugin_not_found(driver));
    }
    Ok(Plan { points: points.into_values().collect(), volumes })
}

fn fill_volume(point: &mut MountPoint, data_root: &Path, name: &str) {
    point.source = layout::volume_data(data_root, name).to_string_lossy().into_owned();
    point.name = name.to_owned();
    point.driver = "local".into();
}

/// `source:target[:options]`, or a bare target for an anonymous volume.
fn parse_bind(text: &str, data_root: &Path, core: &Core) -> Result<(MountPoint, Option<VolumePlan>)> {
    let invalid = || Error::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(invalid()),
    };
    let destination = clean(target).ok_or_else(invalid)?;
    if destination == "/" {
        return Err(Error::invalid(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        )));
    }
    let mut point = MountPoint {
        kind: "bind".into(),
        destination: destination.clone(),
        mode: mode.to_owned(),
        read_write: true,
        propagation: "rprivate".into(),
        ..MountPoint::default()
    };
    let mut no_copy = false;
    for option in mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => point.read_write = false,
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "nocopy" => no_copy = true,
            word if is_propagation(word) => point.propagation = word.into(),
            _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
        }
    }
    if source.starts_with('/') {
        point.source = clean(source).ok_or_else(invalid)?;
        return Ok((point, None));
    }
    let anonymous = source.is_empty();
    let name = if anonymous { core.ports.ids.id() } else { check_volume_name(source)? };
    point.kind = "volume".into();
    point.propagation = String::new();
    fill_volume(&mut point, data_root, &name);
    Ok((point, Some(VolumePlan { name, anonymous, copy_from: (!no_copy).then_some(destination) })))
}

fn check_volume_name(name: &str) -> Result<String> {
    if super::names::check(name).is_ok() && !name.starts_with('/') {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

fn plugin_not_found(driver: &str) -> Error {
    Error::not_found(format!("error looking up volume plugin {driver}: plugin \"{driver}\" not found"))
}

fn mount_error(kind: MountKind, what: &str) -> Error {
    Error::invalid(format!("invalid mount config for type \"{}\": {what}", kind.word()))
}

pub(super) fn is_propagation(word: &str) -> bool {
    matches!(word, "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate")
}

/// An absolute path without `.`, `..` and doubled slashes; `None` when it is relative.
pub(super) fn clean(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// `create` and `destroy` of a volume; `mount` and `unmount`, with the container as an attribute.
pub(crate) fn volume_event(core: &Core, name: &str, action: &str, extra: &[(&str, &str)]) {
    let own = [("driver", "local")];
    let attributes = own.iter().chain(extra).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    core.events.publish("volume", action, name, attributes.collect());
}

/// `mount` for each volume of a container that starts.
pub(crate) fn mounted(core: &Core, container: &str, points: &[MountPoint]) {
    for point in points.iter().filter(|point| point.kind == "volume") {
        let extra = [
            ("container", container),
            ("destination", point.destination.as_str()),
            ("propagation", point.propagation.as_str()),
            ("read/write", if point.read_write { "true" } else { "false" }),
        ];
        volume_event(core, &point.name, "mount", &extra);
    }
}

/// `unmount` for each volume of a container that has ended.
pub(crate) fn unmounted(core: &Core, container: &str, points: &[MountPoint]) {
    for point in points.iter().filter(|point| point.kind == "volume") {
        volume_event(core, &point.name, "unmount", &[("container", container)]);
    }
}

/// True when the volume was made now. A new volume takes over what the image has at its place. It is filled under the
/// container's id and then renamed: whoever finds a volume's data finds all of it.
pub(crate) async fn make_volume(core: &Arc<Core>, volume: &VolumePlan, container: &str) -> Result<bool> {
    let root = core.settings().data_root.clone();
    let data = layout::volume_data(&root, &volume.name);
    if data.exists() {
        return Ok(false);
    }
    let place = layout::volume(&root, &volume.name);
    let begun = place.join(container);
    let made =
        fill(core, volume, container, &begun).await.and_then(|()| match std::fs::rename(&begun, &data) {
            Ok(()) => Ok(true),
            // Another container with the same volume was faster.
            Err(_) if data.exists() => Ok(false),
            Err(error) => {
                Err(Error::internal(format!("rename {} to {}: {error}", begun.display(), data.display())))
            }
        });
    if !matches!(made, Ok(true)) {
        let _ = std::fs::remove_dir_all(&begun);
        // Unless there is something in it.
        let _ = std::fs::remove_dir(&place);
    }
    if matches!(made, Ok(true)) {
        volume_event(core, &volume.name, "create", &[]);
    }
    made
}

async fn fill(core: &Arc<Core>, volume: &VolumePlan, container: &str, begun: &Path) -> Result<()> {
    std::fs::create_dir_all(begun)
        .map_err(|error| Error::internal(format!("mkdir {}: {error}", begun.display())))?;
    let Some(path) = volume.copy_from.clone() else { return Ok(()) };
    let (storage, container, begun) = (core.ports.storage.clone(), container.to_owned(), begun.to_owned());
    blocking(move || storage.copy_out(&container, Path::new(&path), &begun)).await
}

/// What a killed engine had begun to fill: nobody has heard of it.
pub(crate) fn sweep_begun_volumes(data_root: &Path) {
    let entries = |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten();
    for place in entries(&layout::volumes(data_root)) {
        for begun in entries(&place.path()) {
            let name = begun.file_name();
            if name.len() == 64 && name.to_str().is_some_and(|id| id.bytes().all(|b| b.is_ascii_hexdigit())) {
                let _ = std::fs::remove_dir_all(begun.path());
                let _ = std::fs::remove_dir(place.path());
            }
        }
    }
}
