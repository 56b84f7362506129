//! Mounts of a container that runs, on a thread that goes with the container's mount namespace.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use engine::ports::{RuntimeError, RuntimeErrorKind, Unmounted};
use rustix::fs::{Mode, OFlags};
use shim::record::{State, start_ticks};

use super::{not_running, other};

/// All of it, or nothing. Blocks.
pub(super) fn change(
    state: &State,
    remove: &[Unmounted],
    add: &[oci::runtime::Mount],
) -> Result<(), RuntimeError> {
    let process = process(state)?;
    let remove: Vec<runtime::Unmount<'_>> = remove
        .iter()
        .map(|gone| runtime::Unmount {
            destination: &gone.destination,
            source: gone.source.as_deref().map(Path::new),
            kind: &gone.kind,
        })
        .collect();
    let work = || runtime::change_mounts(process.as_fd(), &remove, add).map_err(failed);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("mounts".into()).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| other(format!("start a thread: {error}")))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What is mounted at each place.
pub(super) fn mounted(state: &State, places: &[String]) -> Result<Vec<Option<u64>>, RuntimeError> {
    let process = process(state)?;
    places.iter().map(|place| runtime::mounted_at(process.as_fd(), place).map_err(failed)).collect()
}

/// Its directory in `/proc`, which stays its own.
fn process(state: &State) -> Result<OwnedFd, RuntimeError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(format!("/proc/{}", state.pid), flags, Mode::empty());
    let opened = opened.map_err(|_| not_running())?;
    match start_ticks(state.pid) {
        Some((ticks, _)) if ticks == state.start_ticks => Ok(opened),
        _ => Err(not_running()),
    }
}

fn failed(error: runtime::Error) -> RuntimeError {
    let kind = match &error {
        runtime::Error::Mount { .. } => RuntimeErrorKind::Mount,
        runtime::Error::NotRunning => RuntimeErrorKind::NotRunning,
        runtime::Error::Invalid(_) | runtime::Error::Unsupported(_) => RuntimeErrorKind::Invalid,
        _ => RuntimeErrorKind::Other,
    };
    RuntimeError { kind, message: error.to_string() }
}
