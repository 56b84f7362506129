//! Sandboxes prepared ahead.
//!
//! Making a network namespace and a veth pair takes milliseconds and global kernel locks; taking a prepared one
//! takes a lock and a `pop`. One thread keeps the pool filled. It is a thread of its own because it moves
//! between namespaces, which no other code may notice.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::netlink::Socket;
use crate::netns::NetNs;
use crate::sandbox::{Furnishing, Sandbox};

/// While this many are left, refilling waits for a quiet moment: the start that took one wants the processor.
const LOW_WATER: usize = 2;
const QUIET: Duration = Duration::from_millis(25);

/// A pool and its thread. Dropping it ends the thread and removes what is prepared.
pub struct Pool {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared {
    /// Held for a push or a pop only.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    ready: VecDeque<Sandbox>,
    /// How many to hold ready; 0 after a failure that nobody waited for, until one succeeds.
    target: usize,
    target_full: usize,
    /// Takers waiting for one.
    waiting: usize,
    /// Why the last attempt failed; every waiting taker gets one.
    failures: VecDeque<Error>,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Starts the thread in the caller's network namespace. `furnishing` says what the sandboxes
    /// have. At most `target` are held ready.
    pub(crate) fn start(name: &str, furnishing: Furnishing, target: usize) -> Result<Self> {
        let home = NetNs::current()?;
        let host = Socket::route()?;
        let state = State {
            ready: VecDeque::new(),
            target,
            target_full: target,
            waiting: 0,
            failures: VecDeque::new(),
            stop: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(128 * 1024)
            .spawn(move || fill(&for_thread, &home, host, &furnishing))
            .map_err(|e| Error::kernel("start the network thread", e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.shared.lock().ready.len()
    }

    /// After a failure: tries again to hold some ready.
    pub fn nudge(&self) {
        let mut state = self.shared.lock();
        if state.target < state.target_full {
            state.target = state.target_full;
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    /// One that is ready, at once.
    pub fn try_take(&self) -> Option<Sandbox> {
        let taken = self.shared.lock().ready.pop_front();
        if taken.is_some() {
            self.shared.changed.notify_all();
        }
        taken
    }

    /// One that is ready, or the next that will be. Blocks for milliseconds if the pool is empty.
    ///
    /// # Errors
    ///
    /// Why none can be made.
    pub fn take(&self) -> Result<Sandbox> {
        let mut state = self.shared.lock();
        if let Some(sandbox) = state.ready.pop_front() {
            drop(state);
            self.shared.changed.notify_all();
            return Ok(sandbox);
        }
        state.waiting += 1;
        self.shared.changed.notify_all();
        let result = loop {
            if let Some(sandbox) = state.ready.pop_front() {
                break Ok(sandbox);
            }
            if let Some(failure) = state.failures.pop_front() {
                break Err(failure);
            }
            if state.stop {
                break Err(Error::ShutDown);
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.waiting -= 1;
        result
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread. It ends with the pool, or when it cannot come home from a namespace.
fn fill(shared: &Shared, home: &NetNs, mut host: Socket, furnishing: &Furnishing) {
    loop {
        let mut state = shared.lock();
        loop {
            if state.stop {
                return;
            }
            if state.waiting > 0 || state.ready.len() < state.target.min(LOW_WATER) {
                break;
            }
            if state.ready.len() >= state.target {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (next, quiet) =
                shared.changed.wait_timeout(state, QUIET).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if quiet.timed_out() && !state.stop && state.ready.len() < state.target {
                break;
            }
        }
        drop(state);
        let made = Sandbox::prepare(home, &mut host, furnishing);
        let mut state = shared.lock();
        match made {
            Ok(sandbox) => {
                state.target = state.target_full;
                state.ready.push_back(sandbox);
            }
            Err(_) if state.waiting == 0 => {
                // Nobody asked. Try again when somebody does, not in a loop.
                state.target = 0;
            }
            Err(e) => {
                state.failures.push_back(e);
            }
        }
        drop(state);
        shared.changed.notify_all();
    }
}
