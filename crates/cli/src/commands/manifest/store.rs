//! Where lists are put together: `<configuration>/manifests/<list>/<manifest>`, one JSON document each.

use std::io::ErrorKind;
use std::path::PathBuf;

use oci::Reference;

use super::Entry;
use crate::app::App;
use crate::failure::{self, Failure};

pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    pub(crate) fn of(app: &App) -> Store {
        Store { root: app.config_directory.join("manifests") }
    }

    /// One entry of a list; `None`: there is no such list, or it has no such entry.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub(crate) fn get(&self, list: &Reference, name: &Reference) -> Result<Option<Entry>, Failure> {
        self.read(self.directory(list).join(safe(name)))
    }

    /// All entries, sorted by their names; `None`: there is no such list.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub(crate) fn list(&self, list: &Reference) -> Result<Option<Vec<Entry>>, Failure> {
        let directory = self.directory(list);
        let names = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            names => names.map_err(|error| failed("open", &directory, &error))?,
        };
        let mut paths: Vec<PathBuf> = names.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut entries = Vec::new();
        for path in paths {
            entries.extend(self.read(path)?);
        }
        Ok(Some(entries))
    }

    fn read(&self, path: PathBuf) -> Result<Option<Entry>, Failure> {
        match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("open", &path, &error)),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Failure::new(format!("invalid manifest file {}: {error}", path.display()))),
        }
    }

    /// Whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn save(&self, list: &Reference, name: &Reference, entry: &Entry) -> Result<(), Failure> {
        let directory = self.directory(list);
        let path = directory.join(safe(name));
        let text = serde_json::to_vec(entry).map_err(|error| Failure::new(error.to_string()))?;
        // Not in the list's own directory, in which every file is an entry.
        let beside = self.root.join(format!(".{}", std::process::id()));
        let written = std::fs::create_dir_all(&directory)
            .and_then(|()| std::fs::write(&beside, text))
            .and_then(|()| std::fs::rename(&beside, &path));
        written.map_err(|error| {
            // Half of it is of no use to anybody.
            let _ = std::fs::remove_file(&beside);
            failed("write", &path, &error)
        })
    }

    /// # Errors
    /// It cannot be removed.
    pub(crate) fn remove(&self, list: &Reference) -> Result<(), Failure> {
        let directory = self.directory(list);
        std::fs::remove_dir_all(&directory).map_err(|error| failed("remove", &directory, &error))
    }

    fn directory(&self, list: &Reference) -> PathBuf {
        self.root.join(safe(list))
    }
}

/// As Docker's client spells it: no slash, and no colon, which some file systems do not take.
fn safe(name: &Reference) -> String {
    name.to_string().replace(':', "-").replace('/', "_")
}

fn failed(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{doing} {}: {}", path.display(), failure::reason(error)))
}
