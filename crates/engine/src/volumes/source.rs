//! What the volumes of a container are to the kernel when it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::local::{self, Data};
use super::registry::Turn;
use super::remove::no_such_volume;
use crate::container::MountPoint;
use crate::container::oci_spec::VolumeSource;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::records::Record;

fn of_volumes(points: &[MountPoint]) -> impl Iterator<Item = &MountPoint> {
    points.iter().filter(|point| point.kind == "volume")
}

/// Containers that start with the same mounted volume do it one after the other: the second shares what the first has.
pub(crate) async fn turns(core: &Core, points: &[MountPoint]) -> Vec<Turn> {
    let is_mounted = |name: &&String| {
        let entry = core.volumes.get(name);
        entry.is_some_and(|entry| matches!(local::data(&entry.volume), Data::Mounted { .. }))
    };
    // In the order of the names, so that no two wait for each other.
    let names: BTreeSet<&String> = of_volumes(points).map(|point| &point.name).filter(is_mounted).collect();
    let mut turns = Vec::new();
    for name in names {
        turns.push(core.volumes.turn(name).await);
    }
    turns
}

/// Where a volume's files are while nothing has it mounted; `None`: nowhere.
pub(crate) fn directory(core: &Core, point: &MountPoint) -> Option<PathBuf> {
    match local::data(&core.volumes.get(&point.name)?.volume) {
        Data::Directory(path, _) => Some(path),
        Data::Mounted { .. } | Data::Plugged => None,
    }
}

/// By name; `plugged` is where plugins have mounted theirs.
pub(crate) async fn sources(
    core: &Core,
    container: &str,
    points: &[MountPoint],
    plugged: &BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<String, VolumeSource>> {
    let mut sources = BTreeMap::new();
    for point in of_volumes(points) {
        let entry = core.volumes.get(&point.name).ok_or_else(|| no_such_volume(&point.name))?;
        let source = match local::data(&entry.volume) {
            Data::Directory(path, options) => {
                local::check_directory(&entry.volume, &path)?;
                VolumeSource::Bound { source: path.to_string_lossy().into_owned(), options }
            }
            Data::Mounted { kind, mut device, mut options } => {
                local::find_server(core, &entry.volume, &kind, &mut device, &mut options).await?;
                let neighbour = local::neighbour(core, &entry.volume, container);
                let neighbour = neighbour.filter(|_| kind == "tmpfs");
                mounted(point, kind, device, options, neighbour)?
            }
            Data::Plugged => {
                let place = plugged.get(&point.name).ok_or_else(|| no_such_volume(&point.name))?;
                VolumeSource::Bound { source: place.to_string_lossy().into_owned(), options: Vec::new() }
            }
        };
        sources.insert(point.name.clone(), source);
    }
    Ok(sources)
}

/// A word of the runtime's.
const COPY_UP: &str = "tmpcopyup";

fn mounted(
    point: &MountPoint,
    kind: String,
    device: String,
    mut options: Vec<String>,
    neighbour: Option<String>,
) -> Result<VolumeSource> {
    let asked = point.spec.as_ref().and_then(|mount| mount.volume.as_ref());
    match neighbour {
        Some(_) if asked.is_some_and(|asked| !asked.subpath.is_empty()) => Err(Error::unsupported(format!(
            "a part of volume {} cannot be mounted while another container runs with it: it is a tmpfs",
            point.name
        ))),
        Some(source) => Ok(VolumeSource::Bound { source, options: Vec::new() }),
        None => {
            let nocopy = point.mode.split(',').any(|word| word == "nocopy");
            if !nocopy && !asked.is_some_and(|asked| asked.no_copy) {
                options.push(COPY_UP.into());
            }
            Ok(VolumeSource::Mounted { kind, device, options })
        }
    }
}

/// Docker's text for a volume whose file system could not be mounted, told from the runtime's message.
pub(crate) fn failed(
    core: &Core,
    record: &Record,
    sources: &BTreeMap<String, VolumeSource>,
    message: &str,
) -> Option<Error> {
    let point =
        of_volumes(&record.mounts).find(|point| message.contains(&format!("at {:?}", point.destination)))?;
    let entry = core.volumes.get(&point.name).filter(|entry| !entry.volume.options.is_empty())?;
    let why = message.rsplit(": ").next().unwrap_or(message);
    Some(match sources.get(&point.name) {
        // With the address that was found for its server, if it has one.
        Some(VolumeSource::Mounted { device, options, .. }) => {
            let options = options.iter().filter(|word| *word != COPY_UP).cloned().collect();
            local::mount_error_of(&entry.volume, device, options, why)
        }
        _ => local::mount_error(&entry.volume, why),
    })
}
