//! Brings unpacked layers to the disk behind the caller's back: one `syncfs` at a time, for all who asked
//! before it began. It begins late: whoever has a document of the same image synced would wait for all of its files, and
//! the layers of one image come together.

use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{At, Result};

/// From the first that asks to what brings it to the disk.
const PAUSE: Duration = Duration::from_secs(2);

type Then = Box<dyn FnOnce() + Send>;

pub(super) struct Syncer {
    queue: Arc<Mutex<Queue>>,
    directory: Arc<File>,
    boot_id: String,
}

#[derive(Default)]
struct Queue {
    running: bool,
    waiting: Vec<Then>,
}

impl Syncer {
    pub(super) fn new(directory: PathBuf) -> Result<Syncer> {
        // Containers and odd kernels may lack it; then a crash of the machine is not noticed.
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Syncer {
            queue: Arc::default(),
            directory: Arc::new(File::open(&directory).at("open", &directory)?),
            boot_id: boot_id.trim().to_owned(),
        })
    }

    pub(super) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Runs `then` when all that is written now is on disk. It may never run: then the process ended first.
    pub(super) fn after_sync(&self, then: Then) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push(then);
        if queue.running {
            return;
        }
        queue.running = true;
        let (shared, directory) = (self.queue.clone(), self.directory.clone());
        let spawned = std::thread::Builder::new().name("syncfs".into()).spawn(move || {
            loop {
                let batch = {
                    let mut queue = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    if queue.waiting.is_empty() {
                        queue.running = false;
                        return;
                    }
                    drop(queue);
                    std::thread::sleep(PAUSE);
                    std::mem::take(&mut shared.lock().unwrap_or_else(PoisonError::into_inner).waiting)
                };
                if rustix::fs::syncfs(&*directory).is_ok() {
                    batch.into_iter().for_each(|then| then());
                }
            }
        });
        queue.running = spawned.is_ok();
    }
}

impl fmt::Debug for Syncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syncer").field("boot_id", &self.boot_id).finish_non_exhaustive()
    }
}
