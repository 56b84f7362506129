//! Where a container's mount points come from: `-v`, `--mount`, `--tmpfs`, the image's volumes, other
//! containers. Planned at create; what the kernel is told is derived from the plan at each start.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ContainerSpec, HostSpec, MountKind, MountPoint, MountSpec, Status};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::layout;
use crate::ports::{Rootfs, StoredImage};
use crate::volumes::make::Wanted;
use crate::volumes::{LOCAL, event, local};

/// What create has to make, and what inspect shows.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) points: Vec<MountPoint>,
    pub(crate) volumes: Vec<VolumePlan>,
}

/// A volume that must exist.
#[derive(Debug, Clone)]
pub(crate) struct VolumePlan {
    pub(crate) wanted: Wanted,
    /// Fill an empty volume with what the image has at this path.
    pub(crate) copy_from: Option<String>,
}

impl Plan {
    /// Other containers' volumes, which must be there.
    pub(crate) fn shared_volumes(&self) -> impl Iterator<Item = &str> {
        let own = |name: &str| self.volumes.iter().any(|volume| volume.wanted.name == name);
        let names =
            self.points.iter().filter(|point| point.kind == "volume").map(|point| point.name.as_str());
        names.filter(move |name| !own(name))
    }
}

pub(crate) fn plan(core: &Core, spec: &ContainerSpec, image: &StoredImage) -> Result<Plan> {
    let mut points: BTreeMap<String, MountPoint> = BTreeMap::new();
    let mut volumes = Vec::new();
    for from in &spec.host.volumes_from {
        for point in from_another(core, from)? {
            points.insert(point.destination.clone(), point);
        }
    }
    let mut said = std::collections::HashSet::new();
    let mut once = |destination: &str| match said.insert(destination.to_owned()) {
        true => Ok(()),
        false => Err(Error::invalid(format!("Duplicate mount point: {destination}"))),
    };
    for bind in &spec.host.binds {
        let (point, volume) = parse_bind(core, bind, &spec.host.volume_driver)?;
        once(&point.destination)?;
        volumes.extend(volume);
        points.insert(point.destination.clone(), point);
    }
    for mount in &spec.host.mounts {
        let (point, volume) = parse_mount(core, mount)?;
        once(&point.destination)?;
        volumes.extend(volume);
        points.insert(point.destination.clone(), point);
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
        let mut point =
            MountPoint { destination: destination.clone(), read_write: true, ..MountPoint::default() };
        let driver = &spec.host.volume_driver;
        let wanted = Wanted { driver: driver.clone(), anonymous: true, ..Wanted::default() };
        volumes.push(volume_plan(core, &mut point, wanted, true)?);
        points.insert(destination, point);
    }
    Ok(Plan { points: points.into_values().collect(), volumes })
}

/// `--volumes-from container[:mode]`: all that is mounted there.
fn from_another(core: &Core, from: &str) -> Result<Vec<MountPoint>> {
    let (reference, mode) = from.split_once(':').unwrap_or((from, ""));
    let copies = mode.split(',').any(|word| word == "nocopy");
    if !is_mode(mode) || copies || mode.split(',').any(is_propagation) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    let other = core.index.find(reference).map_err(|error| Error::invalid(error.message))?.view();
    let read_only = mode.split(',').any(|word| word == "ro");
    let points = other.mounts.iter().cloned().map(|mut point| {
        point.read_write &= !read_only;
        point.mode = String::new();
        point.spec = point.spec.or_else(|| spec_of(&other.spec.host, &point.destination));
        point
    });
    Ok(points.collect())
}

/// The `--mount` of this destination.
pub(super) fn spec_of(host: &HostSpec, destination: &str) -> Option<MountSpec> {
    let of = |mount: &&MountSpec| clean(&mount.target).is_some_and(|target| target == destination);
    host.mounts.iter().find(of).cloned()
}

/// The point of a volume, and what has to be there; `wanted` without a name is an anonymous one.
fn volume_plan(core: &Core, point: &mut MountPoint, mut wanted: Wanted, copies: bool) -> Result<VolumePlan> {
    if wanted.anonymous {
        wanted.name = core.ports.ids.id();
    } else if matches!(wanted.driver.as_str(), "" | LOCAL) {
        local::check_name(&wanted.name)?;
    }
    let known = core.volumes.get(&wanted.name).map(|entry| entry.volume.driver.clone());
    point.kind = "volume".into();
    point.name.clone_from(&wanted.name);
    point.driver = match (known, wanted.driver.as_str()) {
        (Some(driver), _) => driver,
        (None, "") => LOCAL.into(),
        (None, driver) => driver.to_owned(),
    };
    // A plugin says it when it mounts.
    if point.driver == LOCAL {
        let data = layout::volume_data(&core.settings().data_root, &wanted.name);
        point.source = data.to_string_lossy().into_owned();
    }
    Ok(VolumePlan { wanted, copy_from: copies.then(|| point.destination.clone()) })
}

/// `--mount`.
pub(super) fn parse_mount(core: &Core, mount: &MountSpec) -> Result<(MountPoint, Option<VolumePlan>)> {
    let wrong = |what: &str| mount_error(mount.kind, what);
    let destination =
        clean(&mount.target).ok_or_else(|| wrong("field Target must not be empty or relative"))?;
    let mut point = MountPoint {
        kind: mount.kind.word().into(),
        destination,
        read_write: !mount.read_only,
        spec: Some(mount.clone()),
        ..MountPoint::default()
    };
    match mount.kind {
        MountKind::Bind => {
            if mount.source.is_empty() {
                return Err(wrong("field Source must not be empty"));
            }
            let absolute =
                || wrong(&format!("invalid mount path: '{}' mount path must be absolute", mount.source));
            point.source = clean(&mount.source).ok_or_else(absolute)?;
            let create = mount.bind.as_ref().is_some_and(|bind| bind.create_mountpoint);
            if !create && !Path::new(&mount.source).exists() {
                return Err(wrong(&format!("bind source path does not exist: {}", mount.source)));
            }
            point.propagation = match mount.bind.as_ref().map_or("", |bind| bind.propagation.as_str()) {
                "" => "rprivate".into(),
                word if is_propagation(word) => word.into(),
                word => return Err(wrong(&format!("invalid propagation mode: {word}"))),
            };
            Ok((point, None))
        }
        MountKind::Volume => {
            let options = mount.volume.clone().unwrap_or_default();
            if !options.subpath.is_empty() {
                if mount.source.is_empty() {
                    return Err(wrong("must not set Subpath when using anonymous volumes"));
                }
                check_subpath(&options.subpath).map_err(wrong)?;
            }
            let wanted = Wanted {
                name: mount.source.clone(),
                driver: options.driver,
                labels: options.labels,
                options: options.driver_options,
                anonymous: mount.source.is_empty(),
            };
            let volume = volume_plan(core, &mut point, wanted, !options.no_copy)?;
            share_label(&mut point);
            Ok((point, Some(volume)))
        }
        MountKind::Tmpfs if mount.source.is_empty() => Ok((point, None)),
        MountKind::Tmpfs => Err(wrong("field Source must not be specified")),
        MountKind::Image if mount.source.is_empty() => Err(wrong("field Source must not be empty")),
        MountKind::Image => {
            check_subpath(mount.image_subpath.as_deref().unwrap_or_default()).map_err(wrong)?;
            point.name.clone_from(&mount.source);
            point.read_write = false;
            point.propagation = "rprivate".into();
            Ok((point, None))
        }
        MountKind::Container => {
            point.read_write = false;
            point.propagation = "rprivate".into();
            point.lower = files_of(core, &mount.source).map_err(|error| wrong(&error.message))?;
            point.name.clone_from(&mount.source);
            point.source =
                point.lower.first().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
            Ok((point, None))
        }
        MountKind::Npipe | MountKind::Cluster => Err(wrong("mount type unknown")),
    }
}

/// The layers of a container that does not run: only then do they stay as they are.
fn files_of(core: &Core, reference: &str) -> Result<Vec<std::path::PathBuf>> {
    let other = core.index.find(reference)?.view();
    if !matches!(other.state.status, Status::Created | Status::Exited) {
        return Err(Error::conflict(format!(
            "container {} is {}, and only the files of one that does not run can be mounted: share its PID namespace, \
             and look at /proc/1/root",
            other.name,
            other.state.status.word()
        )));
    }
    Ok(match other.rootfs.clone() {
        Rootfs::Directory(path) => vec![path],
        Rootfs::Overlay { lower, upper, .. } => std::iter::once(upper).chain(lower).collect(),
    })
}

/// Below the source, by its text: what links lead to is looked at when it is mounted.
fn check_subpath(subpath: &str) -> std::result::Result<(), &'static str> {
    let mut depth = 0_i32;
    let mut stays = !subpath.starts_with('/');
    for part in subpath.split('/') {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        stays &= depth >= 0;
    }
    if stays { Ok(()) } else { Err("subpath must be a relative path within the volume") }
}

/// What Docker writes into the mode of a local volume that was asked for, whether there is SELinux or not.
fn share_label(point: &mut MountPoint) {
    if point.mode.is_empty() && point.driver == LOCAL {
        point.mode = "z".into();
    }
}

/// `source:target[:options]`, or a bare target for an anonymous volume.
fn parse_bind(core: &Core, text: &str, driver: &str) -> Result<(MountPoint, Option<VolumePlan>)> {
    let invalid = || Error::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] => ("", target, ""),
        // What has no source has no mode either.
        [_, mode] if is_mode(mode) => return Err(invalid()),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(invalid()),
    };
    if !is_mode(mode) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    let destination = clean(target).ok_or_else(invalid)?;
    if destination == "/" {
        return Err(Error::invalid(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        )));
    }
    let has = |word: &str| mode.split(',').any(|said| said == word);
    let mut point = MountPoint {
        kind: "bind".into(),
        destination,
        mode: mode.to_owned(),
        read_write: !has("ro"),
        ..MountPoint::default()
    };
    if source.starts_with('/') {
        point.source = clean(source).ok_or_else(invalid)?;
        let said = mode.split(',').find(|word| is_propagation(word));
        point.propagation = said.unwrap_or("rprivate").into();
        return Ok((point, None));
    }
    let wanted = Wanted {
        name: source.to_owned(),
        driver: driver.to_owned(),
        anonymous: source.is_empty(),
        ..Wanted::default()
    };
    let volume = volume_plan(core, &mut point, wanted, !has("nocopy"))?;
    share_label(&mut point);
    Ok((point, Some(volume)))
}

/// Words with commas between them, at most one of each kind.
fn is_mode(mode: &str) -> bool {
    let mut said = std::collections::HashSet::new();
    mode.is_empty()
        || mode.split(',').all(|word| {
            let kind = match word {
                "ro" | "rw" => "access",
                "z" | "Z" => "label",
                "nocopy" => "copy",
                "consistent" | "cached" | "delegated" => "consistency",
                word if is_propagation(word) => "propagation",
                _ => return false,
            };
            said.insert(kind)
        })
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

/// `mount` for each volume of a container that starts.
pub(crate) fn mounted(core: &Core, container: &str, points: &[MountPoint]) {
    for point in points.iter().filter(|point| point.kind == "volume") {
        let attributes = [
            ("driver", point.driver.as_str()),
            ("container", container),
            ("destination", point.destination.as_str()),
            ("propagation", point.propagation.as_str()),
            ("read/write", if point.read_write { "true" } else { "false" }),
        ];
        event(core, &point.name, "mount", &attributes);
    }
}

/// `unmount` for each volume of a container that has ended.
pub(crate) fn unmounted(core: &Core, container: &str, points: &[MountPoint]) {
    for point in points.iter().filter(|point| point.kind == "volume") {
        let attributes = [("driver", point.driver.as_str()), ("container", container)];
        event(core, &point.name, "unmount", &attributes);
    }
}
