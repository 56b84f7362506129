//! The conversation with one monitor: orders and their answers, and what it tells by itself.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::ports::{Attachment, Exit, RuntimeError};
use shim::client::Connection;
use shim::protocol::{Event, Leave, Order, Reply};
use shim::record::State;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

use super::convert::kind;
use super::find::ended;
use super::watched;
use super::words::{failed, not_running, other};

/// What goes along with an order.
#[derive(Clone, Copy)]
pub(super) enum With<'a> {
    Nothing,
    Client(&'a Attachment),
    Holder(BorrowedFd<'a>),
}

#[derive(Debug, Clone)]
pub(super) struct Monitor {
    connection: Arc<AsyncFd<Connection>>,
    calls: Arc<Calls>,
}

/// Questions without an answer yet. The lock is held for one insertion or removal.
#[derive(Debug, Default)]
pub(super) struct Calls {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
}

/// How a launch ended.
pub(super) enum Birth {
    Started(State),
    Failed(RuntimeError),
    /// The spawner died before it made a monitor: nothing was done.
    NeverBorn,
}

impl Monitor {
    pub(super) fn new(connection: Connection) -> Result<Self, RuntimeError> {
        let connection = watched(connection).map_err(|error| other(error.to_string()))?;
        Ok(Self { connection: Arc::new(connection), calls: Arc::new(Calls::default()) })
    }

    pub(super) async fn next(&self) -> Result<Option<Event>, shim::Error> {
        loop {
            match self.connection.get_ref().receive() {
                Err(error) if error.would_block() => {
                    let Ok(mut guard) = self.connection.readable().await else { return Ok(None) };
                    // Looked at once more before readiness is given up, or an event in between would be missed.
                    match self.connection.get_ref().receive() {
                        Err(error) if error.would_block() => guard.clear_ready(),
                        received => return received,
                    }
                }
                received => return received,
            }
        }
    }

    pub(super) async fn birth(&self) -> Birth {
        let mut born = false;
        loop {
            match self.next().await {
                Ok(Some(Event::Born { .. })) => born = true,
                Ok(Some(Event::Started(state))) => return Birth::Started(state),
                Ok(Some(Event::Failed(failure))) => {
                    return Birth::Failed(RuntimeError {
                        kind: kind(failure.kind),
                        message: failure.message,
                    });
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) if !born => return Birth::NeverBorn,
                Ok(None) => return Birth::Failed(other("the monitor died while starting the process")),
                Err(error) => return Birth::Failed(failed(error)),
            }
        }
    }

    pub(super) async fn call(&self, order: Order, with: With<'_>) -> Result<Reply, RuntimeError> {
        let seq = self.calls.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.calls.lock().insert(seq, answer);
        loop {
            let connection = self.connection.get_ref();
            let sent = match (&order, with) {
                (Order::HoldPorts, With::Holder(holder)) => connection.hold_ports(seq, holder),
                (Order::Attach(client), With::Client(attachment)) => {
                    connection.attach(seq, client.clone(), attachment.stream.as_fd(), &attachment.leftover)
                }
                _ => connection.call(seq, order.clone()),
            };
            match sent {
                Ok(()) => break,
                Err(error) if error.would_block() => {
                    if let Ok(mut guard) = self.connection.writable().await {
                        guard.clear_ready();
                    }
                }
                Err(error) => {
                    self.calls.lock().remove(&seq);
                    return Err(match error {
                        shim::Error::Gone(_) => not_running(),
                        error => failed(error),
                    });
                }
            }
        }
        answered.await.map_err(|_| not_running())
    }

    /// Waits for the monitor to close the connection, the last thing it does to it.
    pub(super) async fn gone(&self) {
        while let Ok(Some(_)) = self.next().await {}
    }

    /// Hands answers out until the process has ended. `None`: the connection was lost before.
    pub(super) async fn follow(
        &self,
        oom: &watch::Sender<u64>,
        detached: &watch::Sender<u64>,
    ) -> Option<Exit> {
        let exit = loop {
            match self.next().await {
                Ok(Some(Event::Answer { seq, reply })) => {
                    if let Some(waiting) = self.calls.lock().remove(&seq) {
                        // Who asked may have given up.
                        let _ = waiting.send(reply);
                    }
                }
                Ok(Some(Event::Exited(exit))) => break Some(ended(exit)),
                Ok(Some(Event::ClientLeft { why: Leave::Detached, .. })) => {
                    detached.send_modify(|times| *times += 1);
                }
                Ok(Some(Event::OutOfMemory)) => oom.send_modify(|times| *times += 1),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break None,
            }
        };
        // Nobody will answer any more.
        self.calls.lock().clear();
        exit
    }
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
