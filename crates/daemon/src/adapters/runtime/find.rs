//! Processes that are there already: found by their monitor, or without one.

use std::path::Path;
use std::sync::Arc;

use engine::ports::Exit;
use shim::client::{Observed, Orphan};
use shim::protocol::Event;
use shim::record::State;
use tokio::io::unix::AsyncFd;

use super::{Monitor, Peer, WELCOME, blocking, open_cgroup, watched};

/// What became of a process, and who looks after it now.
pub(super) enum Found {
    Running(State, Peer),
    Exited(Exit),
    /// With what there is to say about it.
    Gone(Option<String>),
}

pub(super) async fn find(directory: &Path) -> Found {
    // A monitor that is just ending, or being killed, still accepts; after that one knows.
    const TRIES: u32 = 3;
    for _ in 0..TRIES {
        let connection = match shim::client::observe(directory) {
            Ok(Observed::Exited(exit)) => return Found::Exited(ended(exit)),
            Ok(Observed::Gone(_)) => return Found::Gone(None),
            Err(error) => return Found::Gone(Some(error.to_string())),
            Ok(Observed::Orphaned(orphan)) => {
                let state = orphan.state.clone();
                end_orphan(&orphan);
                return match watched(orphan) {
                    Ok(orphan) => Found::Running(state, Peer::Nobody(Arc::new(orphan))),
                    Err(error) => Found::Gone(Some(format!("it cannot be watched: {error}"))),
                };
            }
            Ok(Observed::Monitored(connection)) => connection,
        };
        let Ok(monitor) = Monitor::new(connection) else { continue };
        if let Ok(Ok(Some(Event::Welcome(status)))) = tokio::time::timeout(WELCOME, monitor.next()).await {
            return match status.exit {
                Some(exit) => Found::Exited(ended(exit)),
                None => Found::Running(status.state, Peer::Monitor(monitor)),
            };
        }
    }
    Found::Gone(Some("its monitor does not answer".into()))
}

/// As Docker does with a container whose shim has died. What else is in its cgroup goes with [`ShimRuntime::forget`].
pub(super) fn end_orphan(orphan: &Orphan) {
    let pid = orphan.state.pid;
    tracing::warn!(pid, "a monitor was killed; killing its process as well");
    if let Err(error) = orphan.signal(rustix::process::Signal::KILL.as_raw()) {
        tracing::warn!(pid, %error, "could not kill it");
    }
}

pub(super) async fn wait_for_orphan(orphan: &AsyncFd<Orphan>, container: &str) -> Exit {
    // A pidfd becomes readable when its process ends, and stays so.
    let _ = orphan.readable().await;
    let orphan = orphan.get_ref();
    let mut exit = ended(orphan.exit());
    // The group is still there: only the monitor would have removed it.
    let (path, id) = (orphan.state.cgroup.clone(), container.to_owned());
    let kills = blocking(move || open_cgroup(&path, &id).and_then(|cgroup| cgroup.oom_kills())).await;
    exit.oom_killed = matches!(kills, Ok(Ok(kills)) if kills > 0);
    exit.is_lost = true;
    exit
}

pub(super) fn lost(why: &str) -> Exit {
    Exit { code: 255, is_lost: true, at: shim::record::now(), error: Some(why.to_owned()), ..Exit::default() }
}

pub(super) fn ended(exit: shim::record::Exit) -> Exit {
    Exit {
        code: exit.code,
        signal: exit.signal,
        is_lost: false,
        oom_killed: exit.oom_killed,
        timed_out: exit.timed_out,
        checkpointed: exit.checkpointed,
        at: exit.finished_at,
        error: exit.error,
    }
}
