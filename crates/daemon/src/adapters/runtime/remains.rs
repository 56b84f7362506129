//! A process's directory in the exec root: made before its monitor is, and taken away with all that the process left.

use std::io;
use std::path::{Path, PathBuf};

use engine::ports::{ProcessRef, RuntimeError};
use shim::record::State;

use super::{blocking, not_running, open_cgroup, other};

/// An exec's lies in its container's, which is not made again: its process has ended while the exec was on its way.
pub(super) fn make_directory(process: &ProcessRef, directory: &Path) -> Result<(), RuntimeError> {
    let named = |error: io::Error| other(format!("{}: {error}", directory.display()));
    let Some(execs) = process.exec.as_ref().and_then(|_| directory.parent()) else {
        return std::fs::create_dir_all(directory).map_err(named);
    };
    let make = |place: &Path| match std::fs::create_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    // Only a container's first exec has to make the place for them.
    let made = match make(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(execs).and_then(|()| make(directory)),
        made => made,
    };
    made.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => not_running(),
        _ => named(error),
    })
}

/// Takes away what a process left: its cgroup with all that is in it, and its files.
pub(super) async fn clear(process: ProcessRef, directory: PathBuf) {
    // Of an exec that came to its end there is next to nothing, in memory: no thread has to be woken for that.
    if process.exec.is_some() && remove_exec(&directory).is_ok() {
        return;
    }
    let _ = blocking(move || {
        // A monitor that was let finish has removed the cgroup itself.
        if process.exec.is_none()
            && let Some(path) = shim::record::cgroup(&directory)
        {
            if let Ok(Some(State { foreign: Some(foreign), .. })) = State::read(&directory) {
                shim::delete_force(&foreign, &directory, &process.container);
            }
            if let Ok(cgroup) = open_cgroup(&path, &process.container) {
                let _ = cgroup.kill();
                let _ = cgroup.delete();
            }
        }
        remove_directory(&directory);
    })
    .await;
}

fn remove_exec(directory: &Path) -> io::Result<()> {
    for file in [shim::layout::exit(directory), shim::layout::state(directory), shim::layout::note(directory)]
    {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::remove_dir(directory)
}

/// Again if an exec's files came in between: that one finds out that it is too late, and makes no more.
fn remove_directory(directory: &Path) {
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            _ if !directory.exists() => return,
            _ => {}
        }
    }
    tracing::warn!(path = %directory.display(), "could not remove what a process left");
}
