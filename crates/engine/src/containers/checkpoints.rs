//! Checkpoints of a container: its processes, written down by criu, and where they are kept.
//!
//! One is a directory below the container's own (or where its user says), named as the checkpoint. Whoever writes it does so
//! beside, under a name that none can have, and renames it when it is whole: what is listed can be started from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Containers;
use crate::container::command::Command;
use crate::container::{CheckpointRequest, Container};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::layout;
use crate::takeback::remove_directory;

const CHARACTERS: &str = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

impl Containers {
    pub async fn checkpoint(&self, reference: &str, request: CheckpointRequest) -> Result<()> {
        check_name(&request.name)?;
        let handle = self.core.index.find(reference)?;
        let made = self.ask(&handle, |reply| Command::Checkpoint(request, reply)).await;
        made.map_err(|error| error.context(format_args!("Cannot checkpoint container {reference}")))
    }

    /// Their names.
    pub async fn checkpoints(&self, reference: &str, directory: Option<PathBuf>) -> Result<Vec<String>> {
        let view = self.core.index.find(reference)?.view();
        let root = root(&self.core, &view.id, directory.as_deref())?;
        let is_named = directory.is_some();
        let name = view.name.clone();
        blocking(move || list(&root, is_named, &name)).await
    }

    pub async fn remove_checkpoint(
        &self,
        reference: &str,
        checkpoint: &str,
        directory: Option<PathBuf>,
    ) -> Result<()> {
        check_name(checkpoint)?;
        let view = self.core.index.find(reference)?.view();
        let place = find(&self.core, &view, checkpoint, directory.as_deref())?;
        blocking(move || remove_directory(&place)).await
    }
}

/// Where one is, which must be there.
pub(super) fn find(
    core: &Core,
    view: &Container,
    checkpoint: &str,
    directory: Option<&Path>,
) -> Result<PathBuf> {
    let place = root(core, &view.id, directory)?.join(checkpoint);
    let missing = || format!("checkpoint {checkpoint} does not exist for container {}", view.name);
    match fs::metadata(&place) {
        Ok(found) if found.is_dir() => Ok(place),
        Ok(_) => Err(Error::internal(format!("{} exists and is not a directory", place.display()))),
        Err(_) => Err(Error::not_found(missing())),
    }
}

/// Where one will be, which must not be there.
pub(super) fn place_for(core: &Core, view: &Container, request: &CheckpointRequest) -> Result<PathBuf> {
    let place = root(core, &view.id, request.directory.as_deref())?.join(&request.name);
    let (name, container) = (&request.name, &view.name);
    match fs::symlink_metadata(&place) {
        Ok(found) if found.is_dir() => Err(Error::conflict(format!(
            "checkpoint with name {name} already exists for container {container}"
        ))),
        Ok(_) => Err(Error::conflict(format!("{} exists and is not a directory", place.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place),
        Err(error) => Err(Error::internal(format!("stat {}: {error}", place.display()))),
    }
}

fn root(core: &Core, id: &str, directory: Option<&Path>) -> Result<PathBuf> {
    match directory {
        Some(path) if !path.is_absolute() => {
            Err(Error::invalid(format!("checkpoint directory {path:?} must be an absolute path")))
        }
        Some(path) => Ok(path.to_owned()),
        None => Ok(layout::checkpoints(&core.settings().data_root, id)),
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    // Two at least, as names of containers and volumes.
    if first && name.len() > 1 && name.bytes().all(is_inner) && !name.ends_with('.') {
        return Ok(());
    }
    Err(Error::invalid(format!("invalid checkpoint ID {name:?}, only {CHARACTERS} are allowed")))
}

fn list(root: &Path, is_named: bool, container: &str) -> Result<Vec<String>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::not_found(format!(
                "checkpoint directory {root:?} does not exist for container {container}"
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory && is_named => {
            let text = format!("checkpoint directory {root:?} exists but is not a directory");
            return Err(Error::invalid(text));
        }
        Err(error) => return Err(Error::internal(format!("list {}: {error}", root.display()))),
    };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> =
        directories.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // What is being written, or was when somebody was killed.
    names.retain(|name| check_name(name).is_ok());
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers_and_what_is_half_made_has_none() {
        for good in ["cp", "a1", "A.b-c_d"] {
            check_name(good).unwrap();
        }
        for wrong in ["", "a", ".cp", "../cp", "a/b", "cp.", "-x"] {
            let error = check_name(wrong).unwrap_err();
            assert_eq!(
                error.message,
                format!("invalid checkpoint ID {wrong:?}, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
            );
        }
    }
}
