//! The default driver: each layer in a directory of its own, stacked by overlayfs.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Layer;
use super::driver::{Driver, Root};
use crate::error::{At, Result};

#[derive(Debug)]
pub(super) struct Overlay;

impl Driver for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn docker_name(&self) -> &'static str {
        "overlay2"
    }

    fn mode(&self) -> archive::Mode {
        archive::Mode::Overlay
    }

    fn seed(&self, staged: &Path, parent: Option<&Layer>) -> Result<()> {
        fs::create_dir(staged).at("create", staged)?;
        // A layer whose tar has no entry for its root shows its parent's, as the upper one wins.
        inherit_root(staged, parent)
    }

    fn prepare(&self, dir: &Path, top: Option<&Layer>) -> Result<()> {
        let upper = dir.join("upper");
        fs::DirBuilder::new().mode(0o755).create(&upper).at("create", &upper)?;
        if top.is_some_and(|layer| layer.root_mode != 0o755 || layer.root_owner != (0, 0)) {
            inherit_root(&upper, top)?;
        }
        let work = dir.join("work");
        fs::DirBuilder::new().mode(0o700).create(&work).at("create", &work)
    }

    fn root(&self, dir: &Path, stack: &[PathBuf]) -> Root {
        Root::Overlay { lower: stack.to_vec(), upper: dir.join("upper"), work: dir.join("work") }
    }

    fn changes_dir(&self, dir: &Path) -> PathBuf {
        dir.join("upper")
    }
}

/// The top directory's mode and owner are those of the merged root.
pub(super) fn inherit_root(path: &Path, parent: Option<&Layer>) -> Result<()> {
    let (mode, (uid, gid)) = parent.map_or((0o755, (0, 0)), |layer| (layer.root_mode, layer.root_owner));
    if (uid, gid) != (0, 0) {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).at("chown", path)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("chmod", path)
}
