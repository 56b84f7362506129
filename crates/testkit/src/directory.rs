//! Directories of tests, which tell whose they are.

use std::path::Path;
use std::sync::Once;

use tempfile::TempDir;

use crate::{keeper, place};

const PREFIX: &str = "wharf-test-";

/// An empty directory, removed when it is dropped; or, if this process is killed, by the next one that asks.
///
/// # Panics
/// When it cannot be made.
pub fn directory() -> TempDir {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(sweep);
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().expect("make a directory for a test")
}

/// Takes away what test processes left that are no more.
fn sweep() {
    place::sweep();
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            keeper::sweep(Some(&entry.path()), None);
        }
    }
}
