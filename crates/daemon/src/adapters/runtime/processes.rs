//! The processes that run, each with whoever looks after it.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use engine::ports::{Exit, ProcessRef, Started};
use rustix::fs::{Mode, OFlags};
use shim::client::Orphan;
use shim::record::State;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::CLEARING;
use super::find::{Found, find, lost, wait_for_orphan};
use super::monitor::Monitor;
use super::probe::Sockets;

/// What runs, as far as this engine knows. The lock is held for a look-up, never longer.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<Table>);

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) running: HashMap<ProcessRef, Arc<Handle>>,
    /// Ended, but the monitor is still clearing up: true once it has.
    pub(super) ending: HashMap<ProcessRef, watch::Receiver<bool>>,
}

/// One process that runs.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) state: State,
    /// `/proc/<pid>` of it, once somebody looked into it.
    proc: OnceLock<OwnedFd>,
    /// Another one when the connection was lost. The lock is held to copy or to replace it.
    peer: Mutex<Peer>,
    exit: watch::Receiver<Option<Exit>>,
    /// How often its memory ran out.
    pub(super) oom: watch::Sender<u64>,
    pub(super) detached: watch::Sender<u64>,
    /// For the next looks at its network.
    pub(super) sockets: Sockets,
}

/// Who looks after it.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    Monitor(Monitor),
    /// Its monitor was killed, and so it was killed: nobody would read its output or hear of its end.
    Nobody(Arc<AsyncFd<Orphan>>),
}

impl Processes {
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a process that runs, and sets a task to wait for its end.
    pub(super) fn adopt(
        self: &Arc<Self>,
        process: ProcessRef,
        directory: PathBuf,
        state: State,
        peer: Peer,
    ) -> Started {
        let (tell, exit) = watch::channel(None);
        let handle = Arc::new(Handle {
            state,
            proc: OnceLock::new(),
            peer: Mutex::new(peer),
            exit,
            oom: watch::Sender::new(0),
            detached: watch::Sender::new(0),
            sockets: Sockets::default(),
        });
        self.lock().running.insert(process.clone(), Arc::clone(&handle));
        let started = handle.started();
        let processes = Arc::clone(self);
        tokio::spawn(async move {
            let exit = handle.end(&process, &directory).await;
            let monitor = match handle.peer() {
                Peer::Monitor(monitor) => Some(monitor),
                Peer::Nobody(_) => None,
            };
            let (cleared, ending) = watch::channel(false);
            handle.sockets.close();
            {
                let mut table = processes.lock();
                if table.running.get(&process).is_some_and(|current| Arc::ptr_eq(current, &handle)) {
                    table.running.remove(&process);
                }
                if monitor.is_some() {
                    table.ending.insert(process.clone(), ending);
                }
            }
            // After it is out of the list: whoever hears of it may start the next, once it is settled.
            tell.send_replace(Some(exit));
            drop(handle);
            if let Some(monitor) = monitor {
                monitor.gone().await;
                processes.lock().ending.remove(&process);
                cleared.send_replace(true);
            }
        });
        started
    }

    /// Of a process that has ended: waits until its monitor has cleared up, too.
    pub(super) async fn settled(&self, process: &ProcessRef) {
        let ending = self.lock().ending.get(process).cloned();
        if let Some(mut ending) = ending {
            // One that hangs is not waited for for ever.
            let _ = tokio::time::timeout(CLEARING, ending.wait_for(|cleared| *cleared)).await;
        }
    }
}

impl Handle {
    /// What is below it is this process's alone: once that has ended nothing can be opened there, whoever gets its number
    /// next. `None`: it has ended.
    pub(super) fn proc(&self) -> Option<BorrowedFd<'_>> {
        if let Some(proc) = self.proc.get() {
            return Some(proc.as_fd());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(format!("/proc/{}", self.state.pid), flags, Mode::empty()).ok()?;
        // Only now is it known to be that process's, and not that of a later one with its number.
        self.state.is_running().then(|| self.proc.get_or_init(|| opened).as_fd())
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end of the process, whoever tells of it.
    pub(super) async fn end(&self, process: &ProcessRef, directory: &Path) -> Exit {
        loop {
            let peer = match self.peer() {
                Peer::Nobody(orphan) => return wait_for_orphan(&orphan, &process.container).await,
                Peer::Monitor(monitor) => match monitor.follow(&self.oom, &self.detached).await {
                    Some(exit) => return exit,
                    // The monitor finished while nobody read, or was killed; or it gave this engine up, which did
                    // not listen in time, and may be asked again.
                    None => match find(directory).await {
                        Found::Running(_, peer) => peer,
                        Found::Exited(exit) => return exit,
                        Found::Gone(why) => {
                            let why = why.unwrap_or_else(|| "its process ended unseen".into());
                            return lost(&format!("the monitor was killed: {why}"));
                        }
                    },
                },
            };
            *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = peer;
        }
    }

    pub(super) fn started(&self) -> Started {
        let mut exit = self.exit.clone();
        Started {
            pid: self.state.pid.cast_unsigned(),
            started_at: self.state.started_at,
            oom: self.oom.subscribe(),
            detached: self.detached.subscribe(),
            exit: Box::pin(async move {
                let told = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
                match told {
                    Some(exit) => exit,
                    // The task that tells is only ever ended with the whole engine.
                    None => std::future::pending().await,
                }
            }),
        }
    }
}
