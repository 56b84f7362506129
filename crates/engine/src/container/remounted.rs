//! Mounts that change: what an update asks for, and what that means for a container's plan.

use super::mounts::{VolumePlan, clean, parse_mount};
use super::{ContainerSpec, MountPoint, MountSpec};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::ports::Unmounted;

/// What an update makes of a container's mounts.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// All that there will be.
    pub(crate) points: Vec<MountPoint>,
    pub(crate) added: Vec<MountPoint>,
    pub(crate) volumes: Vec<VolumePlan>,
    pub(crate) gone: Vec<MountPoint>,
    pub(crate) unmounted: Vec<Unmounted>,
}

/// Puts mounts into a specification, and takes others out; what goes, goes first.
pub(crate) fn apply(
    core: &Core,
    spec: &mut ContainerSpec,
    points: &[MountPoint],
    add: &[MountSpec],
    remove: &[String],
) -> Result<Change> {
    let mut change = Change { points: points.to_vec(), ..Change::default() };
    for target in remove {
        let absolute =
            || Error::invalid(format!("invalid mount path: '{target}' mount path must be absolute"));
        let destination = clean(target).ok_or_else(absolute)?;
        let is_there = |path: &str| clean(path).as_deref() == Some(destination.as_str());
        let point = change.points.iter().position(|point| point.destination == destination);
        let tmpfs = spec.host.tmpfs.keys().find(|path| is_there(path)).cloned();
        if point.is_none() && tmpfs.is_none() {
            return Err(Error::invalid(format!("nothing of the container's is mounted at {destination}")));
        }
        spec.host.mounts.retain(|mount| !is_there(&mount.target));
        spec.host.binds.retain(|bind| !target_of(bind).is_some_and(is_there));
        if let Some(path) = tmpfs {
            spec.host.tmpfs.remove(&path);
        }
        let point = point.map(|at| change.points.remove(at));
        change.unmounted.push(unmounted(&destination, point.as_ref()));
        change.gone.extend(point);
    }
    for mount in add {
        let (point, volume) = parse_mount(core, mount)?;
        let is_taken = |path: &str| path == point.destination;
        let is_tmpfs = || spec.host.tmpfs.keys().any(|path| clean(path).as_deref().is_some_and(is_taken));
        if change.points.iter().any(|other| is_taken(&other.destination)) || is_tmpfs() {
            return Err(Error::invalid(format!("Duplicate mount point: {}", point.destination)));
        }
        spec.host.mounts.push(mount.clone());
        change.volumes.extend(volume);
        change.points.push(point.clone());
        change.added.push(point);
    }
    change.points.sort_by(|one, other| one.destination.cmp(&other.destination));
    Ok(change)
}

/// Of a `-v`.
fn target_of(bind: &str) -> Option<&str> {
    let mut parts = bind.split(':');
    let first = parts.next()?;
    Some(parts.next().unwrap_or(first))
}

fn unmounted(destination: &str, point: Option<&MountPoint>) -> Unmounted {
    let shows = |point: &&MountPoint| !point.source.is_empty() && point.lower.len() < 2;
    let source = point.filter(shows).map(|point| point.source.clone());
    let kind = match point.map(|point| (point.kind.as_str(), point.lower.len())) {
        None | Some(("tmpfs", _)) => "tmpfs",
        Some((_, 2..)) => "overlay",
        Some(_) => "bind",
    };
    Unmounted { destination: destination.to_owned(), source, kind: kind.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_bind_is_its_second_part_or_all() {
        assert_eq!(target_of("/a:/b:ro"), Some("/b"));
        assert_eq!(target_of("name:/b"), Some("/b"));
        assert_eq!(target_of("/anonymous"), Some("/anonymous"));
    }

    #[test]
    fn what_is_unmounted_is_told_from_others_by_what_it_shows() {
        let bind = MountPoint { kind: "bind".into(), source: "/srv".into(), ..MountPoint::default() };
        assert_eq!(unmounted("/a", Some(&bind)).source.as_deref(), Some("/srv"));
        let layers = vec!["/1".into(), "/2".into()];
        let image =
            MountPoint { kind: "image".into(), source: "/1".into(), lower: layers, ..MountPoint::default() };
        let of = unmounted("/a", Some(&image));
        assert_eq!((of.source, of.kind.as_str()), (None, "overlay"));
        assert_eq!(unmounted("/a", None).kind, "tmpfs");
    }
}
