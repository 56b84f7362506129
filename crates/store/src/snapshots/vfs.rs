//! The driver for file systems that cannot carry overlayfs: every layer and every container a full copy.

use std::path::{Path, PathBuf};

use super::Layer;
use super::driver::{Driver, Root};
use super::overlay::inherit_root;
use crate::error::{At, Result};

#[derive(Debug)]
pub(super) struct Vfs;

impl Driver for Vfs {
    fn name(&self) -> &'static str {
        "vfs"
    }

    fn docker_name(&self) -> &'static str {
        "vfs"
    }

    fn mode(&self) -> archive::Mode {
        archive::Mode::Apply
    }

    fn seed(&self, staged: &Path, parent: Option<&Layer>) -> Result<()> {
        std::fs::create_dir(staged).at("create", staged)?;
        if let Some(layer) = parent {
            copy(&layer.path, staged)?;
        }
        inherit_root(staged, parent)
    }

    fn prepare(&self, dir: &Path, top: Option<&Layer>) -> Result<()> {
        self.seed(&dir.join("root"), top)
    }

    fn root(&self, dir: &Path, _stack: &[PathBuf]) -> Root {
        Root::Directory(dir.join("root"))
    }

    fn changes_dir(&self, dir: &Path) -> PathBuf {
        dir.join("root")
    }
}

/// Copies a tree as it is: through a tar, which already knows links, devices, owners and attributes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut writer = std::io::BufWriter::with_capacity(1 << 20, writer);
            archive::pack(from, &mut writer, archive::PackOptions::default())?;
            std::io::Write::flush(&mut writer).map_err(archive::Error::from)
        });
        let extracted = archive::Extractor::open(to, archive::Mode::Verbatim)
            .and_then(|extractor| extractor.extract(std::io::BufReader::with_capacity(1 << 20, reader)));
        let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        extracted?;
        packed?;
        Ok(())
    })
}
