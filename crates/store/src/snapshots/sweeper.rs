//! Deletes trees behind the caller's back, one after the other. What is queued when the process ends lies in the staging
//! directory, which the next start empties.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
pub(super) struct Sweeper {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    /// A thread is at work. None is kept while there is nothing to do.
    running: bool,
    doomed: Vec<PathBuf>,
}

impl Sweeper {
    /// `doomed` lie in the staging directory.
    pub(super) fn sweep(&self, doomed: Vec<PathBuf>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.doomed.extend(doomed);
        if queue.running || queue.doomed.is_empty() {
            return;
        }
        let shared = self.queue.clone();
        let spawned =
            std::thread::Builder::new().name("sweep".into()).stack_size(256 * 1024).spawn(move || {
                loop {
                    let batch = {
                        let mut queue = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        if queue.doomed.is_empty() {
                            queue.running = false;
                            return;
                        }
                        std::mem::take(&mut queue.doomed)
                    };
                    for path in batch {
                        // What cannot be removed now is swept at the next start.
                        let _ = super::remove_tree(&path);
                    }
                }
            });
        queue.running = spawned.is_ok();
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper").finish_non_exhaustive()
    }
}
