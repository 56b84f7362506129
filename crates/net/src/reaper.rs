//! Bridges whose networks are no more: out of use at once, removed by and by.
//!
//! The kernel takes tens of milliseconds to remove a bridge, since it waits for callbacks of RCU (`br_multicast_dev_del`),
//! and has its lock on all links meanwhile; neither a batch nor a group of links (`IFLA_GROUP`) makes that less for each. So
//! [`retire`] takes what others could see of it, its addresses and its name, which takes a millisecond, and a thread removes
//! it when nobody waits for links.
//!
//! Nothing is kept in memory: what is to be removed has the engine's mark and a name of ours, so that the engine that comes
//! after one that was killed goes on with it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::netlink::{Batch, Socket};
use crate::netns::NetNs;

/// What they are called, before a number.
const PREFIX: &str = "wgone";
/// Who has just changed links will soon change others.
const QUIET: Duration = Duration::from_millis(300);
/// As long as networks come and go all the time, one goes after so long; at once where so many wait.
const PATIENCE: Duration = Duration::from_secs(5);
const MANY: usize = 600;
/// How long the engine's end waits for the rest. What is left then, the next engine finds.
const FAREWELL: Duration = Duration::from_secs(10);

/// The thread, which starts with the first that is to be removed. Dropping it removes the rest.
pub(crate) struct Reaper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Reaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaper").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared {
    /// What stands on the links of this engine's networks.
    mark: String,
    /// Held for an assignment only.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// There may be something to remove, and how much at most.
    pending: bool,
    waiting: usize,
    /// When links were changed for somebody.
    busy: Instant,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a bridge out of use: it has no address, is down, and its name is free. Only its mark tells whose it was.
pub(crate) fn retire(links: &mut Socket, name: &str, addresses: impl Iterator<Item = IpNet>) -> Result<()> {
    let index = match links.link_index(name) {
        Err(e) if e.errno() == Some(Errno::NODEV) => return Ok(()),
        other => other?,
    };
    let mut batch = Batch::default();
    addresses.for_each(|address| batch.remove_address(index, address));
    if !batch.is_empty() {
        // Somebody may have taken an address away; what matters is that it is not there.
        let _ = links.send(&batch);
    }
    let mut batch = Batch::default();
    // Before Linux 6.2 a link that is up keeps its name.
    batch.set_down(index);
    batch.set_name(index, &format!("{PREFIX}{index}"));
    match links.send(&batch) {
        Err(e) if e.errno() == Some(Errno::NODEV) => Ok(()),
        sent => sent,
    }
}

/// Whether a link is one of these.
pub(crate) fn is_retired(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

impl Reaper {
    pub(crate) fn new(mark: String) -> Self {
        let state = State { pending: false, waiting: 0, busy: Instant::now(), stop: false };
        let shared = Shared { mark, state: Mutex::new(state), changed: Condvar::new() };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Links are changed for somebody who waits: removing is for later.
    pub(crate) fn wait_a_moment(&self) {
        self.shared.lock().busy = Instant::now();
    }

    /// There is something to remove in the engine's network namespace.
    ///
    /// # Errors
    ///
    /// No thread, no more descriptors.
    pub(crate) fn wake(&self, home: &NetNs) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (shared, links) = (Arc::clone(&self.shared), home.visit(Socket::route)??);
            let started = std::thread::Builder::new()
                .name("wharf-reaper".to_owned())
                .stack_size(128 * 1024)
                .spawn(move || run(&shared, links))
                .map_err(|e| Error::kernel("start the thread that removes bridges", e))?;
            *thread = Some(started);
        }
        let mut state = self.shared.lock();
        state.pending = true;
        state.waiting += 1;
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Removes the rest without regard for others, and ends.
    pub(crate) fn finish(&self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.finish();
    }
}

fn run(shared: &Shared, mut links: Socket) {
    let mut found = VecDeque::new();
    loop {
        let mut state = shared.lock();
        while !state.pending && found.is_empty() && !state.stop {
            state.waiting = 0;
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let deadline = Instant::now() + PATIENCE;
        while !state.stop && state.waiting < MANY {
            let until = (state.busy + QUIET).min(deadline);
            let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
            else {
                break;
            };
            state = shared.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.stop {
            drop(state);
            let until = Instant::now() + FAREWELL;
            let rest = retired(&mut links, &shared.mark).into_iter();
            return rest.take_while(|_| Instant::now() < until).for_each(|index| remove(&mut links, index));
        }
        let look = found.is_empty();
        state.pending &= !look;
        drop(state);
        if look {
            found = retired(&mut links, &shared.mark);
        }
        let Some(index) = found.pop_front() else { continue };
        let begun = Instant::now();
        remove(&mut links, index);
        // Others get the kernel's lock in between.
        let mut state = shared.lock();
        state.waiting = state.waiting.saturating_sub(1);
        if !state.stop {
            let _ = shared.changed.wait_timeout(state, begun.elapsed());
        }
    }
}

/// One that is gone is what we want; one that cannot be removed is found by the next engine.
fn remove(links: &mut Socket, index: u32) {
    let mut batch = Batch::default();
    batch.remove_link(index);
    let _ = links.send(&batch);
}

fn retired(links: &mut Socket, mark: &str) -> VecDeque<u32> {
    let all = links.links().unwrap_or_default().into_iter();
    let ours = all.filter(|link| is_retired(&link.name) && link.alias.as_deref() == Some(mark));
    ours.map(|link| link.index).collect()
}
