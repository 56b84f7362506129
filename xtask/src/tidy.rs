//! House rules, as functions from the tree to a list of complaints (`file:line: what`), empty when all is
//! well. They compare text, not syntax: fast, and plain enough that a false alarm is easy to understand.

mod circles;
mod imports;
mod leftovers;
mod length;
mod map;
mod names;
mod tests_reached;
mod unsafety;

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust source file of the tree.
pub(crate) struct Source {
    /// Relative to the workspace root.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Lines that are code, numbered from 1: comments are blanked, so a rule may be named in prose.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
    }
}

/// The workspace this crate was built in.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs every rule and returns what is broken.
pub(crate) fn run() -> Vec<String> {
    let root = root();
    let sources = sources(&root);
    [
        imports::check(&root),
        circles::check(&sources),
        length::check(&sources),
        unsafety::check(&sources),
        names::check(&sources),
        leftovers::check(&sources),
        map::check(&root),
        tests_reached::check(&sources),
    ]
    .concat()
}

/// Every `.rs` file below the folders that hold our code.
pub(crate) fn sources(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["crates", "wharf", "xtask", "tests", "bench"] {
        walk(root, &root.join(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target") {
                walk(root, &path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs")
            && let (Ok(text), Ok(relative)) = (fs::read_to_string(&path), path.strip_prefix(root))
        {
            found.push(Source { path: relative.display().to_string(), text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let broken = run();
        assert!(broken.is_empty(), "broken house rules:\n{}", broken.join("\n"));
    }

    #[test]
    fn sources_are_found() {
        assert!(sources(&root()).iter().any(|s| s.path == "xtask/src/tidy.rs"));
    }
}
