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
            if pid.parse().is_ok_and(|n| n != std::process::id() && is_alive(n)) {
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

/// Whether a process runs under this number. One that has ended and was not reaped yet (by a shell that does not look
/// at its children, after `kill -9`) holds nothing that a second engine could take from it.
fn is_alive(pid: u32) -> bool {
    // proc_pid_stat(5): "pid (comm) state ...", where comm may have parentheses of its own.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
    })
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_runs_refuses_a_second_and_a_zombie_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("engine.pid");
        let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(&path, other.id().to_string()).unwrap();
        let refused = Pidfile::create(&path).unwrap_err();
        assert!(refused.ends_with(&format!("process with PID {} is still running", other.id())), "{refused}");
        other.kill().unwrap();
        // It has ended, and is not reaped.
        let id = rustix::process::Pid::from_child(&other);
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(id), ended).unwrap();
        assert!(Path::new("/proc").join(other.id().to_string()).exists());
        drop(Pidfile::create(&path).unwrap());
        assert!(!path.exists());
        other.wait().unwrap();
    }
}
