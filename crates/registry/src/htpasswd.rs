//! Users from an htpasswd file: lines `name:hash`, bcrypt only, as Docker's registry has it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::error::{Code, Error, Result};

/// What was verified before need not be hashed again; more than this many are forgotten together.
const REMEMBERED_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Htpasswd {
    path: PathBuf,
    /// The file as it was last read. Held for a look-up only.
    read: Mutex<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    modified: SystemTime,
    hashes: Arc<HashMap<String, String>>,
    /// SHA-256 of name, password and hash: bcrypt is slow by design, and every request of a pull brings the same.
    verified: HashSet<[u8; 32]>,
}

impl Htpasswd {
    /// # Errors
    /// The file cannot be read, or holds a hash that is not bcrypt's.
    pub(crate) fn open(path: PathBuf) -> Result<Htpasswd> {
        let file = Htpasswd { path, read: Mutex::default() };
        file.hashes().map(|_| file)
    }

    /// Whether the password is the user's. Takes the time that bcrypt takes.
    pub(crate) fn verify(&self, name: &str, password: &str) -> Result<bool> {
        let hashes = self.hashes()?;
        let Some(hash) = hashes.get(name) else {
            // As long as for a user that there is.
            let _ = bcrypt::verify(password, "$2b$10$abcdefghijklmnopqrstuuWg9nVgN1yD1kZrDwW0bVYk4hZl4u0Wa");
            return Ok(false);
        };
        let mut digest = Sha256::new();
        for part in [name, password, hash] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let fingerprint: [u8; 32] = digest.finalize().into();
        if self.lock().as_ref().is_some_and(|read| read.verified.contains(&fingerprint)) {
            return Ok(true);
        }
        let good = bcrypt::verify(password, hash).unwrap_or(false);
        if good && let Some(read) = &mut *self.lock() {
            if read.verified.len() >= REMEMBERED_MAX {
                read.verified.clear();
            }
            read.verified.insert(fingerprint);
        }
        Ok(good)
    }

    /// Read again when the file has changed.
    fn hashes(&self) -> Result<Arc<HashMap<String, String>>> {
        let failed = |error: std::io::Error| {
            Error::new(Code::Unknown, format!("read {}: {error}", self.path.display()))
        };
        let modified =
            std::fs::metadata(&self.path).and_then(|metadata| metadata.modified()).map_err(failed)?;
        let mut held = self.lock();
        if let Some(read) = held.as_ref().filter(|read| read.modified == modified) {
            return Ok(read.hashes.clone());
        }
        let text = std::fs::read_to_string(&self.path).map_err(failed)?;
        let hashes = Arc::new(parse(&text).map_err(|line| {
            let message = format!(
                "{}:{line}: not `name:hash` with a hash of bcrypt's: make it with `htpasswd -B`",
                self.path.display()
            );
            Error::new(Code::Unknown, message)
        })?);
        *held = Some(Read { modified, hashes: hashes.clone(), verified: HashSet::new() });
        Ok(hashes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Read>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the first line that is wrong.
fn parse(text: &str) -> Result<HashMap<String, String>, usize> {
    let mut hashes = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            Some((name, hash)) if ["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind)) => {
                hashes.insert(name.to_owned(), hash.to_owned());
            }
            _ => return Err(number + 1),
        }
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_verified_and_the_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
        std::fs::write(&path, format!("# users\nann:{}\n\n", hash("secret"))).unwrap();
        let file = Htpasswd::open(path.clone()).unwrap();
        for _ in 0..2 {
            assert!(file.verify("ann", "secret").unwrap());
        }
        assert!(!file.verify("ann", "wrong").unwrap());
        assert!(!file.verify("bob", "secret").unwrap());
        std::fs::write(&path, format!("ann:{}\nbob:{}\n", hash("other"), hash("secret"))).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(!file.verify("ann", "secret").unwrap());
        assert!(file.verify("bob", "secret").unwrap());
        std::fs::write(&path, "ann:{SHA}x\n").unwrap();
        let error = Htpasswd::open(path).unwrap_err();
        assert!(error.message.contains(":1: not `name:hash`"), "{error}");
    }
}
