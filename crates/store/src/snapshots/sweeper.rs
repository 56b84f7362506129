//! Deletes trees behind the caller's back, one after the other. What is queued when the process ends lies in the staging
//! directory, which the next start empties.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the thread tries by itself what cannot be deleted, and its first pause, which doubles.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Sweeper {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    /// Somebody is at work. No thread is kept while there is nothing to do.
    running: bool,
    doomed: Vec<PathBuf>,
    /// What could not be deleted, even after a while, is tried again when there is more to do, and at the next start.
    failed: Vec<PathBuf>,
}

impl Sweeper {
    /// `doomed` lie in the staging directory. With none, what failed before is tried again.
    pub(super) fn sweep(&self, doomed: Vec<PathBuf>) {
        {
            let mut queue = lock(&self.queue);
            let again = std::mem::take(&mut queue.failed);
            queue.doomed.extend(again.into_iter().chain(doomed));
            if queue.doomed.is_empty() || std::mem::replace(&mut queue.running, true) {
                return;
            }
        }
        let shared = self.queue.clone();
        let thread = std::thread::Builder::new().name("sweep".into()).stack_size(256 * 1024);
        if thread.spawn(move || work(&shared)).is_err() {
            // No more threads: whoever removes something waits for it.
            work(&self.queue);
        }
    }
}

fn work(queue: &Mutex<Queue>) {
    let mut failed: Vec<PathBuf> = Vec::new();
    let mut tries = 1;
    loop {
        // Descriptors may have been short: for a moment, usually.
        if !failed.is_empty() && tries < TRIES && lock(queue).doomed.is_empty() {
            std::thread::sleep(PAUSE * 2_u32.pow(tries - 1));
            tries += 1;
            failed.retain(|path| super::remove_tree(path).is_err());
            continue;
        }
        let batch = {
            let mut queue = lock(queue);
            if queue.doomed.is_empty() {
                queue.running = false;
                queue.failed.append(&mut failed);
                return;
            }
            std::mem::take(&mut queue.doomed)
        };
        failed.extend(batch.into_iter().filter(|path| super::remove_tree(path).is_err()));
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper").finish_non_exhaustive()
    }
}
