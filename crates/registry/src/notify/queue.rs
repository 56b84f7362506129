//! Events that were not taken yet, one file each, in the order of their names. Written beside and renamed, without a sync: they
//! survive every process, and a power cut as far as the kernel had written them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::Notify;

use crate::error::{Result, disk};

/// An endpoint that is away for so long hears of the newest only.
const EVENTS_MAX: usize = 100_000;

#[derive(Debug)]
pub(super) struct Queue {
    directory: PathBuf,
    next: AtomicU64,
    /// Something is in it that this process has put there.
    pub(super) more: Notify,
}

/// What is waiting.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The oldest first.
    pub(super) paths: Vec<PathBuf>,
    /// So many were too many, and are gone.
    pub(super) dropped: usize,
}

impl Queue {
    pub(super) fn new(directory: &Path) -> Queue {
        Queue { directory: directory.to_owned(), next: AtomicU64::new(0), more: Notify::new() }
    }

    pub(super) fn push(&self, envelope: &[u8]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{now:020}-{number:08}-{}", std::process::id());
        let (beside, path) = (self.directory.join(format!(".{name}")), self.directory.join(name));
        let written = match fs::write(&beside, envelope) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.directory).and_then(|()| fs::write(&beside, envelope))
            }
            written => written,
        };
        let renamed = written.and_then(|()| fs::rename(&beside, &path));
        if renamed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        renamed.map_err(|error| disk("write", &path, &error))?;
        self.more.notify_one();
        Ok(())
    }

    /// Whoever has this sends. `None`: another process does. The kernel gives it to the next one when that dies.
    pub(super) fn lock(&self) -> Result<Option<File>> {
        let path = self.directory.join(".lock");
        let opened = fs::create_dir_all(&self.directory)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
        let file = opened.map_err(|error| disk("open", &path, &error))?;
        Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
    }

    pub(super) fn waiting(&self) -> Result<Waiting> {
        let failed = |error: io::Error| disk("read", &self.directory, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !name.as_encoded_bytes().starts_with(b".") {
                names.push(name);
            }
        }
        names.sort_unstable();
        let dropped = names.len().saturating_sub(EVENTS_MAX);
        for name in names.drain(..dropped) {
            let _ = fs::remove_file(self.directory.join(name));
        }
        Ok(Waiting { paths: names.iter().map(|name| self.directory.join(name)).collect(), dropped })
    }
}
