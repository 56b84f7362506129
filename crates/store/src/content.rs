//! Blobs by digest. A blob is written below `content/ingest`, hashed on the way, synced, and renamed into
//! place: what is in `content/blobs` is complete and was verified.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use oci::{Descriptor, Digest, Digester};

use crate::error::{At, Error, Result};
use crate::layout::Layout;
use crate::lease::{Lease, Leases};

/// Documents (manifests, configs) larger than this are refused when read into memory.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 8 << 20;
/// Lists of all files of an image are some megabytes.
const STATEMENT_BYTES_MAX: u64 = 64 << 20;

/// Large enough for a disk to be fast, and for small layers not to be looked at twice.
const WRITE_AHEAD_BYTES: u64 = 8 << 20;

/// The blob store.
#[derive(Debug)]
pub struct Content {
    layout: Layout,
    leases: Leases,
    next: AtomicU64,
}

impl Content {
    pub(crate) fn open(layout: &Layout, leases: Leases) -> Result<Content> {
        let ingest = layout.ingest();
        archive::remove_tree(&ingest)?;
        fs::create_dir_all(&ingest).at("create", &ingest)?;
        for algorithm in ["sha256", "sha384", "sha512"] {
            let path = layout.blobs().join(algorithm);
            fs::create_dir_all(&path).at("create", &path)?;
        }
        Ok(Content { layout: layout.clone(), leases, next: AtomicU64::new(0) })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Begins to protect what is about to be brought in. Keep it until a record names it.
    pub fn lease(&self) -> Lease {
        self.leases.begin()
    }

    /// Is it on its way in or out?
    pub(crate) fn is_leased(&self, digest: &Digest) -> bool {
        self.leases.is_held(digest)
    }

    /// Announces a collector.
    pub(crate) fn collection(&self) -> crate::lease::Collection {
        self.leases.collect()
    }

    pub fn contains(&self, digest: &Digest) -> bool {
        self.layout.blob(digest).exists()
    }

    /// The blob as a file, positioned at its start.
    pub fn file(&self, digest: &Digest) -> Result<File> {
        let path = self.layout.blob(digest);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoSuchBlob(digest.clone())),
            other => other.at("open", path),
        }
    }

    /// Bytes.
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        Ok(self.file(digest)?.metadata()?.len())
    }

    /// Whether a manifest says of a blob what is so. One that is not here yet is looked at when it comes.
    pub(crate) fn check_size(&self, blob: &Descriptor) -> Result<()> {
        let path = self.layout.blob(&blob.digest);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).at("stat", path),
            Ok(file) if file.len() == blob.size => Ok(()),
            Ok(file) => {
                Err(Error::WrongSize { digest: blob.digest.clone(), expected: blob.size, actual: file.len() })
            }
        }
    }

    /// A document as a whole, verified against its digest again.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.read_within(digest, DOCUMENT_BYTES_MAX)
    }

    /// As [`read`](Content::read), for what may be longer than anything that an image is made of: statements about one.
    pub fn read_large(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.read_within(digest, STATEMENT_BYTES_MAX)
    }

    fn read_within(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>> {
        let file = self.file(digest)?;
        let size = file.metadata()?.len();
        if size > bytes_max {
            return Err(Error::Invalid(format!("{digest}: a document of {size} bytes is too large")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(bytes_max).read_to_end(&mut bytes)?;
        let mut digester = Digester::new(digest.algorithm());
        digester.update(&bytes);
        match digester.finish() {
            actual if actual == *digest => Ok(bytes),
            actual => Err(Error::DigestMismatch { expected: digest.clone(), actual }),
        }
    }

    /// Stores a small document; the digest is its SHA-256.
    pub fn put(&self, lease: &Lease, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        lease.hold(&digest);
        if !self.contains(&digest) {
            let mut writer = self.writer()?;
            writer.write_all(bytes)?;
            writer.commit(lease, Some(&digest))?;
        }
        Ok(digest)
    }

    /// Stores a small document that has a digest already.
    pub fn add(&self, lease: &Lease, digest: &Digest, bytes: &[u8]) -> Result<()> {
        lease.hold(digest);
        if !self.contains(digest) {
            let mut writer = self.writer()?;
            writer.write_all(bytes)?;
            writer.commit(lease, Some(digest))?;
        }
        Ok(())
    }

    /// As [`writer`](Content::writer), for a blob that its writer hashes on another way: [`BlobWriter::commit_as`].
    pub(crate) fn unhashed_writer(&self) -> Result<BlobWriter> {
        let mut writer = self.writer()?;
        writer.is_hashed = false;
        Ok(writer)
    }

    /// Begins a new blob.
    pub fn writer(&self) -> Result<BlobWriter> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.layout.ingest().join(number.to_string());
        let file = File::options().read(true).write(true).create_new(true).open(&path).at("create", &path)?;
        Ok(BlobWriter {
            layout: self.layout.clone(),
            file,
            path: Some(path),
            digester: Digester::default(),
            is_hashed: true,
            size: 0,
            on_its_way: 0,
        })
    }

    /// All digests, in no order.
    pub(crate) fn list(&self) -> Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for algorithm in ["sha256", "sha384", "sha512"] {
            let path = self.layout.blobs().join(algorithm);
            for entry in fs::read_dir(&path).at("list", &path)? {
                let name = entry?.file_name();
                if let Ok(digest) = format!("{algorithm}:{}", name.to_string_lossy()).parse() {
                    digests.push(digest);
                }
            }
        }
        Ok(digests)
    }

    pub(crate) fn delete(&self, digest: &Digest) -> Result<()> {
        let path = self.layout.blob(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
            _ => Ok(()),
        }
    }
}

/// A blob on its way in. Dropped without [`commit`](BlobWriter::commit), it is gone.
#[derive(Debug)]
pub struct BlobWriter {
    layout: Layout,
    file: File,
    path: Option<PathBuf>,
    digester: Digester,
    is_hashed: bool,
    size: u64,
    /// So much of it the disk has been given already.
    on_its_way: u64,
}

impl BlobWriter {
    /// What has been written goes to the disk while more is coming, so that the sync in the end has little to wait for.
    fn write_ahead(&mut self) {
        let length = self.size - self.on_its_way;
        if length >= WRITE_AHEAD_BYTES {
            // That sync does all of it where this cannot.
            let _ = sys::sync::begin(self.file.as_fd(), self.on_its_way, length);
            self.on_its_way = self.size;
        }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What was written so far, as an independent file positioned at its start.
    pub(crate) fn reopen(&self) -> Result<File> {
        let path = self.path.as_deref().unwrap_or(self.layout.root());
        File::open(path).at("open", path)
    }

    /// The digest of what was written so far.
    pub fn digest(&self) -> Digest {
        self.digester.clone().finish()
    }

    /// Verifies, syncs, and puts the blob in its place. An equal blob that is there already is kept.
    pub fn commit(self, lease: &Lease, expected: Option<&Digest>) -> Result<Digest> {
        let mut actual = self.digester.clone().finish();
        if let Some(expected) = expected.filter(|expected| **expected != actual) {
            if expected.algorithm() != actual.algorithm() {
                actual = self.rehash(expected)?;
            }
            if actual != *expected {
                return Err(Error::DigestMismatch { expected: expected.clone(), actual });
            }
        }
        self.commit_as(lease, &actual)?;
        Ok(actual)
    }

    /// As [`commit`](BlobWriter::commit), under the digest that the writer found of the same bytes.
    pub(crate) fn commit_as(mut self, lease: &Lease, digest: &Digest) -> Result<()> {
        lease.hold(digest);
        let target = self.layout.blob(digest);
        if target.exists() {
            return Ok(());
        }
        if let Some(path) = &self.path {
            put_in_place(&self.file, path, &target)?;
        }
        self.path = None;
        Ok(())
    }

    /// A blob that is announced by another algorithm than SHA-256 is read once more.
    fn rehash(&self, expected: &Digest) -> Result<Digest> {
        let mut file = self.reopen()?;
        let mut digester = Digester::new(expected.algorithm());
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(digester.finish()),
                n => digester.update(&buffer[..n]),
            }
        }
    }
}

/// Synced, then renamed: what is in its place is whole, also after a power cut.
pub(crate) fn put_in_place(file: &File, path: &Path, target: &Path) -> Result<()> {
    file.sync_data().at("sync", target)?;
    fs::rename(path, target).at("rename", target)?;
    let directory = target.parent().unwrap_or(target);
    File::open(directory).and_then(|dir| dir.sync_all()).at("sync", directory)
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes).map_err(|error| {
            let path = self.path.as_deref().unwrap_or(Path::new("a blob"));
            io::Error::new(error.kind(), format!("write {}: {error}", path.display()))
        })?;
        if self.is_hashed {
            self.digester.update(&bytes[..n]);
        }
        self.size += n as u64;
        self.write_ahead();
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed now is swept at the next start.
            let _ = fs::remove_file(path);
        }
    }
}
