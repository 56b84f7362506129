//! What the registry's things lie on: a file system, or a bucket. Paths are those of the layout (`layout.rs`) in both; what a
//! thing is called and what it means is not the medium's business.

use std::fmt::Debug;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::bucket::Object;
use crate::error::Result;

/// Synchronous: whoever calls may wait. Each method returns when its effect would survive this process.
pub(super) trait Medium: Debug + Send + Sync {
    /// All of something small. `None`: it is not there.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>>;
    /// There whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()>;
    fn size(&self, path: &Path) -> Result<Option<u64>>;
    /// When it was written, or [touched](Medium::touch).
    fn time(&self, path: &Path) -> Option<SystemTime>;
    /// Says that somebody wants it now. What is not there stays away.
    fn touch(&self, path: &Path) -> Result<()>;
    /// What stands directly below; nothing, if there is nothing.
    fn entries(&self, path: &Path) -> Result<Vec<Entry>>;
    fn has_below(&self, path: &Path) -> bool;
    /// With all that is below. `false`: it was not there.
    fn remove(&self, path: &Path) -> Result<bool>;
    fn open(&self, path: &Path) -> Result<Option<Blob>>;

    /// Whether files of that directory can be files here as well ([`Medium::share`]).
    fn shares_with(&self, directory: &Path) -> Result<bool>;
    /// A file of this machine that never changes is here, too, from now on. `false`: it is not there.
    fn share(&self, file: &Path, path: &Path) -> Result<bool>;

    /// Begins an upload in a directory of its own.
    fn begin(&self, directory: &Path) -> Result<()>;
    /// How many bytes of it have arrived. `None`: there is no such upload.
    fn received(&self, directory: &Path) -> Result<Option<u64>>;
    /// Takes it for one request, when nobody else writes to it.
    fn take(&self, directory: &Path, patience: Duration) -> Result<Taken>;
    /// Removes it if nobody writes to it, and the last who did was `old`; whether it is gone, or would be.
    fn purge(&self, directory: &Path, old: &dyn Fn(SystemTime) -> bool, dry_run: bool) -> Result<bool>;

    /// Whether it can be reached.
    fn check(&self) -> Result<()>;
    /// For messages: `filesystem` or `s3`.
    fn kind(&self) -> &'static str;
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_directory: bool,
}

/// Whether it is ours.
#[derive(Debug)]
pub(super) enum Taken {
    Ours(Box<dyn Sink>),
    /// Somebody else has not let it go.
    Busy,
    Gone,
}

/// An upload that nobody else writes to. When this is dropped, others may.
pub(super) trait Sink: Debug + Send {
    fn size(&self) -> u64;
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// For the next request, of whichever process: what has arrived stays.
    fn suspend(&mut self) -> Result<()>;
    /// All has arrived; nothing is written any more.
    fn seal(&mut self) -> Result<()>;
    /// What was sealed, from the beginning.
    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()>;
    /// What was sealed lies there from now on.
    fn adopt(&mut self, path: &Path) -> Result<()>;
}

/// An open blob.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) bytes: Bytes,
    pub(crate) size: u64,
}

/// Where they come from.
#[derive(Debug)]
pub(crate) enum Bytes {
    File(File),
    Object(Object),
}

impl Blob {
    /// All of something small.
    pub(super) fn read(self, bytes_max: u64) -> std::io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut all = Vec::with_capacity(usize::try_from(self.size.min(bytes_max)).unwrap_or(0));
        match self.bytes {
            Bytes::File(file) => _ = file.take(bytes_max).read_to_end(&mut all)?,
            Bytes::Object(object) => all = object.read(bytes_max)?,
        }
        Ok(all)
    }
}
