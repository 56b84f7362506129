//! Files that are there whole or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::medium::{Blob, Bytes, Entry, Medium, Sink, Taken};
use crate::error::{Result, disk};

const PAUSE: Duration = Duration::from_millis(10);
const BUFFER_BYTES: usize = 1 << 20;

/// Makes names beside a file unique within this process; the process id makes them so among processes.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Writes beside, syncs, renames over, and syncs the directory.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let result = (|| {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        create_directories(parent)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let beside = parent.join(format!(".new-{}-{number}", std::process::id()));
        let written = File::create_new(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
        let renamed = written.and_then(|()| fs::rename(&beside, path));
        if renamed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        renamed?;
        sync_directory(parent)
    })();
    result.map_err(|error| disk("write", path, &error))
}

/// `ENOTDIR` too: a repository may be below one that has a file of that name.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes a directory with all above it; each that is new is synced into its parent.
pub(super) fn create_directories(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Err(error), create_directories)?;
            match fs::create_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => path.parent().map_or(Ok(()), sync_directory),
            }
        }
        Err(error) => Err(error),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A directory of this machine.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) root: PathBuf,
}

impl Medium for Files {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(disk("read", path, &error)),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        write(path, bytes)
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(disk("look at", path, &error)),
        }
    }

    fn time(&self, path: &Path) -> Option<SystemTime> {
        fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
    }

    fn touch(&self, path: &Path) -> Result<()> {
        let touched =
            File::options().write(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        match touched {
            Err(error) if !is_absent(&error) => Err(disk("touch", path, &error)),
            _ => Ok(()),
        }
    }

    fn entries(&self, path: &Path) -> Result<Vec<Entry>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(disk("read", path, &error)),
        };
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            // Of what goes away meanwhile, nobody knows.
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            Ok(Entry { name: entry.file_name().into_string().unwrap_or_default(), is_directory })
        };
        let entries: io::Result<Vec<Entry>> = entries.map(entry).collect();
        let mut entries = entries.map_err(|error| disk("read", path, &error))?;
        entries.retain(|entry| !entry.name.is_empty() && !entry.name.starts_with('.'));
        Ok(entries)
    }

    fn has_below(&self, path: &Path) -> bool {
        path.exists()
    }

    fn remove(&self, path: &Path) -> Result<bool> {
        remove(path)
    }

    fn open(&self, path: &Path) -> Result<Option<Blob>> {
        match File::open(path) {
            Ok(file) => {
                let size = file.metadata().map_err(|error| disk("look at", path, &error))?.len();
                Ok(Some(Blob { bytes: Bytes::File(file), size }))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(disk("open", path, &error)),
        }
    }

    fn shares_with(&self, directory: &Path) -> Result<bool> {
        // What is not made yet will be where the directory above it is.
        let made = directory.ancestors().find(|above| above.exists()).unwrap_or(directory);
        let device = |path: &Path| match fs::metadata(path) {
            Ok(found) => Ok(found.dev()),
            Err(error) => Err(disk("look at", path, &error)),
        };
        Ok(device(made)? == device(&self.root)?)
    }

    fn share(&self, file: &Path, path: &Path) -> Result<bool> {
        if !file.exists() {
            return Ok(false);
        }
        let parent = path.parent().unwrap_or(path);
        let linked = create_directories(parent).and_then(|()| match fs::hard_link(file, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            // Removed from there meanwhile.
            Err(error) if is_absent(&error) => Ok(false),
            other => other.and_then(|()| sync_directory(parent)).map(|()| true),
        });
        linked.map_err(|error| disk("link", path, &error))
    }

    fn begin(&self, directory: &Path) -> Result<()> {
        let begun = start(directory).and_then(|()| File::create_new(directory.join("data")).map(drop));
        begun.map_err(|error| disk("make", directory, &error))
    }

    fn received(&self, directory: &Path) -> Result<Option<u64>> {
        self.size(&directory.join("data"))
    }

    /// Whoever writes holds a flock(2) on the data, which the kernel lets go when a process dies, whichever process of those that
    /// serve the directory it was.
    fn take(&self, directory: &Path, patience: Duration) -> Result<Taken> {
        let path = directory.join("data");
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(Taken::Gone),
            Err(error) => return Err(disk("open", &path, &error)),
        };
        let deadline = Instant::now() + patience;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK {
                return Err(disk("lock", &path, &error.into()));
            }
            if Instant::now() > deadline {
                return Ok(Taken::Busy);
            }
            std::thread::sleep(PAUSE);
        }
        // Committed or cancelled while we waited.
        if !path.exists() {
            return Ok(Taken::Gone);
        }
        Ok(Taken::Ours(Box::new(Locked::of(file, path)?) as Box<dyn Sink>))
    }

    fn purge(&self, directory: &Path, old: &dyn Fn(SystemTime) -> bool, dry_run: bool) -> Result<bool> {
        let data = directory.join("data");
        let is_old = |path: &Path| self.time(path).is_some_and(old);
        if !(is_old(&data) || is_old(directory) && !data.exists()) {
            return Ok(false);
        }
        let open = File::open(&data).ok();
        if let Some(open) = &open
            && flock(open, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return Ok(false);
        }
        if !dry_run {
            remove(directory)?;
        }
        Ok(true)
    }

    fn check(&self) -> Result<()> {
        fs::read_dir(&self.root).map(drop).map_err(|error| disk("read", &self.root, &error))
    }

    fn kind(&self) -> &'static str {
        "filesystem"
    }
}

/// The directory of an upload, with the time at which it began.
pub(super) fn start(directory: &Path) -> io::Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    create_directories(directory)?;
    match directory.join("startedat").exists() {
        true => Ok(()),
        false => fs::write(directory.join("startedat"), now),
    }
}

/// The data of an upload, locked.
#[derive(Debug)]
pub(super) struct Locked {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Locked {
    pub(super) fn of(mut file: File, path: PathBuf) -> Result<Locked> {
        let size = file.seek(SeekFrom::End(0)).map_err(|error| disk("seek in", &path, &error))?;
        Ok(Locked { file, path, size })
    }
}

impl Sink for Locked {
    fn size(&self) -> u64 {
        self.size
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| disk("write", &self.path, &error))?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn suspend(&mut self) -> Result<()> {
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| disk("sync", &self.path, &error))
    }

    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut read = || {
            self.file.rewind()?;
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                match self.file.read(&mut buffer)? {
                    0 => return Ok(()),
                    bytes => take(&buffer[..bytes]),
                }
            }
        };
        read().map_err(|error| disk("read", &self.path, &error))
    }

    fn adopt(&mut self, path: &Path) -> Result<()> {
        let moved = (|| {
            let parent = path.parent().unwrap_or(path);
            create_directories(parent)?;
            fs::rename(&self.path, path)?;
            sync_directory(parent)
        })();
        moved.map_err(|error| disk("store", path, &error))
    }
}

/// Removes a file or a tree. `false`: it was not there.
fn remove(path: &Path) -> Result<bool> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {
            let synced = path.parent().map_or(Ok(()), sync_directory);
            synced.map(|()| true).map_err(|error| disk("sync the directory of", path, &error))
        }
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(disk("remove", path, &error)),
    }
}
