//! The pidfile: refuses a second engine, and goes when the engine goes.

use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
}

impl Pidfile {
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        if let Ok(text) = std::fs::read_to_string(path) {
            let pid = text.trim();
            let alive = pid.parse::<u32>().is_ok_and(|n| n != std::process::id() && Path::new("/proc").join(pid).exists());
            if alive {
                return Err(format!(
                    "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is \
                     still running",
                    path.display()
                ));
            }
        }
        let failed = |error: std::io::Error| format!("failed to start daemon: write {}: {error}", path.display());
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
