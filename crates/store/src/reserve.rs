//! A little space that is kept for the moment when there is none: to remove something, something must be written.

use std::fs::File;
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, fallocate};

/// A removal's records, and what SQLite writes beside them.
const RESERVE_BYTES: u64 = 256 << 10;

/// The file, if there is room for it. Best effort: whatever fails here is no reason to fail.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(crate) fn new(path: PathBuf) -> Self {
        let reserve = Self { path };
        reserve.keep();
        reserve
    }

    /// Has it all, or nothing of it.
    pub(crate) fn keep(&self) {
        if std::fs::metadata(&self.path).is_ok_and(|file| file.len() == RESERVE_BYTES) {
            return;
        }
        let kept = File::create(&self.path).is_ok_and(|file| {
            // Its length is set with the last of it.
            fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES).is_ok()
        });
        if !kept {
            self.release();
        }
    }

    /// Gives the space to whoever writes next.
    pub(crate) fn release(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_space_and_gives_it_back() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reserve");
        let reserve = Reserve::new(path.clone());
        assert!(std::fs::metadata(&path).unwrap().blocks() * 512 >= RESERVE_BYTES);
        reserve.release();
        assert!(!path.exists());
        std::fs::write(&path, "half").unwrap();
        reserve.keep();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), RESERVE_BYTES);
    }
}
