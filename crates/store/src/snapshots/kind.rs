//! Which driver keeps the snapshots: the one that is asked for, or what the file system can.

use std::fs;
use std::path::Path;

use super::btrfs::is_btrfs;
use super::remove_tree;
use super::view::mount;
use crate::error::{At, Error, Result};
use crate::layout::Layout;

/// In the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriverKind {
    #[default]
    Overlay,
    Btrfs,
    Vfs,
}

const ALL: [DriverKind; 3] = [DriverKind::Overlay, DriverKind::Btrfs, DriverKind::Vfs];

impl DriverKind {
    /// Docker's name for it; those that are gone or missing are refused with their replacement.
    pub fn parse(name: &str) -> Result<DriverKind> {
        let (reason, instead) = match name {
            // Docker's new name for it is containerd's.
            "" | "overlay2" | "overlayfs" => return Ok(DriverKind::Overlay),
            "btrfs" => return Ok(DriverKind::Btrfs),
            "vfs" => return Ok(DriverKind::Vfs),
            "overlay" | "aufs" | "devicemapper" => ("it has been removed", "overlay2"),
            "zfs" => ("Wharf does not have it", "overlay2, which works on ZFS 2.2 and later, or vfs"),
            "fuse-overlayfs" => ("Wharf does not have it", "overlay2, which needs no FUSE since Linux 5.11"),
            _ => ("there is no such driver", "overlay2, btrfs or vfs"),
        };
        Err(Error::Invalid(format!("storage-driver {name}: {reason}; use {instead} instead")))
    }

    /// Docker's name for it.
    pub fn name(self) -> &'static str {
        match self {
            DriverKind::Overlay => "overlay2",
            DriverKind::Btrfs => "btrfs",
            DriverKind::Vfs => "vfs",
        }
    }

    /// The driver that the images of an earlier engine are in, or else the best that the data root's file system can.
    /// Says why when that is not overlayfs.
    ///
    /// # Errors
    /// The data root cannot be written.
    pub(crate) fn choose(layout: &Layout) -> Result<(DriverKind, Option<String>)> {
        let has_layers = |kind: &DriverKind| {
            let layers = layout.layers(kind.directory());
            fs::read_dir(layers).is_ok_and(|mut entries| entries.next().is_some())
        };
        if let Some(former) = ALL.into_iter().find(has_layers) {
            return Ok((former, None));
        }
        let Err(why) = try_overlay(&layout.snapshots("probe"))? else {
            return Ok((DriverKind::Overlay, None));
        };
        let place = layout.snapshots("");
        let best = if is_btrfs(&place) { DriverKind::Btrfs } else { DriverKind::Vfs };
        let cost = match best {
            DriverKind::Vfs => ", which copies every layer; a data root on ext4, xfs or btrfs is faster",
            _ => "",
        };
        let what = format!("storage driver {}{cost}: overlayfs cannot be used here: {why}", best.name());
        Ok((best, Some(what)))
    }

    /// Its directory below `snapshots`.
    pub(super) fn directory(self) -> &'static str {
        match self {
            DriverKind::Overlay => "overlay",
            DriverKind::Btrfs => "btrfs",
            DriverKind::Vfs => "vfs",
        }
    }
}

/// Whether an overlay can be mounted with its writable part there. Outer: the directories could not be made.
fn try_overlay(place: &Path) -> Result<std::result::Result<(), String>> {
    remove_tree(place)?;
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| place.join(name));
    for path in [&lower, &upper, &work] {
        fs::create_dir_all(path).at("create", path)?;
    }
    let mounted = mount(&[lower], Some((&upper, &work))).map(drop).map_err(|error| error.to_string());
    remove_tree(place)?;
    Ok(mounted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_docker_has_them() {
        for kind in ALL {
            assert_eq!(DriverKind::parse(kind.name()).unwrap(), kind);
        }
        for (name, text) in [
            ("devicemapper", "storage-driver devicemapper: it has been removed; use overlay2 instead"),
            (
                "zfs",
                "storage-driver zfs: Wharf does not have it; use overlay2, which works on ZFS 2.2 and later, or vfs instead",
            ),
            ("x", "storage-driver x: there is no such driver; use overlay2, btrfs or vfs instead"),
        ] {
            assert_eq!(DriverKind::parse(name).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn an_earlier_choice_stays() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().to_owned());
        assert_eq!(DriverKind::choose(&layout).unwrap(), (DriverKind::Overlay, None));
        fs::create_dir_all(root.path().join("snapshots/vfs/layers/1")).unwrap();
        assert_eq!(DriverKind::choose(&layout).unwrap(), (DriverKind::Vfs, None));
    }
}
