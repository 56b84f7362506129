//! What refuses a second engine: the pidfile, which goes when the engine goes, and a lock on the exec root, which
//! the kernel takes back. (`store` locks the data root.)

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Claims an exec root for as long as the file is open. Two engines with one exec root would take each other's
/// containers for leftovers, and kill them.
pub(crate) fn lock_exec_root(exec_root: &Path) -> Result<File, String> {
    let failed =
        |error: std::io::Error| format!("failed to start daemon: exec root {}: {error}", exec_root.display());
    std::fs::create_dir_all(exec_root).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(exec_root.join("wharf.lock"))
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(format!(
            "failed to start daemon: exec root {} is in use by another engine",
            exec_root.display()
        )),
        Err(error) => Err(failed(error.into())),
    }
}

#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
}

impl Pidfile {
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        if let Ok(text) = std::fs::read_to_string(path) {
            let pid = text.trim();
            let alive = pid
                .parse::<u32>()
                .is_ok_and(|n| n != std::process::id() && Path::new("/proc").join(pid).exists());
            if alive {
                return Err(format!(
                    "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is \
                     still running",
                    path.display()
                ));
            }
        }
        let failed =
            |error: std::io::Error| format!("failed to start daemon: write {}: {error}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(path, std::process::id().to_string()).map_err(failed)?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
